"""The heads of studies as this process has written them, so that its next commit to a study need not read one first."""

from __future__ import annotations

import time

from shared.storage.study_head import StudyHead

_MOST_STUDIES = 64
_SHARED_SECONDS = 60


class RecentHeads:
    """A head from here may be out of date: the commit that builds on it is conditional, and lost if another host has written.

    As that costs more than it saves, the heads of studies to which it has happened are not kept for a while.
    """

    def __init__(self) -> None:
        self._heads: dict[str, StudyHead] = {}
        self._shared_until: dict[str, float] = {}

    def put(self, key: str, head: StudyHead) -> None:
        """Keeps what was written last to the study `key`; not if there is work left that others may do meanwhile."""
        if not head.outbox and time.monotonic() >= self._shared_until.get(key, 0):
            self._heads[key] = head
            _limit(self._heads)

    def take(self, key: str) -> StudyHead | None:
        """The head, once: whoever takes it is about to change the study."""
        return self._heads.pop(key, None)

    def lost(self, key: str) -> None:
        """Tells that another writer was faster."""
        self._shared_until.pop(key, None)
        self._shared_until[key] = time.monotonic() + _SHARED_SECONDS
        _limit(self._shared_until)


def _limit[T](studies: dict[str, T]) -> None:
    if len(studies) > _MOST_STUDIES:
        del studies[next(iter(studies))]
