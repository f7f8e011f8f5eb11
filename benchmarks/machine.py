"""A description of the machine, the libraries and the server."""

import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks.peers import Peer
from hip3_tasks.up.embedded_redis import find_server

LIBRARIES = "kombu", "redis", "hiredis", "orjson", "pydantic"


def description(peers: Iterable[Peer]) -> dict[str, str]:
    """Names and values, in the order of the page."""
    packages = {f"{peer.package} {_version(peer)}": None for peer in peers if peer.package}
    return {
        **machine_description(),
        "server": _server(),
        "peers": ", ".join(packages),
        "libraries": ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
    }


def machine_description() -> dict[str, str]:
    """Processor, memory, system and Python, for every benchmark."""
    return {
        "processor": f"{_processor()}, {psutil.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
    }


def _version(peer: Peer) -> str:
    code = f"from importlib.metadata import version; print(version({peer.package!r}))"
    return subprocess.run([peer.python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _server() -> str:
    output = subprocess.run([find_server(), "--version"], capture_output=True, text=True, check=True).stdout
    return " ".join(output.split()[:3]).replace(" server v=", " ")
