from __future__ import annotations

from collections.abc import Iterator

import pytest

from devhost.azurite import Azurite


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """An account of its own, all of which can be checked after the crashes."""
    emulator = Azurite.start(tmp_path_factory.mktemp("crash"))
    yield emulator
    emulator.stop()
