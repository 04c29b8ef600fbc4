"""Real files over HTTP: each of pydicom's is stored and comes back, or is refused, exactly as `corpus` says.

What it must come back as does not come from the service's own code: pydicom reads the file and makes DICOM JSON of it.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.corpus import REFUSED, STORED, corpus_files
from tests.pydicom_json import expected, normalised
from tests.support.dicomweb import ANY_FILE, Uids, store, value
from tests.support.host import Host

VALIDATION_FAILED = 43264

PARTITIONS = {name: f"/v2/partitions/corpus-{number}" for number, name in enumerate(sorted(corpus_files()))}
"""One for each file, since many are the same instance in another transfer syntax."""


def comment_tags(item: dict[str, Any]) -> list[str]:
    """The tags that the comments of an item are about, sorted."""
    comments = [value(each, "00000902") for each in item.get("00741048", {}).get("Value", [])]
    assert all(comment.startswith("DICOM100: (") for comment in comments)
    return sorted(comment[11:20].replace(",", "").upper() for comment in comments)


def test_all_files_have_an_expectation() -> None:
    assert corpus_files().keys() == STORED.keys() | REFUSED.keys()
    assert not STORED.keys() & REFUSED.keys()


@pytest.mark.filterwarnings("ignore")  # pydicom warns of much that it reads here
@pytest.mark.parametrize("name", STORED)
def test_stored(host: Host, name: str) -> None:
    """STOW-80, STOW-82, STOW-90, STOW-111, STOW-112, STOW-123, D-11, D-12, WADO-82 to WADO-85."""
    file = corpus_files()[name].read_bytes()
    outcome = STORED[name]

    response = store(host, file, base=PARTITIONS[name])
    assert response.status_code == (202 if outcome.warning else 200), response.text
    assert response.json().keys() == {"00081199"}
    [item] = response.json()["00081199"]["Value"]
    assert value(item, "00081196") == outcome.warning
    assert comment_tags(item) == sorted(left_out[-8:] for left_out in outcome.left_out)

    path = value(item, "00081190").removeprefix(host.url)
    stored = host.get(path, Accept=ANY_FILE).content
    assert stored == bytes(128) + file[128:] or (file[128:132] != b"DICM" and stored.endswith(file))
    assert path == PARTITIONS[name] + Uids.of(stored).instance_path
    [metadata] = host.get(f"{path}/metadata").json()
    assert normalised(metadata) == expected(stored, outcome.left_out)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(host: Host, name: str) -> None:
    """STOW-27, STOW-40, STOW-41, STOW-43, STOW-47, STOW-51, STOW-114; nothing of the file is to be found."""
    response = store(host, corpus_files()[name].read_bytes(), base=PARTITIONS[name])
    assert response.status_code == 409, response.text
    assert response.json().keys() == {"00081198"}
    [item] = response.json()["00081198"]["Value"]
    assert value(item, "00081197") == VALIDATION_FAILED
    assert comment_tags(item) == sorted(REFUSED[name].comments), REFUSED[name].because
    assert host.get(f"{PARTITIONS[name]}/instances").status_code == 204
