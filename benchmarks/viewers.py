"""Viewers of the live page: they send the requests of a browser, and discard the answers."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

DECAY_INTERVAL_S = 10


@asynccontextmanager
async def watched(port: int, viewers: int) -> AsyncIterator[None]:
    """Run `viewers` viewers of the page on a port."""
    watching = [asyncio.create_task(_view(port)) for _ in range(viewers)]
    try:
        yield
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)


async def _view(port: int) -> None:
    """Read the event stream, and request the decay from time to time, as a browser does."""
    reader, writer = await _asked(port, "/events")
    asked_s = time.monotonic()
    while await reader.read(1 << 20):
        if time.monotonic() - asked_s > DECAY_INTERVAL_S:
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
