"""Search (QIDO-RS): reads the index that the plan names, checks what it finds, and builds a page of the answer.

Index rows may lag behind for as long as a request works on their study: such studies stand in an open intent, which is read
before any index, and are looked at in their own rows. So is whatever an index row does not tell.

An index is read to its end, since only equal values stand in it newest first. Where it may be long, all studies, series or
instances are gone through at the same time, newest first: whichever has the page first answers.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from functools import partial

from shared.dicom.searchable import Level
from shared.services import plan
from shared.services.candidates import Candidates
from shared.services.query import Query
from shared.services.races import steadily
from shared.services.results import Found, result, shown_keys
from shared.storage import keys
from shared.storage.lookups import all_of
from shared.storage.storage import Storage

_TURNS_OF_THE_FEED = 10


async def search(storage: Storage, partition: str, query: Query, base_url: str) -> list[bytes]:
    """The page of results as DICOM JSON objects, newest first (D-43); `base_url` begins the RetrieveURLs.

    Raises StudyChanged when other requests delete what is found again and again.
    """
    return await steadily(partial(_search, storage, partition, query, base_url))


async def _search(storage: Storage, partition: str, query: Query, base_url: str) -> list[bytes]:
    candidates = Candidates(storage, partition, query)
    found = await _newest(_sources(candidates, partition, query), query.offset + query.limit)
    page = await candidates.completed(found[query.offset : query.offset + query.limit])
    shown = shown_keys(query)
    return [result(query, shown, item, base_url) for item in page]


@dataclass(frozen=True, slots=True)
class _Source:
    """All that matches, in batches, each with whether it is the last one; `turns` are how many of them come at a time."""

    batches: AsyncGenerator[tuple[list[Found], bool]]
    is_in_order: bool = True
    turns: int = 1


def _sources(candidates: Candidates, partition: str, query: Query) -> list[_Source]:
    if studies := plan.named_studies(query):
        return [_Source(candidates.of_studies(studies), is_in_order=False)]
    wanted = query.offset + query.limit
    start = plan.most_selective(query)
    level = plan.row_level(query, start)
    everything = [all_of(partition, level)]
    some = 2 * wanted if query.conditions else wanted  # of the rows that are read some may not match
    if query.level is not Level.INSTANCE:
        newest = _Source(candidates.of_rows(everything, plan.marked(query), some))
    elif start:
        newest = _Source(candidates.newest_instances())
    else:
        # The second is for a partition that the feed says little of.
        newest = _Source(candidates.newest_instances(), turns=_TURNS_OF_THE_FEED)
        return [newest, _Source(candidates.of_rows(everything), is_in_order=False)]
    if start is None:
        return [newest]
    ranges = plan.ranges(partition, start, level)
    if plan.is_in_order(query, start):
        index = _Source(candidates.of_rows(ranges, wanted=wanted))
    else:
        index = _Source(candidates.of_rows(ranges, wanted=some), is_in_order=False)
    return [index, newest] if plan.may_be_long(query, start) else [index]


async def _newest(sources: Sequence[_Source], wanted: int) -> list[Found]:
    """The newest that match, at least `wanted` if there are so many: the sources take turns."""
    known: list[dict[tuple[str, ...], Found]] = [{} for _ in sources]
    async with AsyncExitStack() as stack:
        for source in sources:
            await stack.enter_async_context(aclosing(source.batches))
        while True:
            for source, found in (pair for pair in zip(sources, known, strict=True) for _ in range(pair[0].turns)):
                batch, is_last = await anext(source.batches)
                found.update((item.identifiers, item) for item in batch)
                if source.is_in_order and (is_last or len(found) >= wanted):
                    return list(found.values())
                if is_last:
                    return sorted(found.values(), key=_position)


def _position(item: Found) -> str:
    return keys.lookup_row(item.created, item.identifiers)
