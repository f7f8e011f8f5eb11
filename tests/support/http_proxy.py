"""An HTTP proxy on the event loop of a test: every host that is asked for is this machine."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.support.proxy import pump


class HttpProxy:
    """Answers CONNECT and requests with a whole URL; `asked` has their first lines. `refusal` answers all of them."""

    def __init__(self, *, refusal: str = "") -> None:
        self.asked: list[str] = []
        self._refusal = refusal
        self._carrying: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.close()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)
        await asyncio.sleep(0.05)  # the transports close in later rounds of the loop

    @property
    def url(self) -> str:
        return "http://user:secret@{}:{}".format(*self._server.sockets[0].getsockname())

    @property
    def methods(self) -> set[str]:
        return {line.partition(" ")[0] for line in self.asked}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._carry(reader, writer))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)
        with suppress(asyncio.CancelledError, OSError, asyncio.IncompleteReadError):
            await task
        writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        line = head.split(b"\r\n", 1)[0].decode()
        method, place, _ = line.split(" ")
        self.asked.append(line)
        if self._refusal:
            writer.write(f"HTTP/1.1 {self._refusal}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
            return
        port = urlsplit(place if "://" in place else f"//{place}").port
        there, back = await asyncio.open_connection("127.0.0.1", port)
        try:
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                back.write(head)
            await asyncio.gather(pump(reader, back), pump(there, writer))
        finally:
            back.transport.abort()
