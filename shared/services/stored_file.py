"""The file of one instance as it is read: as stored, or in the latest version with its study's change sets applied (D-65)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from shared.dicom.change_set import Changes, FilePatcher, patch_file, patches_head_only
from shared.dicom.head import DEFLATED
from shared.dicom.inflation import inflated
from shared.dicom.rewriting import Piece, merged
from shared.services.races import StudyChanged
from shared.storage.instance_row import InstanceRow
from shared.storage.storage import Storage
from shared.storage.wire import BlobNotFound

_PIECE_OF_A_HEAD: Final = 1 << 20  # bytes read at a time to find out how long the patched file is
_MOST_OF_A_HEAD: Final = 16 << 20  # of it in memory


async def read_file(storage: Storage, row: InstanceRow, changes: Changes) -> AsyncGenerator[bytes]:
    """The whole file, in chunks. Raises StudyChanged when the instance is gone meanwhile."""
    async with aclosing(read_bytes(storage, row)) as stored:
        async for chunk in patch_file(stored, row.layout, changes) if changes else stored:
            yield chunk


@dataclass(frozen=True, slots=True)
class SizedFile:
    """A file of which any range can be read: what it is made of, in order."""

    row: InstanceRow
    pieces: Sequence[Piece]

    @property
    def length(self) -> int:
        """Bytes of the whole file."""
        return sum(len(piece) for piece in self.pieces)

    async def read(self, storage: Storage, offset: int, length: int) -> AsyncIterator[bytes]:
        """The bytes [offset, offset + length). Raises StudyChanged when the instance is gone meanwhile."""
        begin = 0
        for piece in self.pieces:
            wanted = piece[max(offset - begin, 0) : max(offset + length - begin, 0)]
            begin += len(piece)
            if isinstance(wanted, range) and wanted:
                async with aclosing(read_bytes(storage, self.row, wanted.start, len(wanted))) as chunks:
                    async for chunk in chunks:
                        yield chunk
            elif isinstance(wanted, bytes) and wanted:
                yield wanted


async def sized_file(storage: Storage, row: InstanceRow, changes: Changes) -> SizedFile | None:
    """The file with its length; None when that is known only after all of it was rewritten.

    Of an instance with changes the head is read for it, but not the long values in it: a few KiB. Raises StudyChanged.
    """
    if not changes:
        return SizedFile(row, [range(row.length)])
    if not patches_head_only(row.layout, changes):
        return None
    end = row.layout.head_length
    patcher = FilePatcher(row.layout, changes, skips=True)
    head: list[Piece] = []
    while (begin := patcher.wanted) < end:
        if sum(len(piece) for piece in head if isinstance(piece, bytes)) > _MOST_OF_A_HEAD:
            return None
        data = b"".join([chunk async for chunk in read_bytes(storage, row, begin, min(_PIECE_OF_A_HEAD, end - begin))])
        if not data:
            break
        head += patcher.feed(data)
    return SizedFile(row, merged([*head, *patcher.finish(), range(end, row.length)]))


async def read_stored(storage: Storage, row: InstanceRow, first: int, end: int | None = None) -> AsyncGenerator[bytes]:
    """The bytes [first, end) of the stored file, of a deflated one those of its inflated form; without `end` all from `first`.

    Raises StudyChanged when the instance is gone meanwhile.
    """
    deflated = row.layout.transfer_syntax in DEFLATED
    length = None if end is None else end - first
    async with aclosing(read_bytes(storage, row, *(() if deflated else (first, length)))) as stored:
        async for chunk in _cut(inflated(stored), first, end) if deflated else stored:
            yield chunk


def read_bytes(storage: Storage, row: InstanceRow, offset: int = 0, length: int | None = None) -> AsyncGenerator[bytes]:
    """The bytes [offset, offset + length) of the stored file, without `length` all from `offset`.

    Raises StudyChanged when the instance is gone meanwhile.
    """
    end = row.length if length is None else min(offset + length, row.length)
    return _read(storage, [row], row.offset + offset, end - offset)


def read_run(storage: Storage, rows: Sequence[InstanceRow]) -> AsyncGenerator[bytes]:
    """The stored files, one behind the other; if there are several, they follow each other in a bundle.

    Raises StudyChanged when one of the instances is gone meanwhile.
    """
    return _read(storage, rows, rows[0].offset, sum(row.length for row in rows))


async def _read(storage: Storage, rows: Sequence[InstanceRow], offset: int, length: int) -> AsyncGenerator[bytes]:
    """The bytes [offset, offset + length) of the blob in which the files of `rows` are."""
    stored = storage.wire.read_blob(rows[0].blob, offset, length, [row.offset for row in rows if row.files > 1])
    try:
        async for chunk in stored:
            length -= len(chunk)
            yield chunk
    except BlobNotFound:
        pass
    finally:
        await stored.aclose()
    if length > 0:
        raise StudyChanged(f"The file of the instance {rows[0].sop_instance} cannot be read.")


async def read_sidecar(storage: Storage, row: InstanceRow, offset: int = 0, length: int | None = None) -> bytes:
    """What does not fit into the row: its metadata, their bulk data index, and the pages of its frame index.

    Raises StudyChanged when the instance is gone meanwhile.
    """
    try:
        return b"".join([chunk async for chunk in storage.wire.read_blob(row.metadata_blob, offset, length)])
    except BlobNotFound as error:
        raise StudyChanged(f"The metadata of the instance {row.sop_instance} cannot be read.") from error


async def _cut(chunks: AsyncIterator[bytes], first: int, end: int | None) -> AsyncIterator[bytes]:
    """The bytes [first, end) of all, without `end` all from `first`."""
    position = 0
    async for chunk in chunks:
        if wanted := chunk[max(first - position, 0) : None if end is None else end - position]:
            yield wanted
        position += len(chunk)
        if end is not None and position >= end:
            return


async def same_content(storage: Storage, one: InstanceRow, other: InstanceRow) -> bool:
    """Whether two stored files of the same length have the same bytes; False when one is gone."""
    left, right = read_bytes(storage, one), read_bytes(storage, other)
    rest, other_rest = b"", b""
    try:
        while True:
            rest = rest or await anext(left, b"")
            other_rest = other_rest or await anext(right, b"")
            common = min(len(rest), len(other_rest))
            if not common:
                return rest == other_rest
            if rest[:common] != other_rest[:common]:
                return False
            rest, other_rest = rest[common:], other_rest[common:]
    except StudyChanged:
        return False
    finally:
        await left.aclose()
        await right.aclose()
