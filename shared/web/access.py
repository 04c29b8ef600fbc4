"""Who may do what: bearer tokens of Microsoft Entra ID or another authority, roles, and partitions (AUTH-1 to AUTH-25).

Tokens are JSON Web Tokens (RFC 7519) in the Authorization header (RFC 6750).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jwt

from shared.errors import Forbidden, Unauthenticated
from shared.settings import ALL_ACTIONS, Action, Settings
from shared.web.key_set import KeySet

CLOCK_SKEW_SECONDS: Final = 60
LONGEST_TOKEN: Final = 16 * 1024

_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request, what he may do, and in which partitions; None: in all of them."""

    actions: frozenset[str]
    partitions: frozenset[str] | None = None
    claims: Mapping[str, Any] = field(default_factory=dict)

    def may(self, action: Action) -> None:
        """Raises Forbidden when the caller may not do this (AUTH-7)."""
        if action not in self.actions:
            raise Forbidden("Authorization failed.")

    def may_use(self, partition: str) -> None:
        """Raises Forbidden when a partition is not for this caller."""
        if not self.sees(partition):
            raise Forbidden("Authorization failed.")

    def sees(self, partition: str) -> bool:
        """Whether a partition is for this caller."""
        return self.partitions is None or partition in self.partitions

    def may_use_all(self) -> None:
        """For what concerns all partitions at once. Raises Forbidden."""
        if self.partitions is not None:
            raise Forbidden("Authorization failed.")


ANYBODY: Final = Caller(ALL_ACTIONS)
"""The caller while authentication is off."""


class Gate:
    """Finds out who calls."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keys = KeySet(settings.authority)

    async def caller(self, authorization: str | None) -> Caller:
        """The caller by the value of the Authorization header. Raises Unauthenticated (AUTH-4)."""
        if not self._settings.authentication:
            return ANYBODY
        scheme, _, token = (authorization or "").strip().partition(" ")
        if not token or scheme.lower() != "bearer":
            raise Unauthenticated(self._challenge())
        claims = await self._validated(token.strip())
        return Caller(self._actions(claims), self._partitions(claims), claims)

    async def _validated(self, token: str) -> dict[str, Any]:
        """The claims of a token that is signed, in force, and meant for this service."""
        if len(token) > LONGEST_TOKEN:
            raise Unauthenticated(self._challenge("The token is too long"))
        try:
            issuer, key = await self._keys.find(str(jwt.get_unverified_header(token).get("kid")))
            if key is None:
                raise jwt.InvalidKeyError
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=_algorithms(key),
                audience=self._settings.audiences,
                issuer=issuer,
                leeway=CLOCK_SKEW_SECONDS,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated(self._challenge("The token has expired")) from error
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise Unauthenticated(self._challenge("The token is not valid")) from error
        return claims

    def _challenge(self, description: str = "") -> str:
        """The value of WWW-Authenticate (RFC 6750 3)."""
        audience = self._settings.audiences[0]
        challenge = (
            f'Bearer authorization_uri="{self._settings.authority}", resource_id="{audience}", realm="{audience}"'
        )
        return f'{challenge}, error="invalid_token", error_description="{description}"' if description else challenge

    def _actions(self, claims: Mapping[str, Any]) -> frozenset[str]:
        """The union over the caller's roles (AUTH-6)."""
        roles = self._settings.roles
        names = _values(claims, self._settings.roles_claim)
        return frozenset().union(*(roles[name] for name in names if name in roles))

    def _partitions(self, claims: Mapping[str, Any]) -> frozenset[str] | None:
        rules = self._settings.partition_rules
        if not rules:
            return None
        allowed = [rules[value] for value in _values(claims, self._settings.partition_claim) if value in rules]
        partitions = frozenset().union(*allowed)
        return None if "*" in partitions else partitions


def _algorithms(key: jwt.PyJWK) -> tuple[str, ...]:
    """The signatures that a key can make: never those of a secret, whatever the token says."""
    return _RSA if key.key_type == "RSA" else (key.algorithm_name,)


def _values(claims: Mapping[str, Any], name: str) -> list[str]:
    """A claim with one value or several."""
    value = claims.get(name)
    values = value if isinstance(value, list) else [value]
    return [item for item in values if isinstance(item, str)]
