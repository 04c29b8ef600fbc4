"""A short run of each target of `python -m tests.fuzz`: its seeds, and damaged copies of some of them."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.targets import TARGETS, seeds

COPIES = 200


@pytest.mark.parametrize("target", TARGETS)
def test_seeds(target: str) -> None:
    for seed in seeds(target):
        TARGETS[target](seed)


@pytest.mark.parametrize("target", TARGETS)
def test_damaged_seeds(target: str) -> None:
    chance = random.Random(target)
    originals = list(seeds(target))
    for _ in range(COPIES):
        copy = bytearray(chance.choice(originals))
        for _ in range(chance.randint(1, 4)):
            start = chance.randrange(len(copy) + 1)
            copy[start : start + chance.randint(0, 4)] = chance.randbytes(chance.randint(0, 4))
        TARGETS[target](bytes(copy))
