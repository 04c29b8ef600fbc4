"""Instances whose values a re-index could not take (EQT-82, EQT-90, EQT-91)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace

from shared.services.tag_index import Problem, stored_version
from shared.storage import keys
from shared.storage.query_tags import TagError
from shared.storage.storage import Storage
from shared.storage.wire import TransactionFailed


async def record_errors(storage: Storage, problems: Sequence[Problem]) -> None:
    """Records errors; the first one of a tag disables queries by it (EQT-75). Can be repeated.

    The tag's mark is announced before the first error is there, and the instance is looked at afterwards: a delete has
    either been seen here, or sees the mark and removes the error itself (`forget_errors`).
    """
    await _mark(storage, {problem.attribute.id for problem in problems})
    for attribute, error, version in problems:
        await storage.query_tags.add_error(attribute, error)
        key = keys.study_partition(error.partition, error.study)
        if await stored_version(storage, key, error.series, error.sop_instance) != version:
            await storage.query_tags.remove_errors(attribute, [error])


async def forget_errors(storage: Storage, key: str, instances: Collection[tuple[str, str]]) -> None:
    """Removes the errors of instances (series and SOP instance) whose deletion is in the change feed."""
    partition, study = keys.parse_study_partition(key)
    tags = await storage.query_tags.known(storage.change_feed.tags_version)
    for tag in tags.tags:
        if tag.erroneous:
            errors = [TagError(partition, study, series, sop_instance) for series, sop_instance in instances]
            await storage.query_tags.remove_errors(tag.attribute, errors)


async def _mark(storage: Storage, ids: set[int]) -> None:
    announced = storage.change_feed.tags_version
    known = await storage.query_tags.known(announced)
    if known.version <= announced and ids <= {tag.attribute.id for tag in known.tags if tag.erroneous}:
        return
    while True:
        tags = await storage.query_tags.read()
        unmarked = [tag for tag in tags.tags if tag.attribute.id in ids and not tag.erroneous]
        for tag in unmarked:
            tags.replace(replace(tag, erroneous=True, enabled=False))
        tags.version += len(unmarked)
        with suppress(TransactionFailed):
            if unmarked:
                await storage.query_tags.save(tags)
            break
    await storage.change_feed.announce_tags(tags.version)
