"""Files whose data set is deflated (PS3.5 A.5), inflated while they are read."""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from shared.dicom.file_meta import end_of_file_meta
from shared.errors import InvalidDicom

_PIECE: Final = 256 << 10  # bytes inflated at a time, whatever the ratio


async def inflated(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """The file with its data set inflated: first all that precedes the data set, as it is, then the data set in pieces.

    Raises InvalidDicom when it cannot be inflated or is incomplete.
    """
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    start: bytearray | None = bytearray()
    async for chunk in chunks:
        if start is not None:
            start += chunk
            end = end_of_file_meta(start, is_deflated=True)
            if end is None:
                continue
            yield bytes(start[:end])
            chunk, start = bytes(start[end:]), None
        try:
            while not inflater.eof and (piece := inflater.decompress(chunk, _PIECE)):
                yield piece
                chunk = inflater.unconsumed_tail
        except zlib.error as error:
            raise InvalidDicom("The data set cannot be inflated.") from error
    if not inflater.eof:
        raise InvalidDicom("The file ends within its deflated data set.")
