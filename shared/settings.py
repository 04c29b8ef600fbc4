"""The settings of the service, read once from the environment and validated at start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

GIBIBYTE = 1 << 30
DEFAULT_MAX_BYTES = 4 * GIBIBYTE
DEFAULT_INTENT_TIMEOUT = 300


class Action(StrEnum):
    """The data actions (AUTH-10)."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    MANAGE_QUERY_TAGS = "manageExtendedQueryTags"
    EXPORT = "export"


ALL_ACTIONS: Final = frozenset[str](Action)
DEFAULT_ROLES: Final[Mapping[str, frozenset[str]]] = {
    "globalReader": frozenset({Action.READ}),
    "globalAdmin": ALL_ACTIONS,
    **{action: frozenset({action}) for action in Action},
}
"""The roles of AUTH-12, and one for each data action (D-97)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator can choose. Each field names its environment variable.

    The storage account comes from `DICOM_STORAGE__accountName`, or else from `AzureWebJobsStorage`, which is the account of
    the Functions host and of Durable Functions (shared/storage/account.py).
    """

    max_request_bytes: int = DEFAULT_MAX_BYTES
    """DICOM_MAX_REQUEST_BYTES: the longest body of a request, in bytes (D-17)."""

    max_part_bytes: int = DEFAULT_MAX_BYTES
    """DICOM_MAX_PART_BYTES: the longest DICOM file, in bytes (D-17)."""

    intent_timeout_seconds: int = DEFAULT_INTENT_TIMEOUT
    """DICOM_INTENT_TIMEOUT_SECONDS: how long a request may be silent before upkeep finishes or undoes its work."""

    operations: bool = True
    """DICOM_OPERATIONS: `on` (default); `off`: no bulk update and no re-index can be started, those that run go on (OPS-24)."""

    cors_origins: tuple[str, ...] = ()
    """DICOM_CORS_ORIGINS: origins, separated by commas, whose pages may call the service; `*` stands for any (D-4)."""

    authentication: bool = False
    """DICOM_AUTHENTICATION: `entra` (default): callers need a bearer token; `off`: the function keys of the host are all."""

    authority: str = ""
    """DICOM_AUTHORITY: who signs tokens, `https://login.microsoftonline.com/{tenant id}/v2.0` (AUTH-2)."""

    audiences: tuple[str, ...] = ()
    """DICOM_AUDIENCES: for whom tokens must be meant, separated by commas: this service's application id or its URI."""

    roles_claim: str = "roles"
    """DICOM_ROLES_CLAIM: the claim that names the caller's roles (AUTH-6)."""

    roles: Mapping[str, frozenset[str]] = field(default_factory=lambda: DEFAULT_ROLES)
    """DICOM_ROLES: what each role may do, as JSON: `{"role": ["read", "write"], "owner": ["*"]}` (AUTH-10, AUTH-11)."""

    partition_claim: str = ""
    """DICOM_PARTITION_CLAIM: the claim by whose value callers are kept to partitions; none: they may use all."""

    partition_rules: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """DICOM_PARTITION_RULES: the partitions for each value of that claim, as JSON: `{"value": ["name"], "other": ["*"]}`."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """The settings in `environment`; ValueError names the variable that is wrong."""
        return cls(
            max_request_bytes=_positive(environment, "DICOM_MAX_REQUEST_BYTES", DEFAULT_MAX_BYTES),
            max_part_bytes=_positive(environment, "DICOM_MAX_PART_BYTES", DEFAULT_MAX_BYTES),
            intent_timeout_seconds=_positive(environment, "DICOM_INTENT_TIMEOUT_SECONDS", DEFAULT_INTENT_TIMEOUT),
            operations=_is_on(environment, "DICOM_OPERATIONS"),
            cors_origins=tuple(
                origin.strip() for origin in environment.get("DICOM_CORS_ORIGINS", "").split(",") if origin.strip()
            ),
            **_authentication(environment),
        )


def _authentication(environment: Mapping[str, str]) -> dict[str, Any]:
    mode = environment.get("DICOM_AUTHENTICATION", "") or "entra"
    if mode not in ("entra", "off"):
        raise ValueError(f"The setting DICOM_AUTHENTICATION must be 'entra' or 'off', not {mode!r}.")
    if mode == "off":
        return {}
    authority = environment.get("DICOM_AUTHORITY", "")
    audiences = tuple(item.strip() for item in environment.get("DICOM_AUDIENCES", "").split(",") if item.strip())
    if not authority or not audiences:
        raise ValueError(
            "The settings DICOM_AUTHORITY and DICOM_AUDIENCES say whose tokens let callers in. "
            "To leave that to function keys, set DICOM_AUTHENTICATION to 'off'."
        )
    claim, rules = environment.get("DICOM_PARTITION_CLAIM", ""), _sets(environment, "DICOM_PARTITION_RULES")
    if bool(claim) != bool(rules):
        raise ValueError("The settings DICOM_PARTITION_CLAIM and DICOM_PARTITION_RULES need each other.")
    roles = _sets(environment, "DICOM_ROLES")
    for name, actions in roles.items():
        if unknown := actions - ALL_ACTIONS - {"*"}:
            raise ValueError(f"The setting DICOM_ROLES gives {name!r} unknown actions: {', '.join(sorted(unknown))}.")
    return {
        "authentication": True,
        "authority": authority,
        "audiences": audiences,
        "roles_claim": environment.get("DICOM_ROLES_CLAIM", "") or "roles",
        "roles": {name: ALL_ACTIONS if "*" in actions else actions for name, actions in roles.items()} or DEFAULT_ROLES,
        "partition_claim": claim,
        "partition_rules": rules,
    }


def _sets(environment: Mapping[str, str], name: str) -> dict[str, frozenset[str]]:
    """A JSON object with arrays of strings."""
    try:
        parsed = json.loads(environment.get(name, "") or "{}")
        return {str(key): frozenset(map(str, list(values))) for key, values in parsed.items()}
    except (ValueError, TypeError, AttributeError):
        raise ValueError(f"The setting {name} must be a JSON object with arrays of strings.") from None


def _is_on(environment: Mapping[str, str], name: str) -> bool:
    text = environment.get(name, "") or "on"
    if text not in ("on", "off"):
        raise ValueError(f"The setting {name} must be 'on' or 'off', not {text!r}.")
    return text == "on"


def _positive(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or int(text) == 0:
        raise ValueError(f"The setting {name} must be a positive whole number, not {text!r}.")
    return int(text)
