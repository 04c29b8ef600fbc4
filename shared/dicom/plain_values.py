"""Reads single attributes of a data set of which nobody knows whether it keeps the rules."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """The values of an attribute as finite numbers; [] when it is absent, empty, or not what it should be."""
    try:
        value = dataset.get(keyword)
        values = [float(each) for each in value] if isinstance(value, MultiValue | list) else [float(value)]
    except (ArithmeticError, TypeError, ValueError):
        return []
    return values if all(map(math.isfinite, values)) else []


def number(dataset: Dataset, keyword: str) -> float | None:
    """The first value of an attribute as a number, None when there is none."""
    return next(iter(numbers(dataset, keyword)), None)


def items(dataset: Dataset, keyword: str) -> Sequence[Dataset]:
    """The items of a sequence, none when it is absent."""
    sequence = dataset.get(keyword)
    return sequence if isinstance(sequence, Sequence) and not isinstance(sequence, str) else ()


def text(dataset: Dataset, keyword: str) -> str:
    """An attribute of one text value; "" when it is absent."""
    value = dataset.get(keyword)
    return value.strip() if isinstance(value, str) else ""
