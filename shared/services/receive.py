"""Receives one DICOM file: scans it while it is stored, without ever holding more of it than a few blocks."""

from __future__ import annotations

import asyncio
import base64
import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from shared.dicom import bulk_data, dicom_json, frame_pages, frames, tags
from shared.dicom.beginning import missing_beginning
from shared.dicom.change_set import HeadLayout
from shared.dicom.frame_pages import PAGE_FRAGMENTS
from shared.dicom.head import HeadScanner, ScannedFile
from shared.dicom.searchable import SERIES_ATTRIBUTES, STUDY_ATTRIBUTES, Attribute
from shared.dicom.validation import Findings, validate
from shared.errors import InvalidDicom, PayloadTooLarge
from shared.services.strict import strict_findings
from shared.services.summaries import integer, summary_of
from shared.services.tag_values import Elements
from shared.storage import keys
from shared.storage.instance_row import InstanceRow
from shared.storage.study_rows import Summary
from shared.storage.wire import Wire

BLOCK_BYTES = 4 << 20
BLOCKS_AT_ONCE = 3
PREAMBLE = 128

INVALID_DICOM = 0xA900
IMPLICIT_VR = 0xB007
VALIDATION_WARNING = 1

_LARGE_DATA_SET = 512 * 1024
"""So much takes longer to validate and to encode than the event loop should wait; so do many fragments to index."""


@dataclass(slots=True)
class Received:
    """A file of a store request. `row` is None when it cannot be stored; `failure` then has the reason (STOW-126)."""

    failure: int | None = None
    comments: list[str] = field(default_factory=list)
    warning: int | None = None
    multiple_values: bool = False
    study: str = ""
    sop_class: str = ""
    sop_instance: str = ""
    row: InstanceRow | None = None
    study_summary: Summary = field(default_factory=dict)
    series_summary: Summary = field(default_factory=dict)
    series_number: int = 0
    frame_pages: bytes = b""
    tags: Elements = field(default_factory=dict)
    data: bytes | None = None
    blocks: list[str] = field(default_factory=list)


async def receive(
    wire: Wire,
    chunks: AsyncIterator[bytes],
    *,
    request: str,
    number: int,
    study: str | None,
    max_bytes: int,
    strict: Sequence[Attribute] = (),
) -> Received:
    """Reads one file to its end. Its bytes are then in `data`, or staged as uncommitted `blocks` when it is long.

    `strict` are attributes whose values must keep the rules of v1.

    Raises PayloadTooLarge before the excess is read (D-17); whatever is wrong with the file itself becomes a failure.
    """
    blob = keys.blob_name(request, number)
    scanner: HeadScanner | None = HeadScanner()
    length = 0
    async with _BlockStager(wire, blob) as stager:
        async for chunk in _whole(chunks):
            length += len(chunk)
            if length > max_bytes:
                raise PayloadTooLarge(f"The request exceeded the allowed limit of {max_bytes} bytes.")
            if scanner is None:
                continue
            try:
                scanner.feed(chunk)
            except InvalidDicom:
                scanner = None
                continue
            await stager.write(chunk)
        try:
            scan = scanner.finish() if scanner else None
        except InvalidDicom:
            scan = None
        if scan is None:
            return Received(failure=INVALID_DICOM)
        data, blocks = await stager.finish()
    if scan.kept_bytes > _LARGE_DATA_SET or (scan.pixel_data and len(scan.pixel_data.fragments) > PAGE_FRAGMENTS):
        received = await asyncio.to_thread(_describe, scan, study, request, blob, strict)
    else:
        received = _describe(scan, study, request, blob, strict)
    if received.row:  # the bytes of a file that is refused are of no more use
        received.data, received.blocks = data, blocks
    return received


