"""The blobs of the container, as far as the services use them: written once, read as streams, deleted, listed.

Only bundles (storage/bundles.py) are written again, when files are deleted from them.
"""

from __future__ import annotations

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

import aiohttp
from azure.core.exceptions import AzureError

from .account import CONTAINER
from .bundles import FILES, Extent, contents, has_files
from .pipeline import Pipeline, StorageError, error_code, only

BLOB_HEADERS = {"x-ms-version": "2021-12-02"}
BLOCKS_AT_ONCE = 12
"""On their way from this process, so that the memory of many uploads at a time is that of a few."""
REWRITTEN_AT_ONCE = 4
"""Bundles, each of which is held twice."""
READ_RESUMES = 3
"""How often in a row the reading of a blob may break without a byte in between."""

_CONTENT_TYPE = {"x-ms-blob-content-type": "application/dicom"}
_NEW_BLOB = {"If-None-Match": "*"} | _CONTENT_TYPE
_METADATA = "x-ms-meta-"
_FILES_HEADER = f"{_METADATA}{FILES}"


class BlobNotFound(StorageError):
    """The blob does not exist."""


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob as a listing shows it; `length` in bytes, the names of `metadata` in lower case."""

    name: str
    length: int
    metadata: Mapping[str, str]

    @property
    def files(self) -> dict[Extent, tuple[str, str, str]]:
        """The files in it, with the UIDs of study, series and instance."""
        return contents(self.name, self.length, self.metadata)


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a bundle (storage/bundles.py) holds with this ETag; the names of `metadata` in lower case."""

    data: bytes
    metadata: Mapping[str, str]
    etag: str


