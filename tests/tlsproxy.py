"""TLS in front of a server that has none of its own, with a certificate made for the purpose."""

import asyncio
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

CHUNK_BYTES = 65_536
PATIENCE_S = 20

has_openssl = shutil.which("openssl") is not None


def make_certificate(directory: Path, *, host: str = "127.0.0.1") -> tuple[Path, Path]:
    """A certificate that is its own authority, and its key."""
    certificate, key = directory / f"{host}.pem", directory / f"{host}.key"
    key_and_days = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=hip3 test", "-addext", f"subjectAltName=IP:{host}"]
    usage = ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    command = ["openssl", "req", "-x509", *key_and_days, *names, *usage, *files]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)
    return certificate, key


@contextmanager
def tls_in_front_of(redis_url: str, certificate: Path, key: Path) -> Iterator[int]:
    """The loopback port that speaks TLS for the server of a URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    place = urlsplit(redis_url)
    ports: list[int] = []
    is_ready, stop = threading.Event(), threading.Event()

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(place.hostname, place.port)
        try:
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
        finally:
            writer.transport.abort()
            back.transport.abort()

    async def serve() -> None:
        # A refused certificate is the caller's to see, not this thread's to tell.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        server = await asyncio.start_server(tunnel, "127.0.0.1", 0, ssl=context)
        ports.append(server.sockets[0].getsockname()[1])
        is_ready.set()
        await asyncio.to_thread(stop.wait)
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    try:
        assert is_ready.wait(PATIENCE_S), "the proxy does not listen"
        yield ports[0]
    finally:
        stop.set()
        thread.join(PATIENCE_S)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()
