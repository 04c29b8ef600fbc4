"""The values of a file that its metadata leaves out: where each lies, and the BulkDataURI in its place (PS3.18 F.2.6, D-29).

A value is named by its *path*: tags, and between them the numbers of items as DICOM JSON counts them, from 0. So is the end
of its URI: `00420011`, `54000100/0/54001010`.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from shared.dicom import dicom_json, tags
from shared.dicom import vr as vrs
from shared.dicom.element import Element
from shared.dicom.element_codec import UNDEFINED_LENGTH

type Path = tuple[int, ...]
"""tag, or tag, item, tag, item, ... tag."""

_PATH: Final = re.compile(r"[0-9A-Fa-f]{8}(?:/[0-9]{1,9}/[0-9A-Fa-f]{8})*")

# What may have a BulkDataURI (PS3.18 F.2.2).
_VRS: Final = tuple(sorted(vrs.BULK | vrs.NUMBER.keys() | {"DS", "IS", "LT", "ST", "UC", "UT"}))
_CODES: Final = {name: code for code, name in enumerate(_VRS)}
_BIG_ENDIAN: Final = 0x80  # added to the code of the VR

# Bytes of the numbers that a value consists of (PS3.5 6.2, 7.3). Of UN nobody knows.
_WIDTHS: Final = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8} | {
    name: width for name, (_, width) in vrs.NUMBER.items()
}

_PLAIN, _DEFLATED = b"\0", b"\1"
_IMPLICIT_HEADER: Final = 8


@dataclass(frozen=True, slots=True)
class BulkValue:
    """A value field in a file."""

    vr: str
    offset: int  # in the file; of a deflated file: in its inflated form
    length: int  # bytes, or 0xFFFFFFFF when it is encapsulated: a sequence of fragments (PS3.5 A.4)
    is_big_endian: bool = False

    @property
    def is_encapsulated(self) -> bool:
        return self.length == UNDEFINED_LENGTH

    @property
    def end(self) -> int:
        """The offset behind it, as far as that is known."""
        return self.offset + (0 if self.is_encapsulated else self.length)

    @property
    def swapped_width(self) -> int:
        """The length in bytes of the numbers that must be turned round to be little endian, 1 when there are none."""
        return _WIDTHS.get(self.vr, 1) if self.is_big_endian else 1


def locate(dataset: Iterable[Element], *, is_big_endian: bool, parents: Path = ()) -> Iterator[tuple[Path, BulkValue]]:
    """The values that the metadata of a scanned data set leaves out, empty ones too, in the order of the file."""
    # Of elements that a malformed file has twice, metadata has the last.
    for tag, element in {element.tag: element for element in dataset}.items():
        if isinstance(element.value, list):
            for number, item in enumerate(element.value):
                yield from locate(item, is_big_endian=is_big_endian, parents=(*parents, tag, number))
        elif element.vr in vrs.BULK or (element.value is None and element.vr in _CODES):
            # Implicit VR in a big endian file: this is within UN, where everything is little endian (PS3.5 6.2.2).
            is_within_un = element.value_offset - element.offset == _IMPLICIT_HEADER
            value = BulkValue(element.vr, element.value_offset, element.length, is_big_endian and not is_within_un)
            yield (*parents, tag), value


def pack(values: Iterable[tuple[Path, BulkValue]]) -> bytes:
    """A compact form for storage: 19 bytes for a single value that is not nested, none when there are no values."""
    packed = bytearray()
    count = end = 0
    for path, value in values:
        code = _CODES[value.vr] | (_BIG_ENDIAN if value.is_big_endian else 0)
        # The distance from the value before, mostly that of a header, deflates better than the offset.
        packed += struct.pack(f"<B{len(path)}IBqI", len(path), *path, code, value.offset - end, value.length)
        count += 1
        end = value.end
    if count > 1:
        return _DEFLATED + zlib.compress(packed, 6)
    return _PLAIN + packed if count else b""


def unpack(data: bytes) -> Iterator[tuple[Path, BulkValue]]:
    """The inverse of `pack`."""
    packed = zlib.decompress(data[1:]) if data[:1] == _DEFLATED else data[1:]
    position = end = 0
    while position < len(packed):
        form = f"<{packed[position]}IBqI"
        *path, code, distance, length = struct.unpack_from(form, packed, position + 1)
        position += 1 + struct.calcsize(form)
        value = BulkValue(_VRS[code & ~_BIG_ENDIAN], end + distance, length, bool(code & _BIG_ENDIAN))
        end = value.end
        yield tuple(path), value


def parse_path(text: str) -> Path | None:
    """The path that the end of a URI names, None when it names none."""
    if not _PATH.fullmatch(text):
        return None
    return tuple(int(part, 10 if position % 2 else 16) for position, part in enumerate(text.split("/")))


def path_text(path: Path) -> str:
    """The inverse of `parse_path`."""
    return "/".join(str(part) if position % 2 else tags.key(part) for position, part in enumerate(path))


def insert_uris(metadata: bytes, values: Iterable[tuple[Path, BulkValue]], base: str) -> bytes:
    """The metadata of an instance, an element a line, with a BulkDataURI for each of the values that it leaves out.

    Empty values have neither Value nor BulkDataURI (PS3.18 F.2.5). `base` is what the URIs have before the path.
    """
    lines = dicom_json.lines(metadata)
    nested: dict[str, list[tuple[Path, BulkValue]]] = {}
    for path, value in values:
        key = tags.key(path[0])
        if len(path) == 1:
            lines[key] = b'"%b":%b' % (key.encode(), orjson.dumps(_element(path, value, base)))
        else:
            nested.setdefault(key, []).append((path, value))
    for key, within in nested.items():
        lines[key] = _insert_nested(lines[key], within, base)
    return dicom_json.join(lines)


def _element(path: Path, value: BulkValue, base: str) -> dict[str, str]:
    return {"vr": value.vr, "BulkDataURI": base + path_text(path)} if value.length else {"vr": value.vr}


def _insert_nested(line: bytes, values: Iterable[tuple[Path, BulkValue]], base: str) -> bytes:
    """The line of a sequence with the values within it. Its numbers keep the digits that they have."""
    start, sequence = line[:11], json.loads(line[11:], parse_float=orjson.Fragment, parse_int=orjson.Fragment)
    changed: dict[int, dict[str, Any]] = {}
    for path, value in values:
        item = sequence["Value"][path[1]]
        for position in range(2, len(path) - 1, 2):
            item = item[tags.key(path[position])]["Value"][path[position + 1]]
        item[tags.key(path[-1])] = _element(path, value, base)
        changed[id(item)] = item
    for item in changed.values():
        ordered = sorted(item.items())
        item.clear()
        item.update(ordered)
    return start + orjson.dumps(sequence)
