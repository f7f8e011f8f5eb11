"""Viewers of the live page: what browsers ask for, read and thrown away."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

ASK_EVERY_S = 10


@asynccontextmanager
async def watched(port: int, viewers: int) -> AsyncIterator[None]:
    """So many look at the page on a port meanwhile."""
    watching = [asyncio.create_task(_view(port)) for _ in range(viewers)]
    try:
        yield
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)


async def _view(port: int) -> None:
    """One browser's event stream."""
    reader, writer = await _asked(port, "/events")
    asked_s = time.monotonic()
    while await reader.read(1 << 20):
        if time.monotonic() - asked_s > ASK_EVERY_S:
            asked_s = time.monotonic()
            answer, asking = await _asked(port, "/api/decay?coin=&side=")
            await answer.read()
            asking.close()
    writer.close()


async def _asked(port: int, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    end = "" if path == "/events" else "Connection: close\r\n"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{end}\r\n".encode())
    return reader, writer
