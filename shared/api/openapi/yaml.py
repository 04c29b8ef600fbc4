"""Writes YAML 1.2, as much of it as documents of JSON values need."""

from __future__ import annotations

import json
import re
from typing import Any, Final

# What needs no quotes: it can be nothing but a string, as YAML 1.1 reads it, too.
_PLAIN: Final = re.compile(
    r"(?!(?:y|n|yes|no|on|off|true|false|null)\Z)[A-Za-z/][A-Za-z0-9_./+{}$-]*(?: [A-Za-z0-9_()]+)*", re.I
)


def dump(value: Any, indent: str = "") -> str:
    """The text of a value, which continues the line that it stands on."""
    inner = indent + "  "
    if isinstance(value, dict) and value:
        return "".join(f"\n{indent}{_scalar(key)}:{dump(item, inner)}" for key, item in value.items())
    if isinstance(value, list) and value:
        return "".join(f"\n{indent}- {dump(item, inner).lstrip()}" for item in value)
    return f" {_scalar(value)}"


def _scalar(value: Any) -> str:
    """JSON is YAML, so whatever is not plain stands as JSON."""
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)
