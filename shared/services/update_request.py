"""The body of a `$bulkUpdate` request, validated in the order of UPD-10 to UPD-16."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.dicom import tags
from shared.dicom.change_set import Changes
from shared.dicom.identifiers import check_uid
from shared.dicom.searchable import values
from shared.dicom.updatable import UPDATABLE
from shared.dicom.validation import check_value
from shared.errors import BadRequest
from shared.services.json_body import parse_json

MOST_STUDIES = 50

# A string, which stays, or else a comment; a string, or else a comma before a closing bracket. What nothing closes ends
# with the text, so that no text is gone through more than once.
_STRING = r'("(?:[^"\\]|\\.)*+(?:"|\\?\Z))'
_COMMENT = re.compile(_STRING + r"|//[^\r\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_TRAILING_COMMA = re.compile(_STRING + r"|,(?=\s*[}\]])", re.DOTALL)
_NUMBER_VRS = frozenset({"FL", "FD", "SL", "SS", "UL", "US"})
_NAME_GROUPS = frozenset({"Alphabetic", "Ideographic", "Phonetic"})


class InvalidChanges(BadRequest):
    """The change dataset cannot be applied (UPD-15, UPD-16); `comments` has one text per problem (UPD-20)."""

    def __init__(self, comments: list[str]) -> None:
        super().__init__("The change dataset is invalid.")
        self.comments = comments


@dataclass(frozen=True, slots=True)
class UpdateRequest:
    """The distinct studies in the order given (D-61), and the changes by tag."""

    studies: list[str]
    changes: Changes


def parse(body: bytes) -> UpdateRequest:
    """Raises BadRequest, or InvalidChanges for problems of the dataset."""
    fields = {name.lower(): value for name, value in _object(body).items()}
    changes = _dataset(fields.get("changedataset"))
    studies = _studies(fields.get("studyinstanceuids"))
    problems = [problem for key, element in changes.items() for problem in _problems(int(key, 16), element)]
    if problems:
        raise InvalidChanges(problems)
    return UpdateRequest(studies, changes)


def _object(body: bytes) -> dict[str, Any]:
    """UPD-3: comments and trailing commas are no mistakes."""
    try:
        text = body.decode(json.detect_encoding(body))
        for superfluous in (_COMMENT, _TRAILING_COMMA):
            text = superfluous.sub(lambda found: found[1] or " ", text)
        parsed = parse_json(text)
    except ValueError:
        raise BadRequest("The syntax of the request body is invalid.") from None
    if not isinstance(parsed, dict):
        raise BadRequest("The request body must be a JSON object.")
    return parsed


def _studies(value: Any) -> list[str]:
    if not value or not isinstance(value, list):
        raise BadRequest("The required field 'StudyInstanceUids' is missing or empty.")
    if len(value) > MOST_STUDIES:
        raise BadRequest(f"StudyInstanceUids count exceeded maximum length '{MOST_STUDIES}'")
    studies = [check_uid(uid if isinstance(uid, str) else "", "StudyInstanceUID") for uid in value]
    return list(dict.fromkeys(studies))


def _dataset(value: Any) -> Changes:
    if not isinstance(value, dict) or not value:
        raise BadRequest("The required field 'ChangeDataset' is missing or empty.")
    changes: Changes = {}
    for name, element in value.items():
        key = _key(name)
        if key in changes:
            raise BadRequest(f"The attribute '{name}' of the change dataset is given twice.")
        changes[key] = _element(name, element)
    return dict(sorted(changes.items()))


def _key(name: str) -> str:
    if re.fullmatch(r"[0-9A-Fa-f]{8}", name):
        return name.upper()
    try:
        return f"{tags.tag_of(name):08X}"
    except (KeyError, ValueError):
        raise BadRequest(f"'{name}' in the change dataset is neither a tag nor a keyword.") from None


def _element(name: str, element: Any) -> dict[str, Any]:
    """An element of the DICOM JSON model (PS3.18 F.2.2): `vr`, and `Value` unless it is empty."""
    if not isinstance(element, Mapping) or not isinstance(element.get("vr"), str):
        raise BadRequest(f"The attribute '{name}' of the change dataset has no vr.")
    given = element.get("Value", [])
    if not isinstance(given, list):
        raise BadRequest(f"The Value of '{name}' in the change dataset must be an array.")
    vr = element["vr"]
    for value in given:
        if not _fits(vr, value):
            raise BadRequest(f"The Value of '{name}' in the change dataset does not fit its vr.")
    return {"vr": vr, "Value": given} if given else {"vr": vr}


def _fits(vr: str, value: Any) -> bool:
    if value is None or vr == "SQ":
        return True
    if vr == "PN":
        return (
            isinstance(value, Mapping)
            and set(value) <= _NAME_GROUPS
            and all(isinstance(part, str) and "\\" not in part for part in value.values())
        )
    if vr in _NUMBER_VRS:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if vr in ("DS", "IS"):
        return isinstance(value, str | int | float) and not isinstance(value, bool)
    return isinstance(value, str)


def _problems(tag: int, element: dict[str, Any]) -> list[str]:
    prefix = f"DICOM100: {tags.text(tag)} - "
    if tag not in UPDATABLE:
        return [f"{prefix}Updating the tag is not supported"]
    if element["vr"] != UPDATABLE[tag]:
        return [f"{prefix}The VR must be {UPDATABLE[tag]}"]
    reason = check_value(tag, element["vr"], values(element))
    return [prefix + reason] if reason else []
