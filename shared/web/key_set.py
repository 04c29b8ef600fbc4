"""The keys with which an authority signs tokens: its JSON Web Key Set (RFC 7517), found by OpenID Connect Discovery."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import urllib.request
from contextlib import suppress
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

import jwt

from shared.errors import Unavailable

REFRESH_SECONDS = 3600
"""How old the keys may be; those that the authority has withdrawn are refused from then on."""

LEAST_REFRESH_SECONDS = 30
"""How often unknown keys, which anybody can name, make it ask the authority."""

RETRY_SECONDS = 5
"""How soon it asks again after it had no answer."""

_TIMEOUT_SECONDS = 10
_LONGEST_DOCUMENT = 1 << 20
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

logger = logging.getLogger(__name__)


class KeySet:
    """The signing keys and the issuer of an authority, asked for when they are needed and kept for a while."""

    def __init__(self, authority: str) -> None:
        self._authority = authority.rstrip("/")
        self._issuer = ""
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched: float | None = None
        self._tried: float | None = None
        self._refreshing = asyncio.Lock()

    async def find(self, key_id: str) -> tuple[str, jwt.PyJWK | None]:
        """The issuer, and the key with this id (`kid`), None when the authority has no such key.

        Raises Unavailable when nothing is known of the authority yet and it does not answer.
        """
        age = REFRESH_SECONDS if key_id in self._keys else LEAST_REFRESH_SECONDS
        if _older(self._fetched, age):
            async with self._refreshing:
                if _older(self._fetched, age) and _older(self._tried, RETRY_SECONDS):
                    await self._refresh()
        if not self._keys:
            raise Unavailable("The authority that signs tokens cannot be reached. Please retry.")
        return self._issuer, self._keys.get(key_id)

    async def _refresh(self) -> None:
        self._tried = time.monotonic()
        try:
            self._issuer, self._keys = await asyncio.to_thread(_fetch, self._authority)
        except (OSError, HTTPException, ValueError, KeyError, TypeError, jwt.PyJWTError) as error:
            logger.warning("The keys of the authority cannot be read: %s.", type(error).__name__)
        else:
            self._fetched = self._tried


def _older(since: float | None, seconds: float) -> bool:
    return since is None or time.monotonic() - since > seconds


def _fetch(authority: str) -> tuple[str, dict[str, jwt.PyJWK]]:
    """The issuer and the keys by their ids. Keys for other uses, or of kinds unknown here, are left out."""
    configuration = _get(f"{authority}/.well-known/openid-configuration")
    keys = {}
    for key in _get(configuration["jwks_uri"])["keys"]:
        if key.get("use", "sig") == "sig" and key.get("kty") in ("RSA", "EC") and "kid" in key:
            with suppress(jwt.PyJWTError):
                keys[str(key["kid"])] = jwt.PyJWK.from_dict(key)
    return str(configuration["issuer"]), keys


def is_safe(url: str) -> bool:
    """Whether keys may be fetched from here: by HTTPS, or from this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


def _get(url: str) -> dict[str, Any]:
    if not is_safe(url):
        raise ValueError("Keys must come by HTTPS.")
    with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:
        document = json.loads(response.read(_LONGEST_DOCUMENT))
    if not isinstance(document, dict):
        raise ValueError("Not a JSON object.")
    return document
