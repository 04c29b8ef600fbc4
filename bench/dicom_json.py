"""How long it takes to make DICOM JSON of a file, beside pydicom: milliseconds of CPU a file, the best of several rounds."""

from __future__ import annotations

import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.data import get_testdata_file

from tests.patching import metadata, scan

FILE = "CT_small.dcm"
ROUNDS = 15
FILES_A_ROUND = 50


def main() -> None:
    file = Path(str(get_testdata_file(FILE))).read_bytes()
    ours = [best(scan, lambda: file), best(metadata, lambda: scan(file))]
    theirs = [best(read, lambda: file), best(pydicom.Dataset.to_json_dict, lambda: read(file))]
    print(f"{FILE:24}{'service':>10}{'pydicom':>10}{'ratio':>8}")
    rows = {"read": (ours[0], theirs[0]), "to JSON": (ours[1], theirs[1]), "read, to JSON": (sum(ours), sum(theirs))}
    for what, (our, their) in rows.items():
        print(f"{what:24}{our:10.3f}{their:10.3f}{their / our:8.1f}", flush=True)


def read(file: bytes) -> pydicom.Dataset:
    """pydicom decodes values when they are asked for: most of the work is left to the conversion."""
    return pydicom.dcmread(BytesIO(file))


def best[T](action: Callable[[T], object], prepare: Callable[[], T]) -> float:
    """Milliseconds of CPU for one action, each on an input that is made for it beforehand."""
    rounds = []
    for _ in range(ROUNDS):
        inputs = [prepare() for _ in range(FILES_A_ROUND)]
        started = time.process_time()
        for each in inputs:
            action(each)
        rounds.append((time.process_time() - started) / FILES_A_ROUND * 1000)
    return min(rounds)


if __name__ == "__main__":
    main()
