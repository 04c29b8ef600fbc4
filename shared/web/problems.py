"""Errors on the wire: RFC 9457 problem bodies, and the one table from exception to status (D-2, ERR-10 to ERR-21)."""

import logging
from http import HTTPStatus

from fastapi import Response
from fastapi.responses import JSONResponse

from shared import errors
from shared.storage.wire import StorageError

STATUS: dict[type[errors.ServiceError], HTTPStatus] = {
    errors.BadRequest: HTTPStatus.BAD_REQUEST,
    errors.InvalidDicom: HTTPStatus.BAD_REQUEST,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.NotAcceptable: HTTPStatus.NOT_ACCEPTABLE,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.PayloadTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.UriTooLong: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.HeadersTooLarge: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.UnsupportedMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}

RETRY_AFTER_SECONDS = "5"

_INTERNAL = (
    "The server encountered an internal error. Please retry the request. If the issue persists, please contact support."
)

logger = logging.getLogger(__name__)


class ProblemResponse(JSONResponse):
    media_type = "application/problem+json"


def problem(status: HTTPStatus, detail: str) -> Response:
    headers = {"Retry-After": RETRY_AFTER_SECONDS} if status is HTTPStatus.SERVICE_UNAVAILABLE else None
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    return ProblemResponse(body, status_code=status.value, headers=headers)


def answer_to(error: Exception) -> Response:
    """The response to an exception. What is not in the table is a bug: it is logged, and its text stays inside."""
    if isinstance(error, errors.ServiceError):
        response = problem(next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), error.detail)
        if isinstance(error, errors.Unauthenticated):
            response.headers["WWW-Authenticate"] = error.challenge
        return response
    if isinstance(error, StorageError):
        logger.warning("Storage answered %s %s.", error.status, error.code)
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, "The data store is not available. Please retry the request.")
    if isinstance(error, ExceptionGroup):
        return answer_to(error.exceptions[0])
    logger.error("Unexpected %s", errors.trace(error))
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, _INTERNAL)
