"""What upkeep says of work in flight, for the alerts of infra/modules/alerts.bicep."""

from __future__ import annotations

import time

import pytest

from shared.services.upkeep import upkeep
from shared.settings import Settings
from shared.storage.intents import STORE, Intent, new_request_id
from shared.storage.storage import Storage


def minutes_ago(minutes: int) -> int:
    return time.time_ns() // 1000 - minutes * 60_000_000


async def test_work_that_is_open_for_long_is_reported(storage: Storage, caplog: pytest.LogCaptureFixture) -> None:
    """`intents-old`: from the moment that the request began, however often upkeep has been at it; not while it is alive."""
    old = Intent(new_request_id(), STORE, set(), created=minutes_ago(11))
    await storage.intents.write(old)
    await storage.intents.write(Intent(new_request_id(), STORE, set(), created=minutes_ago(9)))
    await upkeep(storage, Settings(intent_timeout_seconds=60))
    assert caplog.messages == []
    assert await storage.intents.claim(old)
    await upkeep(storage, Settings(intent_timeout_seconds=0))
    assert caplog.messages == ["Open intents older than 10 minutes: 1"]
    assert old.id not in [intent.id for intent in await storage.intents.open()]
