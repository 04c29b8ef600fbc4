"""Entity group transactions: the multipart body of a `$batch` request, and what its answer says."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from .table_codec import Operation, request_of

# Every answer in the body begins a line with its status; one of a failure is the only one and names the operation's index.
_STATUS = re.compile(rb"^HTTP/1\.1 (\d{3})", re.MULTILINE)
_ETAG = re.compile(rb"^ETag: *(.+?)\r?$", re.IGNORECASE | re.MULTILINE)
_CODE = re.compile(rb'"code" *: *"([^"]+)"')
_INDEX = re.compile(rb'"value" *: *"(\d+):')


@dataclass(frozen=True, slots=True)
class BatchFailure:
    """The operation that could not be applied."""

    index: int
    status: int
    code: str


def batch(endpoint: str, table: str, operations: Sequence[Operation]) -> tuple[str, bytes]:
    """Content-Type and body of a transaction: one change set with all operations. Raises what `request_of` does."""
    boundary, changes = f"batch_{uuid.uuid4()}", f"changeset_{uuid.uuid4()}"
    parts = [f"--{boundary}\r\nContent-Type: multipart/mixed; boundary={changes}\r\n\r\n".encode()]
    for number, operation in enumerate(operations):
        method, path, headers, body = request_of(table, operation)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        parts.append(
            f"--{changes}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
            f"Content-ID: {number}\r\n\r\n{method} {endpoint}/{path} HTTP/1.1\r\n"
            f"Accept: application/json;odata=nometadata\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode()
        )
        parts += (body, b"\r\n")
    parts.append(f"--{changes}--\r\n\r\n--{boundary}--\r\n".encode())
    return f"multipart/mixed; boundary={boundary}", b"".join(parts)


def batch_result(body: bytes) -> list[str] | BatchFailure:
    """The new ETags in the order of the operations ("" after a delete), or the operation that failed."""
    answers = _STATUS.split(body)[1:]
    etags: list[str] = []
    for status, rest in zip(answers[::2], answers[1::2], strict=True):
        if int(status) >= 400:
            index, code = _INDEX.search(rest), _CODE.search(rest)
            return BatchFailure(
                int(index.group(1)) if index else 0, int(status), code.group(1).decode() if code else ""
            )
        etag = _ETAG.search(rest)
        etags.append(etag.group(1).decode() if etag else "")
    return etags