def _describe(scan: ScannedFile, study: str | None, request: str, blob: str, strict: Sequence[Attribute]) -> Received:
    """What the index needs to know of a scanned file."""
    findings = validate(scan, study)
    if strict:
        findings = strict_findings(findings, scan, strict)
    received = Received(
        study=_uid(scan, tags.STUDY_INSTANCE_UID),
        sop_class=_uid(scan, tags.SOP_CLASS_UID),
        sop_instance=_uid(scan, tags.SOP_INSTANCE_UID),
        multiple_values=findings.multiple_values,
    )
    if findings.failures:
        received.failure = findings.failure_reason
        received.comments = [text for _, text in _one_per_tag(findings)]
        return received
    received.comments = [text for _, text in findings.warnings]
    received.warning = IMPLICIT_VR if scan.is_implicit_vr else VALIDATION_WARNING if findings.warnings else None
    metadata = dicom_json.encode(findings.dataset, scan.character_sets, scan.is_little_endian)
    lines = dicom_json.lines(metadata)
    row = InstanceRow(
        series=_uid(scan, tags.SERIES_INSTANCE_UID),
        sop_instance=received.sop_instance,
        version=0,
        request=request,
        blob=blob,
        sop_class=received.sop_class,
        length=scan.length,
        number=integer(lines, tags.INSTANCE_NUMBER),
        layout=HeadLayout.of(scan),
        frames=b"",
        packed_metadata=zlib.compress(metadata, 6),
        has_pixels=scan.pixel_data is not None,
        bulk_data=bulk_data.pack(bulk_data.locate(findings.dataset, is_big_endian=not scan.is_little_endian)),
    )
    if index := frames.locate_frames(scan):
        packed, received.frame_pages = frame_pages.cut(index, len(row.packed_metadata) + len(row.bulk_data))
        row = replace(row, frames=packed)
    is_whole = row.fits() and not received.frame_pages
    received.row = row if is_whole else replace(row, metadata_blob=f"{row.blob}.json")
    if any(tag == tags.SOP_CLASS_UID for tag, _ in findings.warnings):
        received.sop_class = ""  # an attribute that was dropped is not in the answer either (STOW-52)
    received.study_summary = summary_of(lines, STUDY_ATTRIBUTES)
    received.series_summary = summary_of(lines, SERIES_ATTRIBUTES)
    received.series_number = integer(lines, tags.SERIES_NUMBER)
    return received


def _one_per_tag(findings: Findings) -> list[tuple[int, str]]:
    """STOW-47, STOW-49: all messages, the required attributes' first, one for each tag."""
    comments = dict(reversed([*findings.failures, *findings.warnings]))
    ordered = dict.fromkeys(tag for tag, _ in (*findings.failures, *findings.warnings))
    return [(tag, comments[tag]) for tag in ordered]


def _uid(scan: ScannedFile, tag: int) -> str:
    """The first value of a UID of the data set, without padding; empty when it is missing."""
    for element in scan.dataset:
        if element.tag == tag and isinstance(element.value, bytes):
            return element.value.decode("ascii", "replace").split("\\")[0].strip(" \0")
    return ""


async def _whole(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The chunks of a file, after what is missing before them."""
    start = b""
    is_whole = False
    async for chunk in chunks:
        if is_whole:
            yield chunk
            continue
        start += chunk
        if (missing := missing_beginning(start, is_all=False)) is not None:
            is_whole = True
            yield missing + start
    if not is_whole:
        yield (missing_beginning(start, is_all=True) or b"") + start


class _BlockStager:
    """Collects a file: short ones in memory, long ones as staged blocks, a few of them on their way at a time."""

    def __init__(self, wire: Wire, blob: str) -> None:
        self._wire = wire
        self._blob = blob
        self._buffer = bytearray()
        self._blocks: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> _BlockStager:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def write(self, chunk: bytes) -> None:
        while len(self._buffer) + len(chunk) > BLOCK_BYTES:
            fits = BLOCK_BYTES - len(self._buffer)
            self._buffer += chunk[:fits]
            chunk = chunk[fits:]
            await self._stage()
        self._buffer += chunk

    async def finish(self) -> tuple[bytes | None, list[str]]:
        if not self._blocks:
            return _without_preamble(self._take()), []
        if self._buffer:
            await self._stage()
        await asyncio.gather(*self._tasks)
        return None, self._blocks

    def _take(self) -> bytes:
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    async def _stage(self) -> None:
        """Sends the buffer on its way as a block; waits for its turn first, so that the client waits too."""
        while len(self._tasks) >= BLOCKS_AT_ONCE:
            done, self._tasks = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        await self._wire.block_slots.acquire()
        data = self._take() if self._blocks else _without_preamble(self._take())
        block = base64.b64encode(f"{len(self._blocks):06d}".encode()).decode()
        self._blocks.append(block)
        task = asyncio.create_task(self._wire.put_block(self._blob, block, data))
        task.add_done_callback(lambda _: self._wire.block_slots.release())
        self._tasks.add(task)


def _without_preamble(data: bytes) -> bytes:
    """D-11: the preamble, which may hold anything, is stored as zeros."""
    return bytes(PREAMBLE) + data[PREAMBLE:]
