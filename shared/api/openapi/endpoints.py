"""`GET api.json` and `GET api.yaml`: what the service can do, for programs (VER-8, AUTH-3)."""

from functools import cache

import orjson
from fastapi import Response

from shared.services.service import settings
from shared.web.routing import Call, endpoint

JSON = "application/json"
YAML = "application/yaml"


@endpoint("api-description", None)
async def get_json(call: Call) -> Response:
    return Response(_text(call.version, JSON), media_type=JSON)


@endpoint("api-description", None)
async def get_yaml(call: Call) -> Response:
    return Response(_text(call.version, YAML), media_type=YAML)


@cache
def _text(version: str, media_type: str) -> bytes:
    # Nobody pays for the description who does not ask for it.
    from shared.api.openapi.document import document
    from shared.api.openapi.yaml import dump

    described = document(version, settings)
    return orjson.dumps(described) if media_type == JSON else dump(described).lstrip().encode() + b"\n"
