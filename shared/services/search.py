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
from shared.services.query import Condition, Query
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
    some = 2 * wanted if query.conditions else wanted  # of the rows that are read some may not match
    start = plan.most_selective(query)
    others = _everything(candidates, partition, query, start, some)
    if start is None:
        return others
    level = plan.row_level(query, start)
    of_rows = candidates.of_rows if level is query.level else candidates.of_rows_above
    ranges = plan.ranges(partition, start, level)
    if plan.is_in_order(query, start):
        index = _Source(of_rows(ranges, wanted=wanted))
    else:
        index = _Source(of_rows(ranges, wanted=some), is_in_order=False)
    return [index, *others] if plan.may_be_long(query, start) else [index]


def _everything(
    candidates: Candidates, partition: str, query: Query, start: Condition | None, some: int
) -> list[_Source]:
    """All studies, series or instances, newest first; all that have a value, for each extended query tag that is filtered by.

    Of instances two kinds of sources: filters may leave few of the series that have them, or so many that the change feed
    soon has a page, if it says much of the partition.
    """
    is_of_instances = query.level is Level.INSTANCE
    of_rows = candidates.of_rows_above if is_of_instances else candidates.of_rows
    level = Level.SERIES if is_of_instances else query.level
    tags = plan.extended(query)
    listed = [
        _Source(of_rows([all_of(partition, level, tag)], plan.marked(query, tag), some), not is_of_instances)
        for tag in tags or (None,)
    ]
    if not is_of_instances:
        return listed
    feed = _Source(candidates.newest_instances(), turns=1 if query.conditions else _TURNS_OF_THE_FEED)
    if tags or plan.marked(query):
        return [*listed, feed]
    return [feed] if start else [feed, *listed]


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