class BlobWire:
    """The container of the service in an account."""

    def __init__(self, blobs: Pipeline) -> None:
        self._blobs = blobs
        self.block_slots = asyncio.Semaphore(BLOCKS_AT_ONCE)
        """Whoever calls `put_block` holds one of them."""
        self.rewrite_slots = asyncio.Semaphore(REWRITTEN_AT_ONCE)
        """Likewise, from `get_bundle` to the end of `replace_bundle`."""

    async def create_container(self) -> None:
        """An existing container is fine."""
        response = await self._blobs.send("PUT", f"{CONTAINER}?restype=container", {}, accept=(201, 409))
        only(response, 409, "ContainerAlreadyExists")

    async def put_blob(self, name: str, data: bytes, metadata: Mapping[str, str]) -> None:
        """Writes a new blob. One of the same length that is there already is taken for an earlier try of this call.

        `metadata` has ASCII letters and digits as names and ASCII values. Raises StorageError (409) if another blob is there.
        """
        headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream"}
        headers |= _NEW_BLOB | _metadata(metadata)
        response = await self._blobs.send("PUT", _path(name), headers, data, accept=(201, 409))
        if response.status_code == 409:
            there = await self._blobs.send("HEAD", _path(name), {}, accept=(200, 404))
            if there.status_code == 404 or there.headers.get("Content-Length") != str(len(data)):
                raise StorageError(409, error_code(response))

    async def put_block(self, name: str, block_id: str, data: bytes) -> None:
        """`block_id` is base64; all of a blob have the same length. Raises StorageError (400) if `data` arrive damaged.

        The digest also keeps the emulator from a CRC in JavaScript, with which a block takes it four times as long.
        """
        path = f"{_path(name)}?comp=block&blockid={quote(block_id, safe='')}"
        headers = {"Content-Type": "application/octet-stream", "Content-MD5": await _digest(data)}
        await self._blobs.send("PUT", path, headers, data, accept=(201,))

    async def put_block_list(self, name: str, block_ids: Sequence[str], metadata: Mapping[str, str]) -> None:
        """Makes a new blob of blocks. One of the same blocks that is there already is taken for an earlier try of this call.

        Raises StorageError: 409 if another blob is there, 400 if a block is not.
        """
        blocks = "".join(f"<Latest>{block}</Latest>" for block in block_ids)
        body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{blocks}</BlockList>'.encode()
        headers = {"Content-Type": "application/xml"} | _NEW_BLOB | _metadata(metadata)
        path = f"{_path(name)}?comp=blocklist"
        response = await self._blobs.send("PUT", path, headers, body, accept=(201, 409))
        if response.status_code == 409:
            there = await self._blobs.send("GET", f"{path}&blocklisttype=committed", {}, accept=(200, 404))
            if there.status_code == 404 or _block_ids(there.content) != [*block_ids]:
                raise StorageError(409, error_code(response))

    async def read_blob(
        self, name: str, offset: int = 0, length: int | None = None, bundled: Collection[int] = ()
    ) -> AsyncGenerator[bytes]:
        """The bytes [offset, offset + length) in chunks as they come, those beyond the end of the blob left out.

        Of a bundle, `bundled` are the offsets of the files that are read; other files may be deleted from it meanwhile.
        A connection that breaks is resumed behind the last chunk. Nothing is read ahead of the consumer but the buffers of the
        connection, and closing the iterator closes it. Raises BlobNotFound, also when the bundle has a file no more.
        """
        end = None if length is None else offset + length
        etag = ""
        breaks = 0
        while end is None or offset < end:
            headers = {"x-ms-range": f"bytes={offset}-{'' if end is None else end - 1}"}
            if etag:
                headers["If-Match"] = etag
            response = await self._blobs.send("GET", _path(name), headers, accept=(200, 206, 404, 416), stream=True)
            if response.status_code == 404:
                raise BlobNotFound(404, error_code(response))
            if response.status_code == 416:
                return
            try:
                if not has_files(response.headers.get(_FILES_HEADER, ""), bundled):
                    raise BlobNotFound(404, "BlobNotFound")
                etag = "" if bundled else response.headers["ETag"]
                async for chunk in response.iter_raw():
                    offset += len(chunk)
                    breaks = 0
                    self._blobs.counters.add(bytes_received=len(chunk))
                    yield chunk
                return
            except (AzureError, aiohttp.ClientError) as error:
                breaks += 1
                if breaks > READ_RESUMES:
                    raise StorageError(0, "Unreachable") from error
            finally:
                await response.close()

    async def get_bundle(self, name: str) -> Bundle | None:
        """The whole of a bundle; None when it does not exist. Raises StorageError if it arrives damaged."""
        response = await self._blobs.send("GET", _path(name), {}, accept=(200, 404))
        if response.status_code == 404:
            return None
        if response.headers.get("Content-MD5", "") not in ("", await _digest(response.content)):
            raise StorageError(response.status_code, "Md5Mismatch")
        metadata = {
            key.lower().removeprefix(_METADATA): value
            for key, value in response.headers.items()
            if key.lower().startswith(_METADATA)
        }
        return Bundle(response.content, metadata, response.headers["ETag"])

    async def replace_bundle(self, name: str, data: bytes, metadata: Mapping[str, str], etag: str) -> bool:
        """Writes a bundle anew. False: it is not as it was with `etag` any more.

        Raises StorageError (400) if `data` arrive damaged.
        """
        headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream", "If-Match": etag}
        headers |= {"Content-MD5": await _digest(data)} | _CONTENT_TYPE | _metadata(metadata)
        response = await self._blobs.send("PUT", _path(name), headers, data, accept=(201, 404, 412))
        return response.status_code == 201

    async def delete_blob(self, name: str) -> None:
        """A missing blob is fine."""
        await self._blobs.send("DELETE", _path(name), {}, accept=(202, 404))

    async def list_blobs(self, prefix: str) -> AsyncIterator[str]:
        """The names that begin with `prefix`, in order."""
        async for blob in self._list(prefix, ""):
            yield blob.findtext("Name") or ""

    async def blobs(self, prefix: str) -> AsyncIterator[StoredBlob]:
        """The blobs whose names begin with `prefix`, in order: one request for up to 5,000 of them."""
        async for blob in self._list(prefix, "metadata"):
            metadata = {item.tag.lower(): item.text or "" for item in blob.iterfind("./Metadata/*")}
            length = int(blob.findtext("./Properties/Content-Length") or 0)
            yield StoredBlob(blob.findtext("Name") or "", length, metadata)

    async def _list(self, prefix: str, include: str) -> AsyncIterator[ElementTree.Element]:
        marker = ""
        while True:
            query = {"restype": "container", "comp": "list", "prefix": prefix, "marker": marker, "include": include}
            given = {name: value for name, value in query.items() if value}
            path = f"{CONTAINER}?{urlencode(given, quote_via=quote)}"
            response = await self._blobs.send("GET", path, {}, accept=(200,))
            root = ElementTree.fromstring(response.content)
            for blob in root.iterfind("./Blobs/Blob"):
                yield blob
            marker = root.findtext("NextMarker") or ""
            if not marker:
                return


def _path(blob: str) -> str:
    return f"{CONTAINER}/{quote(blob, safe="/!$&'()*,;=:@")}"


async def _digest(data: bytes) -> str:
    return b64encode((await asyncio.to_thread(hashlib.md5, data, usedforsecurity=False)).digest()).decode()


def _metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    return {f"{_METADATA}{name}": value for name, value in metadata.items()}


def _block_ids(block_list: bytes) -> list[str]:
    root = ElementTree.fromstring(block_list)
    return [block.text or "" for block in root.iterfind("./CommittedBlocks/Block/Name")]
