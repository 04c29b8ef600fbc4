"""The settings of the service, read once from the environment and validated at start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

GIBIBYTE = 1 << 30
DEFAULT_MAX_BYTES = 4 * GIBIBYTE
DEFAULT_INTENT_TIMEOUT = 300


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator can choose. Each field names its environment variable.

    The storage account comes from `AzureWebJobsStorage` or `AzureWebJobsStorage__accountName` (shared/storage/account.py).
    """

    max_request_bytes: int = DEFAULT_MAX_BYTES
    """DICOM_MAX_REQUEST_BYTES: the longest body of a request, in bytes (D-17)."""

    max_part_bytes: int = DEFAULT_MAX_BYTES
    """DICOM_MAX_PART_BYTES: the longest DICOM file, in bytes (D-17)."""

    intent_timeout_seconds: int = DEFAULT_INTENT_TIMEOUT
    """DICOM_INTENT_TIMEOUT_SECONDS: how long a request may be silent before upkeep finishes or undoes its work."""

    cors_origins: tuple[str, ...] = ()
    """DICOM_CORS_ORIGINS: origins, separated by commas, whose pages may call the service; `*` stands for any (D-4)."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """The settings in `environment`; ValueError names the variable that is wrong."""
        return cls(
            max_request_bytes=_positive(environment, "DICOM_MAX_REQUEST_BYTES", DEFAULT_MAX_BYTES),
            max_part_bytes=_positive(environment, "DICOM_MAX_PART_BYTES", DEFAULT_MAX_BYTES),
            intent_timeout_seconds=_positive(environment, "DICOM_INTENT_TIMEOUT_SECONDS", DEFAULT_INTENT_TIMEOUT),
            cors_origins=tuple(
                origin.strip() for origin in environment.get("DICOM_CORS_ORIGINS", "").split(",") if origin.strip()
            ),
        )


def _positive(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or int(text) == 0:
        raise ValueError(f"The setting {name} must be a positive whole number, not {text!r}.")
    return int(text)
