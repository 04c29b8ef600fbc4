"""Checks all stored data against each other: `python3 dev.py fsck [--repair]`.

The account is that of the AzureWebJobsStorage settings, or else the one of `dev.py run` in the folder .data. Prints a line for
each violation, and ends with 1 if there are some that have not been repaired. No line holds data of patients, but UIDs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from devhost.azurite import Azurite, AzuriteError, lock_folder
from shared.services.fsck import check
from shared.storage.account import StorageAccount
from shared.storage.storage import Storage

DATA = Path(__file__).resolve().parent / ".data"
SETTING = "AzureWebJobsStorage"


def main() -> int:
    parser = argparse.ArgumentParser(prog="fsck.py", description=__doc__)
    parser.add_argument("--repair", action="store_true", help="mend what can be mended without guessing")
    repair = parser.parse_args().repair
    try:
        if any(name.startswith(SETTING) for name in os.environ):
            return asyncio.run(run(StorageAccount.from_environment(os.environ), repair))
        azurite = Azurite.start(DATA / "azurite", lock_folder(DATA, seconds=1))
    except (AzuriteError, ValueError) as error:
        print(f"{error}\nTo check the data of a service that runs, set {SETTING}.", file=sys.stderr)
        return 2
    try:
        return asyncio.run(run(StorageAccount.from_environment({SETTING: azurite.connection_string}), repair))
    finally:
        azurite.stop()


async def run(account: StorageAccount, repair: bool) -> int:
    storage = await Storage.open(account)
    found = repaired = 0
    try:
        async for finding in check(storage, repair=repair):
            found += 1
            repaired += finding.repaired
            outcome = "" if not repair else "  repaired" if finding.repaired else "  NOT repaired"
            print(f"{finding.violation.where}: {finding.violation.what}{outcome}", flush=True)
    finally:
        await storage.close()
    print(f"{found} violations, {repaired} of them repaired." if found else "No violations.")
    return 0 if found == repaired else 1


if __name__ == "__main__":
    sys.exit(main())
