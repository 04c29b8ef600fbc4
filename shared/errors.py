"""The exceptions that cross a layer. `shared/web/problems.py` turns each of them into an HTTP status."""

from __future__ import annotations

import traceback


class ServiceError(Exception):
    """The base of all errors that a client is told about.

    `detail` becomes the `detail` of the problem body (RFC 9457), so it never holds patient data beyond UIDs.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidDicom(ServiceError):
    """The bytes are not a DICOM Part 10 file that can be stored (STOW-27, STOW-40): failure reason 43264."""


class BadRequest(ServiceError):
    """Something in the request breaks a rule of its syntax or meaning: 400."""


class Unauthenticated(ServiceError):
    """Nobody is known to send the request: 401. `challenge` is the value of WWW-Authenticate."""

    def __init__(self, challenge: str) -> None:
        super().__init__("Authentication failed.")
        self.challenge = challenge


class Forbidden(ServiceError):
    """The caller may not do this: 403."""


class NotFound(ServiceError):
    """The resource does not exist: 404."""


class NotAcceptable(ServiceError):
    """Nothing that the client accepts can be produced: 406."""


class Conflict(ServiceError):
    """The request contradicts the state of the resource: 409."""


class PayloadTooLarge(ServiceError):
    """A body or a part of it exceeds a limit (D-17): 413."""


class UriTooLong(ServiceError):
    """The path or the query string exceeds a limit (RFC 9110 15.5.15): 414."""


class HeadersTooLarge(ServiceError):
    """There are too many headers, or they are too long (RFC 6585 5): 431."""


class UnsupportedMediaType(ServiceError):
    """The request's body has a media type that the resource does not take: 415."""


class Unavailable(ServiceError):
    """Storage does not answer, or another host won the race for this work; a repeat may succeed: 503."""


def trace(error: BaseException) -> str:
    """For logs: the kind of an exception and where it came from, without its text, which may quote patient data."""
    return f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}"
