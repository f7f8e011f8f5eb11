"""Which processes a `hip3 up` runs, with which arguments, and where they listen."""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hip3_tasks import settings
from hip3_tasks.settings import PAGE_PORT, Settings
from hip3_tasks.up import server
from hip3_tasks.up.children import Part

DRAIN_MARGIN_S = 10.0
"""How much longer than the longest offset the feed may take to drain."""
PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the command line of `hip3 up` asks for, beyond settings."""

    duration_s: float | None = None
    as_json: bool = False
    quiet: bool = False
    flower: bool = True
    page: bool = True
    venue_arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """None is what this run does not need: there is one already, or it is not wanted."""

    redis_url: str
    venue_url: str
    flower_url: str | None
    page_url: str | None
    server: Part | None
    venue: Part | None
    feed: Part
    worker: Part
    flower: Part | None
    page: Part | None


def is_simulated(chosen: Settings) -> bool:
    """Whether the venue is one that `hip3 up` runs itself."""
    return chosen.venue == "sim" and chosen.venue_url is None


def make(chosen: Settings, wishes: Wishes) -> Plan:
    """Take ports and write commands; starts nothing. Raises Unavailable when there is no server to run."""
    simulates = is_simulated(chosen)
    port = server.free_port()
    redis_url = chosen.redis_url or f"redis://127.0.0.1:{server.free_port()}/0"
    venue_url = f"http://127.0.0.1:{port}" if simulates else chosen.base_url
    flower_port = chosen.flower_port or server.free_port()
    flower_url = f"http://127.0.0.1:{flower_port}" if wishes.flower else None
    with_page = wishes.page and find_spec("uvicorn") is not None
    page_port = chosen.page_port or server.free_port(PAGE_PORT)
    environment = _environment(chosen, redis_url, venue_url)

    def part(name: str, *arguments: str, with_: Mapping[str, str] = MappingProxyType({}), **more: Any) -> Part:
        command = [sys.executable, "-P", "-m", *arguments]
        return Part(name=name, command=command, environment={**environment, **with_}, **more)

    simulator = ("simulator", "--host", "127.0.0.1", "--port", str(port), "--parent-pid", str(os.getpid()))
    drain_s = max(chosen.offsets_ms) / 1000 + DRAIN_MARGIN_S
    return Plan(
        redis_url=redis_url,
        venue_url=venue_url,
        flower_url=flower_url,
        page_url=f"http://{_shown(chosen.page_host)}:{page_port}" if with_page else None,
        server=None if chosen.redis_url else _server(chosen.data_dir, redis_url, environment),
        venue=part("venue", *simulator, *wishes.venue_arguments) if simulates else None,
        feed=part("feed", "feed", ends_within_s=drain_s + PATIENCE_S),
        worker=part("worker", "celery", "-A", "hip3_tasks", "worker", *_worker_options(chosen)),
        flower=part("flower", "celery", "-A", "hip3_tasks", "flower", *_flower_options(flower_port), is_needed=False)
        if wishes.flower
        else None,
        page=part(
            "page", "hip3_tasks.cli", "page", with_=_page_environment(chosen, page_port, flower_url), is_needed=False
        )
        if with_page
        else None,
    )


def _server(data_dir: Path, redis_url: str, environment: dict[str, str]) -> Part:
    directory = data_dir / "redis"
    port = int(redis_url.rpartition(":")[2].partition("/")[0])
    return Part(
        name="redis",
        command=server.command(server.binary(), port=port, directory=directory),
        environment=environment,
        ends_last=True,
    )


def _worker_options(chosen: Settings) -> list[str]:
    return [
        f"--autoscale={chosen.autoscale}",
        f"--hostname={chosen.feed_name}@%h",
        # Mingling costs a second at each start, and one worker has nobody to gossip with.
        "--without-gossip",
        "--without-mingle",
        "--task-events",
        # At info Celery writes two lines a task.
        f"--loglevel={'DEBUG' if chosen.log_level == 'debug' else 'WARNING'}",
    ]


def _flower_options(port: int) -> list[str]:
    return ["--address=127.0.0.1", f"--port={port}", "--logging=warning"]


def _page_environment(chosen: Settings, port: int, flower_url: str | None) -> dict[str, str]:
    return {"HIP3_PAGE_PORT": str(port), "HIP3_FLOWER_URL": chosen.flower_url or flower_url or ""}


def _shown(host: str) -> str:
    """An address to listen on, as one to ask."""
    with suppress(ValueError):
        if ip_address(host).is_unspecified:
            return "[::1]" if ":" in host else "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _environment(chosen: Settings, redis_url: str, venue_url: str) -> dict[str, str]:
    environment = settings.environment(chosen, HIP3_REDIS_URL=redis_url, HIP3_VENUE_URL=venue_url)
    root = Path(__file__).resolve().parents[2]
    if root.name not in ("site-packages", "dist-packages"):
        # A checkout is found from any working directory, whose own `feed` is never taken for ours.
        environment["PYTHONPATH"] = ":".join(filter(None, [str(root), environment.get("PYTHONPATH")]))
    return environment
