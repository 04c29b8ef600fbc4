"""Matches requests to functions as the Functions host does.

Routes are tried in the order of the function names (OrdinalIgnoreCase, so by upper case) and the first that fits wins:
literals have no precedence over parameters. A method that a function does not list is part of the match, so it ends in
404 and never in 405 (Azure/azure-functions-host issues 10098 and 11625).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from devhost.worker import Function

type Check = Callable[[str], bool]

_INT32, _INT64 = 2**31, 2**63
_HEX = "[0-9A-Fa-f]"
_GUID = re.compile(rf"{_HEX}{{32}}|([{{(]?){_HEX}{{8}}(-{_HEX}{{4}}){{3}}-{_HEX}{{12}}[)}}]?")
_PARAMETER = re.compile(r"\{(?P<rest>\*{0,2})(?P<name>\w+)(?P<constraints>(?::\w+(?:\([^()]*\))?)*)(?P<optional>\??)\}")
_CONSTRAINT = re.compile(r":(\w+)(?:\(([^()]*)\))?")


@dataclass(frozen=True, slots=True)
class Match:
    function: Function
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Route:
    function: Function
    pattern: re.Pattern[str]
    checks: Mapping[str, list[Check]]
    methods: frozenset[str]

    def parameters(self, path: str) -> dict[str, str] | None:
        found = self.pattern.fullmatch(path)
        if not found:
            return None
        values = {name: value for name, value in found.groupdict().items() if value}
        fits = all(check(value) for name, value in values.items() for check in self.checks.get(name, ()))
        return values if fits else None


class Router:
    """`prefix` is extensions.http.routePrefix of host.json. Raises ValueError for a route that no host would take."""

    def __init__(self, functions: Iterable[Function], prefix: str) -> None:
        http = [function for function in functions if function.trigger["type"] == "httpTrigger"]
        self._routes = [_route(function, prefix) for function in sorted(http, key=lambda each: each.name.upper())]

    def match(self, method: str, path: str) -> Match | None:
        """The function for a raw (still percent-encoded) path, None for 404."""
        decoded = _decode(path)
        for route in self._routes:
            if route.methods and method.upper() not in route.methods:
                continue
            if (values := route.parameters(decoded)) is not None:
                return Match(route.function, values)
        return None


def _decode(path: str) -> str:
    """Kestrel decodes a path before it is cut into segments, all but the slash: %2F stays as it is."""
    return "%2F".join(unquote(part) for part in re.split("%2F", path, flags=re.IGNORECASE))


def _route(function: Function, prefix: str) -> _Route:
    template = str(function.trigger.get("route") or function.name).strip("/")
    checks: dict[str, list[Check]] = {}
    try:
        pattern = "".join(_segment(part, checks) for part in f"{prefix.strip('/')}/{template}".strip("/").split("/"))
    except ValueError as error:
        raise ValueError(f"The route '{template}' of the function '{function.name}' is wrong: {error}") from None
    methods = frozenset(str(method).upper() for method in function.trigger.get("methods") or [])
    # A slash at the end is ignored, but a parameter that takes all the rest takes it too.
    return _Route(function, re.compile(pattern + "/?", re.IGNORECASE | re.DOTALL), checks, methods)


def _segment(segment: str, checks: dict[str, list[Check]]) -> str:
    """The regular expression of one segment of a template, with the slash before it."""
    if whole := _PARAMETER.fullmatch(segment):
        name = _name(whole, checks)
        if whole["rest"]:
            return rf"(?:/(?P<{name}>.*))?"
        return rf"(?:/(?P<{name}>[^/]+))?" if whole["optional"] else rf"/(?P<{name}>[^/]+)"
    pieces, end = ["/"], 0
    for found in _PARAMETER.finditer(segment):
        if found["rest"] or found["optional"]:
            raise ValueError(f"'{found[0]}' has to be a segment of its own.")
        pieces += [_literal(segment[end : found.start()]), rf"(?P<{_name(found, checks)}>[^/]+)"]
        end = found.end()
    return "".join([*pieces, _literal(segment[end:])])


def _literal(text: str) -> str:
    if "{" in text or "}" in text:
        raise ValueError(f"'{text}' is not understood.")
    return re.escape(text)


def _name(parameter: re.Match[str], checks: dict[str, list[Check]]) -> str:
    """The name of a parameter, whose constraints are added to `checks`."""
    name = parameter["name"]
    if name in checks:
        raise ValueError(f"The parameter '{name}' occurs twice.")
    checks[name] = [_check(*found.groups()) for found in _CONSTRAINT.finditer(parameter["constraints"])]
    return name


def _check(constraint: str, argument: str | None) -> Check:
    """An inline constraint of ASP.NET Core."""
    numbers = [int(number) for number in (argument or "").split(",") if number]
    match constraint.lower(), numbers:
        case "int", []:
            return lambda value: _is_integer(value, -_INT32, _INT32 - 1)
        case "long", []:
            return lambda value: _is_integer(value, -_INT64, _INT64 - 1)
        case "bool", []:
            return lambda value: value.lower() in ("true", "false")
        case "alpha", []:
            return lambda value: value.isascii() and value.isalpha()
        case "guid", []:
            return lambda value: _GUID.fullmatch(value) is not None
        case "required", []:
            return lambda value: bool(value)
        case "length", [exact]:
            return lambda value: len(value) == exact
        case "length", [low, high]:
            return lambda value: low <= len(value) <= high
        case "minlength", [low]:
            return lambda value: low <= len(value)
        case "maxlength", [high]:
            return lambda value: len(value) <= high
        case "min", [low]:
            return lambda value: _is_integer(value, low, _INT64 - 1)
        case "max", [high]:
            return lambda value: _is_integer(value, -_INT64, high)
        case "range", [low, high]:
            return lambda value: _is_integer(value, low, high)
    raise ValueError(f"The constraint '{constraint}' is not known to this host.")


def _is_integer(value: str, low: int, high: int) -> bool:
    return bool(re.fullmatch(r"[+-]?[0-9]{1,19}", value)) and low <= int(value) <= high
