"""Instances whose values a re-index could not take (EQT-82, EQT-90, EQT-91)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from shared.dicom.searchable import ExtendedAttribute
from shared.services.tag_list import change
from shared.storage import keys
from shared.storage.change_feed import Change
from shared.storage.query_tags import TagError, TagList
from shared.storage.storage import Storage


class Problem(NamedTuple):
    """The value of the instance stored as `version` cannot be indexed for `attribute`."""

    attribute: ExtendedAttribute
    error: TagError
    version: int


async def record_errors(storage: Storage, problems: Sequence[Problem]) -> None:
    """Records errors; the first one of a tag disables queries by it (EQT-75). Can be repeated.

    The tag's mark is announced before the first error is there, and the instance is looked at afterwards: a delete has
    either been seen here, or sees the mark and removes the error itself (`forget_errors`).
    """
    await _mark(storage, {problem.attribute.id for problem in problems})
    for attribute, error, version in problems:
        await storage.query_tags.add_error(attribute, error)
        key = keys.study_partition(error.partition, error.study)
        _, row = await storage.instances.find(key, error.series, error.sop_instance)
        if row is None or row.version != version:
            await storage.query_tags.remove_errors(attribute, [error])


async def forget_errors(storage: Storage, changes: Iterable[Change]) -> None:
    """Removes the errors of instances whose deletion or replacement is in the change feed (DEL-10)."""
    errors = [TagError(item.partition, item.study, item.series, item.sop_instance) for item in changes]
    tags = await storage.query_tags.known(storage.change_feed.tags_version)
    for tag in tags.tags:
        if tag.erroneous:
            await storage.query_tags.remove_errors(tag.attribute, errors)


async def _mark(storage: Storage, ids: set[int]) -> None:
    announced = storage.change_feed.tags_version
    known = await storage.query_tags.known(announced)
    if known.version <= announced and ids <= {tag.attribute.id for tag in known.tags if tag.erroneous}:
        return

    def mark(tags: TagList) -> None:
        unmarked = [tag for tag in tags.tags if tag.attribute.id in ids and not tag.erroneous]
        for tag in unmarked:
            tags.replace(replace(tag, erroneous=True, enabled=False))
        tags.version += len(unmarked)

    tags = await change(storage, mark)
    await storage.change_feed.announce_tags(tags.version)
