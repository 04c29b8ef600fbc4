"""Matches requests to functions as the Functions host does.

Routes are tried in the alphabetical order of the function names and the first that fits wins: literals have no precedence over
parameters. A method that the matching functions do not list is a route that does not exist: 404, not 405.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from devhost.worker import Function

_CONSTRAINTS: Mapping[str, Callable[[str], bool]] = {
    "int": lambda value: bool(re.fullmatch(r"-?\d{1,10}", value)) and -(2**31) <= int(value) < 2**31,
    "long": lambda value: bool(re.fullmatch(r"-?\d{1,19}", value)),
    "bool": lambda value: value.lower() in ("true", "false"),
    "alpha": lambda value: bool(re.fullmatch(r"[A-Za-z]+", value)),
    "guid": lambda value: bool(re.fullmatch(r"\{?[0-9A-Fa-f]{8}-?(?:[0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}\}?", value)),
}
_PARAMETER = re.compile(r"\{(\*?)(\w+)(?::(\w+))?(\??)\}")


@dataclass(frozen=True, slots=True)
class Match:
    function: Function
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Route:
    function: Function
    pattern: re.Pattern[str]
    constraints: Mapping[str, str]
    methods: frozenset[str]

    def parameters(self, path: str) -> dict[str, str] | None:
        found = self.pattern.fullmatch(path)
        if not found:
            return None
        values = {name: unquote(value) for name, value in found.groupdict().items() if value is not None}
        if all(_CONSTRAINTS[kind](values[name]) for name, kind in self.constraints.items() if name in values):
            return values
        return None


class Router:
    """`prefix` is extensions.http.routePrefix of host.json."""

    def __init__(self, functions: Iterable[Function], prefix: str) -> None:
        http = [function for function in functions if function.trigger["type"] == "httpTrigger"]
        ordered = sorted(http, key=lambda function: function.name.upper())
        self._routes = [_route(function, prefix) for function in ordered]

    def match(self, method: str, path: str) -> Match | None:
        """The function for a raw (still percent-encoded) path, None for 404."""
        trimmed = path.strip("/")
        for route in self._routes:
            if route.methods and method.upper() not in route.methods:
                continue
            if (values := route.parameters(trimmed)) is not None:
                return Match(route.function, values)
        return None


def _route(function: Function, prefix: str) -> _Route:
    template = str(function.trigger.get("route") or function.name).strip("/")
    constraints: dict[str, str] = {}
    segments = []
    for segment in [*filter(None, [prefix.strip("/")]), *template.split("/")]:
        segments.append(_segment(segment, constraints))
    pattern = "".join(segments).removeprefix("/").replace("(?:/", "(?:/", 1)
    methods = frozenset(str(method).upper() for method in function.trigger.get("methods") or [])
    return _Route(function, re.compile(pattern, re.IGNORECASE), constraints, methods)


def _segment(segment: str, constraints: dict[str, str]) -> str:
    """The regular expression of one segment of a template, with the slash before it."""
    parameter = _PARAMETER.fullmatch(segment)
    if parameter:
        rest, name, constraint, optional = parameter.groups()
        if constraint:
            if constraint not in _CONSTRAINTS:
                raise ValueError(f"The route constraint '{constraint}' is not known.")
            constraints[name] = constraint
        if rest:
            return rf"(?:/(?P<{name}>.*))?"
        return rf"(?:/(?P<{name}>[^/]+))?" if optional else rf"/(?P<{name}>[^/]+)"
    pieces, start = [], 0
    for found in _PARAMETER.finditer(segment):
        pieces.append(re.escape(segment[start : found.start()]) + rf"(?P<{found.group(2)}>[^/]+?)")
        start = found.end()
    return "/" + "".join(pieces) + re.escape(segment[start:])
