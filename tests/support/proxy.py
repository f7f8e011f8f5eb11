"""A proxy in front of a server: it adds TLS, and can silence connections without closing them."""

import asyncio
import shutil
import ssl
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

CHUNK_BYTES = 65_536
TIMEOUT_S = 20

has_openssl = shutil.which("openssl") is not None


def make_certificate(directory: Path, *, host: str = "127.0.0.1") -> tuple[Path, Path]:
    """A self-signed certificate, and its key."""
    certificate, key = directory / f"{host}.pem", directory / f"{host}.key"
    key_and_days = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=hip3 test", "-addext", f"subjectAltName=IP:{host}"]
    usage = ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    command = ["openssl", "req", "-x509", *key_and_days, *names, *usage, *files]
    subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT_S)
    return certificate, key


class Proxy:
    """Forwards TCP connections to a local port, with or without TLS towards its clients, in a thread."""

    def __init__(self, to_port: int, *, tls: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self._to_port, self._tls = to_port, tls
        self._pumps: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._is_up = threading.Event()

    def __enter__(self) -> "Proxy":
        self._thread.start()
        assert self._is_up.wait(TIMEOUT_S), "the proxy does not listen"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ends.set)
        self._thread.join(TIMEOUT_S)

    def fall_silent(self) -> int:
        """Stop forwarding on all open connections, without closing them; return their number.

        New connections work.
        """

        async def on_loop() -> int:
            return sum(pump.cancel() for pump in self._pumps) // 2

        return asyncio.run_coroutine_threadsafe(on_loop(), self._loop).result(TIMEOUT_S)

    async def _serve(self) -> None:
        self._loop, self._ends = asyncio.get_running_loop(), asyncio.Event()
        # The client sees that a certificate is refused; this thread need not log it.
        self._loop.set_exception_handler(lambda *_: None)
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        self._is_up.set()
        await self._ends.wait()
        server.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._to_port)
        except OSError:
            writer.transport.abort()
            return
        pumps = {asyncio.create_task(pump(reader, back)), asyncio.create_task(pump(there, writer))}
        self._pumps |= pumps
        try:
            await asyncio.wait(pumps)
            if any(pump.cancelled() for pump in pumps):
                await self._ends.wait()
        finally:
            self._pumps -= pumps
            writer.transport.abort()
            back.transport.abort()


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()
