"""Marks: properties that say of a lookup row which pairs of characters its values have, and which dates and times.

The Table service compares whole values only; it knows no part of a text. But it leaves out rows that lack a property. So a
row has a property for each pair of neighbouring characters of each (folded) value, and a filter asks for the pairs of what
is looked for, wherever in the value that may be. Marks never miss a row, but they may let one pass that does not match.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise

from shared.dicom.comparable import MOMENTS
from shared.dicom.searchable import SEARCHABLE, fold, values
from shared.storage.study_rows import Summary
from shared.storage.table_codec import Value
from shared.storage.wire import literal

_MOST_MARKS = 200  # an entity holds 252 properties
_UNMARKED = "unmarked"
_MOST_COMPARISONS = 10  # the service takes 15 in a filter, and the keys need some


def marks(summary: Summary) -> dict[str, Value]:
    """The marks of a row; one with very long values has no pairs, and passes every filter for them."""
    found: dict[str, Value] = {}
    dates: dict[str, Value] = {}
    for key, element in summary.items():
        known = SEARCHABLE.get(int(key, 16))
        vr = known.vr if known else element["vr"]  # a file may have given another one to a known attribute
        for value in values(element):
            folded = fold(value, vr)
            if vr in MOMENTS:
                dates[_date(key)] = folded
            elif vr != "UI":
                found |= dict.fromkeys(_pairs(key, folded), True)
    return dates | found if len(found) <= _MOST_MARKS else dates | {_UNMARKED: True}


def condition(texts: Iterable[tuple[str, str]], dates: Iterable[tuple[str, str, str]]) -> str:
    """A filter on marked rows, empty when there is nothing to ask for.

    `texts` are the (folded) parts of values that are looked for, each behind the attribute's name in DICOM JSON; `dates` are
    such names with the first and the last date or time, in the form in which these are compared.
    """
    wanted = [f"{_date(key)} ge {literal(first)} and {_date(key)} le {literal(last)}" for key, first, last in dates]
    pairs = dict.fromkeys(mark for key, part in texts for mark in _pairs(key, part))
    if pairs:
        named = " and ".join(f"{mark} eq true" for mark in islice(pairs, _MOST_COMPARISONS - 2 * len(wanted)))
        wanted.append(f"({named} or {_UNMARKED} eq true)")
    return " and ".join(wanted)


def _pairs(key: str, text: str) -> Iterator[str]:
    """The names of the marks of a text: a pair that it has twice has two.

    Outside of ASCII a single character is worth a mark: it may be a name.
    """
    seen: Counter[str] = Counter()
    for part in (*map("".join, pairwise(text)), *(character for character in text if not character.isascii())):
        seen[part] += 1
        yield f"m{zlib.crc32(f'{key}{part}{seen[part]}'.encode()):08x}"


def _date(key: str) -> str:
    return f"d{key}"
