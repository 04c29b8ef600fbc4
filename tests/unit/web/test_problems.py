"""One table from exception to status (D-2, ERR-10 to ERR-21)."""

from __future__ import annotations

import json

import pytest

from shared import errors
from shared.services.operations import OperationActive
from shared.storage.wire import StorageError
from shared.web.problems import STATUS, answer_to


@pytest.mark.parametrize("kind", errors.ServiceError.__subclasses__())
def test_every_error_has_a_status(kind: type[errors.ServiceError]) -> None:
    response = answer_to(kind("why"))
    assert response.status_code == STATUS[kind]
    assert response.media_type == "application/problem+json"
    detail = json.loads(bytes(response.body))["detail"]
    assert detail == ("Authentication failed." if kind is errors.Unauthenticated else "why")


def test_a_special_case_has_the_status_of_its_kind() -> None:
    assert answer_to(OperationActive("update", "1")).status_code == 409


def test_storage_that_does_not_answer_is_worth_another_try() -> None:
    response = answer_to(ExceptionGroup("", [StorageError(0, "Unreachable")]))
    assert response.status_code == 503
    assert "Retry-After" in response.headers


def test_a_bug_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """ERR-6; and no patient data gets into the log."""
    response = answer_to(ValueError("Doe^Jane"))
    assert response.status_code == 500
    assert b"Doe" not in bytes(response.body)
    assert "ValueError" in caplog.text
    assert "Doe" not in caplog.text


def test_challenge() -> None:
    """RFC 6750 3: who is not known is told how to get a token."""
    assert answer_to(errors.Unauthenticated('Bearer realm="r"')).headers["WWW-Authenticate"] == 'Bearer realm="r"'
