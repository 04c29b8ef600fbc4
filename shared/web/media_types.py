"""Parses media types and media ranges with their parameters (RFC 9110 8.3.1 and 12.5.1), leniently."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# A stretch without the separator, in which a quoted string may hold it; one that is not closed goes on to the end.
# Possessive, so that no input makes it slow.
_LIST_ITEM: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*+"?)++', re.DOTALL)
_PARAMETER: Final = re.compile(r'(?:[^;"]|"(?:[^"\\]|\\.)*+"?)++', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class MediaType:
    """`name` is "type/subtype" and the keys of `parameters` are lower case; quotes are gone from the values."""

    name: str
    parameters: dict[str, str]


def parse(text: str) -> MediaType:
    """One media type or range. What cannot be understood is left out, in the worst case everything: the name is ""."""
    name, *parameters = [part.strip() for part in _PARAMETER.findall(text)] or [""]
    named: dict[str, str] = {}
    for parameter in parameters:
        key, separator, value = parameter.partition("=")
        if separator:
            named.setdefault(key.strip().lower(), _unquoted(value.strip()))
    return MediaType(name.lower(), named)


def parse_list(text: str) -> Iterator[MediaType]:
    """The members of a comma-separated list; commas in quoted strings do not separate."""
    return (parse(item) for item in _LIST_ITEM.findall(text) if item.strip())


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value.startswith('"') and value.endswith('"'):
        return _ESCAPED.sub(r"\1", value[1:-1])
    return value
