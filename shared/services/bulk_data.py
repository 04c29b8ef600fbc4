"""Bulk data of stored instances: finds a value, and streams its bytes in little endian order (D-29, PS3.18 10.4.3.3.5)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from shared.dicom import dicom_json, tags
from shared.dicom.bulk_data import BulkValue, Path, parse_path, unpack
from shared.dicom.fragments import FragmentReader
from shared.dicom.head import EXPLICIT_VR_BIG_ENDIAN
from shared.dicom.reencoding import swapped
from shared.errors import NotFound
from shared.services.metadata import bulk_data_of, latest_metadata
from shared.services.stored_file import read_stored
from shared.storage.instance_row import InstanceRow
from shared.storage.storage import Storage

_LARGE_INDEX = 32 * 1024


async def find_value(storage: Storage, row: InstanceRow, name: str) -> tuple[Path, BulkValue]:
    """The value that the end of a BulkDataURI names, and its path. Raises NotFound when there is none (CL-8)."""
    path = parse_path(name)
    packed = await bulk_data_of(storage, row)

    def search() -> BulkValue | None:
        return next((value for found, value in unpack(packed) if found == path and value.length), None)

    value = await asyncio.to_thread(search) if len(packed) > _LARGE_INDEX else search()
    if path is None or value is None:
        raise NotFound("The specified bulk data cannot be found.")
    return path, value


async def document_type(storage: Storage, row: InstanceRow) -> str:
    """MIMETypeOfEncapsulatedDocument in lower case, "" when the instance has none."""
    key = tags.key(tags.MIME_TYPE_OF_ENCAPSULATED_DOCUMENT)
    line = dicom_json.lines(await latest_metadata(storage, row, {})).get(key, b"")
    element = json.loads(b"{%b}" % line).get(key, {})
    return str(element.get("Value", [""])[0]).lower()


async def read_value(
    storage: Storage, row: InstanceRow, value: BulkValue, offset: int, length: int
) -> AsyncIterator[bytes]:
    """The bytes [offset, offset + length) of a value that is not encapsulated."""
    width = value.swapped_width
    start = offset // width * width
    end = min(-(-(offset + length) // width) * width, value.length)
    stored = read_stored(storage, row, value.offset + start, value.offset + end)
    skip = offset - start
    async with aclosing(_turned(stored, width) if width > 1 else stored) as chunks:
        async for chunk in chunks:
            if piece := chunk[skip : skip + length]:
                length -= len(piece)
                yield piece
            skip = max(skip - len(chunk), 0)


async def read_fragments(storage: Storage, row: InstanceRow, value: BulkValue) -> AsyncIterator[bytes]:
    """The fragments of an encapsulated value, one behind the other."""
    reader = FragmentReader(is_big_endian=row.layout.transfer_syntax == EXPLICIT_VR_BIG_ENDIAN)
    async with aclosing(read_stored(storage, row, value.offset)) as chunks:
        async for chunk in chunks:
            if content := reader.feed(chunk):
                yield content
            if reader.is_at_end:
                return


async def _turned(chunks: AsyncGenerator[bytes], width: int) -> AsyncGenerator[bytes]:
    """Numbers of `width` bytes in the other byte order, whatever the sizes of the chunks."""
    rest = b""
    async with aclosing(chunks) as stored:
        async for chunk in stored:
            data = rest + chunk
            whole = len(data) // width * width
            rest = data[whole:]
            yield swapped(data[:whole], width)
    yield rest
