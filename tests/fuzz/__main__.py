"""Coverage-guided fuzzing (atheris, libFuzzer): `python -m tests.fuzz head --seconds 600`.

Starts from the target's seeds and from what earlier runs have found in `--corpus` (default: a folder below the system's
temporary one), and writes there what reaches new code. Stops at the first input that breaks an invariant or takes longer
than LONGEST_SECONDS; `python -m tests.fuzz head --file crash-...` runs the target on that input alone.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from pathlib import Path
from typing import Final

import atheris

with atheris.instrument_imports(include=["shared"]):
    from tests.fuzz.targets import TARGETS, seeds

LONGEST_SECONDS: Final = 5
LONGEST_INPUT: Final = 32768
MOST_MEBIBYTES: Final = 1024


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, default=Path(tempfile.gettempdir()) / "dicom-fuzz")
    parser.add_argument("--file", type=Path, help="run the target on this input only")
    arguments = parser.parse_args()
    target = TARGETS[arguments.target]
    if arguments.file:
        target(arguments.file.read_bytes())
        return
    folder = arguments.corpus / arguments.target
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds(arguments.target):
        (folder / hashlib.sha1(seed).hexdigest()).write_bytes(seed)
    options = [
        f"-max_total_time={arguments.seconds}",
        f"-timeout={LONGEST_SECONDS}",
        f"-max_len={LONGEST_INPUT}",
        f"-rss_limit_mb={MOST_MEBIBYTES}",
        f"-artifact_prefix={arguments.corpus}/{arguments.target}-",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(folder)], target)
    atheris.Fuzz()


main()
