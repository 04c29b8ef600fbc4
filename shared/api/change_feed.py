"""The change feed: `GET changefeed` and `GET changefeed/latest`."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import orjson
from fastapi import Response

from shared.errors import BadRequest
from shared.services import change_feed
from shared.services.change_feed import FeedEntry, Window
from shared.services.service import storage
from shared.settings import Action
from shared.web.routing import Call, endpoint

MOST_ENTRIES = 200
DEFAULT_ENTRIES = 100
MOST_ENTRIES_OF_VERSION_1 = 100
DEFAULT_ENTRIES_OF_VERSION_1 = 10
LONGEST_WAIT_SECONDS = 60

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_OFFSET = 2**63 - 1


@endpoint("change-feed", Action.READ)
async def get_page(call: Call) -> Response:
    """CF-1, CF-10 to CF-26; with `wait` an empty page is held back until there is something new (D-55)."""
    call.caller.may_use_all()
    parameters = {name.lower(): value for name, value in call.request.query_params.items()}
    if call.version == "v1":
        return _array(await _page_of_version_1(parameters))
    start = _time("StartTime", parameters.get("starttime", ""))
    end = _time("EndTime", parameters.get("endtime", ""))
    if start is not None and end is not None and end <= start:
        raise _invalid("EndTime", "The start time must occur strictly before the end time.")
    offset = _integer("Offset", parameters.get("offset"), 0, 0, _MOST_OFFSET)
    limit = _integer("Limit", parameters.get("limit"), DEFAULT_ENTRIES, 1, MOST_ENTRIES)
    metadata = _boolean("IncludeMetadata", parameters.get("includemetadata"))
    wait = _integer("Wait", parameters.get("wait"), 0, 1, LONGEST_WAIT_SECONDS)
    window = Window(start, end, offset, limit)
    entries = await change_feed.next_page(
        await storage(), window, wait, call.request.is_disconnected, metadata=metadata
    )
    return _array(entries)


async def _page_of_version_1(parameters: Mapping[str, str]) -> list[FeedEntry]:
    """CF-3, CF-11."""
    offset = _integer("Offset", parameters.get("offset"), 0, 0, _MOST_OFFSET)
    limit = _integer("Limit", parameters.get("limit"), DEFAULT_ENTRIES_OF_VERSION_1, 1, MOST_ENTRIES_OF_VERSION_1)
    metadata = _boolean("IncludeMetadata", parameters.get("includemetadata"))
    return await change_feed.page_behind(await storage(), offset, limit, metadata=metadata)


@endpoint("change-feed", Action.READ)
async def get_latest(call: Call) -> Response:
    """CF-2, CF-13, D-54."""
    call.caller.may_use_all()
    parameters = {name.lower(): value for name, value in call.request.query_params.items()}
    metadata = _boolean("IncludeMetadata", parameters.get("includemetadata"))
    entry = await change_feed.latest(await storage(), metadata=metadata)
    if entry is None:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    return Response(_json(entry), media_type="application/json")


def _array(entries: list[FeedEntry]) -> Response:
    return Response(b"[" + b",".join(map(_json, entries)) + b"]", media_type="application/json")


def _json(item: FeedEntry) -> bytes:
    """CF-30 to CF-38, D-52."""
    change = item.entry.change
    body = orjson.dumps(
        {
            "sequence": item.entry.sequence,
            "partitionName": change.partition,
            "studyInstanceUid": change.study,
            "seriesInstanceUid": change.series,
            "sopInstanceUid": change.sop_instance,
            "action": change.action,
            "timestamp": timestamp(item.entry.timestamp),
            "state": item.state,
        }
    )
    return body[:-1] + b',"metadata":' + item.metadata + b"}" if item.metadata else body


def timestamp(microseconds: int) -> str:
    """CF-16: ISO 8601 with seven digits and the offset."""
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}0+00:00"


def _time(name: str, text: str) -> int | None:
    """Microseconds since 1970 (CF-23, CF-24); a blank text means no limit (CF-26)."""
    if not text.strip():
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise _invalid(name, f"The value '{text}' is not valid for {name}.") from None
    if moment.tzinfo is None:
        raise _invalid(name, "Date and time value must specify a time zone.")
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _integer(name: str, text: str | None, default: int, least: int, most: int) -> int:
    if text is None:
        return default
    try:
        value = int(text)
    except ValueError:
        raise _invalid(name, f"The value '{text}' is not valid for {name}.") from None
    if not least <= value <= most:
        raise _invalid(name, f"The field {name} must be between {least} and {most}.")
    return value


def _boolean(name: str, text: str | None) -> bool:
    if text is not None and text.strip().lower() not in ("true", "false"):
        raise _invalid(name, f"The value '{text}' is not valid for {name}.")
    return text is None or text.strip().lower() == "true"


def _invalid(name: str, reason: str) -> BadRequest:
    return BadRequest(f"The query parameter '{name}' is invalid. {reason}")
