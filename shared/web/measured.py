"""What a request is measured by: from its head to the last byte of its answer, which may be made after the function is over."""

from __future__ import annotations

from collections.abc import AsyncIterator

from shared.telemetry import Operation


class MeasuredBody(AsyncIterator[bytes]):
    """The same chunks, made as a part of the operation, which ends with them; to be closed, also when not begun."""

    def __init__(self, chunks: AsyncIterator[bytes], operation: Operation, status: int) -> None:
        self._chunks = chunks
        self._operation = operation
        self._status = status
        self._failed = status >= 500

    async def __anext__(self) -> bytes:
        with self._operation.running():
            try:
                return await anext(self._chunks)
            except StopAsyncIteration:
                raise
            except Exception:
                self._failed = True
                raise

    async def aclose(self) -> None:
        close = getattr(self._chunks, "aclose", None)
        try:
            if close:
                with self._operation.running():
                    await close()
        finally:
            self._operation.end(failed=self._failed, status=self._status)
