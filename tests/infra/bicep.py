"""Reads Bicep files into plain values, as far as their tests need it.

Strings stay as they are written, with `${}` inside. What is neither a literal nor a name is an `Expression`, of which only the
parts count: the grammar of pycep does not know the precedence of operators.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lark import Token, Tree
from pycep import BicepParser

INFRA = Path(__file__).resolve().parents[2] / "infra"
FILES = sorted(INFRA.rglob("*.bicep"))

_INTERPOLATION = re.compile(r"\$\{([^{}]*)\}")
_parser = BicepParser(cache=False)


@dataclass(frozen=True)
class Name:
    """A name with its members: `data.outputs.name` has three parts."""

    parts: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True)
class Expression:
    """A function's call (`kind` is its name) or an operator with its operands."""

    kind: str
    parts: tuple[Any, ...]


@dataclass(frozen=True)
class Loop:
    """The value of `[for names in source: body]`."""

    names: tuple[str, ...]
    source: Any
    body: Any


@dataclass(frozen=True)
class Parameter:
    type: str
    required: bool
    default: Any
    decorators: dict[str, Any]


@dataclass(frozen=True)
class Declaration:
    """A resource (`what` is its type with the API version) or a module (its path); conditions and loops are outside `body`."""

    what: str
    existing: bool
    condition: Any
    loop: Loop | None
    body: dict[str, Any]


@dataclass(frozen=True)
class File:
    path: Path
    parameters: dict[str, Parameter]
    variables: dict[str, Any]
    resources: dict[str, Declaration]
    modules: dict[str, Declaration]
    outputs: dict[str, Any]

    def module(self, name: str) -> File:
        return read(self.path.parent / self.modules[name].what)

    def names(self) -> set[str]:
        return {*self.parameters, *self.variables, *self.resources, *self.modules}


@cache
def read(path: Path) -> File:
    """Raises lark's UnexpectedInput where the file is no Bicep."""
    file = File(path.resolve(), {}, {}, {}, {}, {})
    for element in _parser.lark_parser.parse(path.read_text()).children:
        if not isinstance(element, Tree):
            continue
        decorators, name, *rest = element.children if element.data != "scope" else (None, None)
        match element.data:
            case "param":
                kind, *default = rest
                declared = default and default[0] is not None
                file.parameters[name] = Parameter(
                    str(kind.children[0].children[0]),
                    not declared,
                    value(default[0]) if declared else None,
                    _decorators(decorators),
                )
            case "var":
                file.variables[name] = value(rest[-1])
            case "output":
                file.outputs[name] = value(rest[-1])
            case "resource":
                file.resources[name] = _declaration(rest[0].children[0], rest[1] is not None, rest[-1])
            case "module":
                file.modules[name] = _declaration(rest[0].children[0], False, rest[-1])
    return file


def value(node: Any) -> Any:
    """A string, number, truth value, None, list, dict, Name, Expression or Loop."""
    if isinstance(node, Token):
        return _token(node)
    match node.data, node.children:
        case "null", _:
            return None
        case ("true" | "false") as text, _:
            return text == "true"
        case "int_type", [number]:
            return int(number)
        case (("string" | "multi_line_string"), [text]):
            return _token(text)
        case "array", items:
            return [value(item) for item in items]
        case "object", pairs:
            return {_key(pair.children[0]): value(pair.children[1]) for pair in pairs}
        case "loop", [head, *_, body]:
            *names, source = head.children
            return Loop(tuple(str(name) for name in names), value(source), value(body))
        case "function", [name, *arguments]:
            return Expression(str(name).rstrip("("), tuple(value(item) for item in arguments if item is not None))
        case "property_accessor", [left, right]:
            of, member = value(left), value(right)
            if isinstance(of, Name) and isinstance(member, Name):
                return Name(of.parts + member.parts)
            return Expression("member", (of,))
        case (("operator" | "operator_accessor" | "operator_logical" | "operator_comparison"), [only]):
            return value(only)
        case kind, parts:
            return Expression(str(kind), tuple(value(part) for part in parts if part is not None))


def names(content: Any, inner: frozenset[str] = frozenset()) -> Iterator[Name]:
    """All names that are used, also inside strings, except for the variables of loops."""
    match content:
        case Name(parts):
            if parts[0] not in inner:
                yield content
        case str():
            for text in _INTERPOLATION.findall(content):
                yield from names(_expression(text), inner)
        case dict():
            for key, item in content.items():
                yield from names(key, inner)
                yield from names(item, inner)
        case list() | tuple():
            for item in content:
                yield from names(item, inner)
        case Expression(_, parts):
            yield from names(parts, inner)
        case Loop(own, source, body):
            yield from names(source, inner)
            yield from names(body, inner | set(own))


def paths(content: Any, prefix: str = "") -> Iterator[str]:
    """The dotted paths of all properties.

    Items of lists, both sides of a condition, lists that are put together, and loops leave no mark in them.
    """
    match content:
        case dict():
            for key, item in content.items():
                yield prefix + key
                yield from paths(item, f"{prefix}{key}.")
        case list() | tuple():
            for item in content:
                yield from paths(item, prefix)
        case Expression("conditional" | "concat", parts):
            yield from paths(parts, prefix)
        case Expression(_, parts):
            yield from paths([part for part in parts if isinstance(part, Expression)], prefix)
        case Loop(_, _, body):
            yield from paths(body, prefix)


def _declaration(what: Token, existing: bool, node: Any) -> Declaration:
    condition, loop, body = None, None, node
    if body.data == "deploy_condition":
        condition, body = value(body.children[0]), body.children[-1]
    content = value(body)
    if isinstance(content, Loop):
        loop, content = content, content.body
    return Declaration(str(what)[1:-1], existing, condition, loop, content)


def _decorators(node: Any) -> dict[str, Any]:
    found = [item.children for item in node.children] if node else []
    return {str(name): value(rest[0]) if rest and rest[0] is not None else None for name, *rest in found}


def _token(token: Token) -> Any:
    if token.type == "MULTI_LINE_STRING":
        return str(token)[3:-3]
    return str(token)[1:-1] if token.startswith("'") else Name((str(token),))


def _key(node: Any) -> str:
    return str(node.children[0]).strip("'")


@cache
def _expression(text: str) -> Any:
    [element] = _parser.lark_parser.parse(f"var it = {text}\n").children
    return value(element.children[-1])
