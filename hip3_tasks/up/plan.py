"""Which processes a `hip3 up` runs, with which arguments, and where they listen."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from hip3_tasks import services, settings
from hip3_tasks.errors import Unavailable
from hip3_tasks.settings import PAGE_PORT, Settings
from hip3_tasks.up import embedded_redis
from hip3_tasks.up.child_process import Part

DRAIN_MARGIN_S = 10.0
"""How much longer than the longest offset the feed may take to drain."""
PATIENCE_S = 10.0
FLOWER_TASKS = 10_000
LOOPBACK = "127.0.0.1"


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
    server: Part | None
    venue: Part | None
    feed: Part
    worker: Part
    flower: Part | None
    page: Part | None


def runs_venue(chosen: Settings) -> bool:
    """Whether the venue is one that `hip3 up` runs itself."""
    return chosen.venue == "sim" and chosen.venue_url is None


def make(chosen: Settings, wishes: Wishes) -> Plan:
    """Take ports and write commands; starts nothing. Raises Unavailable when a port or a program is not to be had."""
    _check_programs(chosen, wishes)
    _check_ports(chosen, wishes)
    port = embedded_redis.free_port()
    redis_url = chosen.redis_url or f"redis://127.0.0.1:{embedded_redis.free_port()}/0"
    venue_url = f"http://127.0.0.1:{port}" if runs_venue(chosen) else chosen.base_url
    environment = _environment(chosen, redis_url, venue_url)
    simulator = ("simulator", "--host", "127.0.0.1", "--port", str(port), "--parent-pid", str(os.getpid()))
    drain_s = max(chosen.offsets_ms) / 1000 + DRAIN_MARGIN_S
    return Plan(
        redis_url=redis_url,
        venue_url=venue_url,
        server=None if chosen.redis_url else _server(chosen.data_dir, redis_url, environment),
        venue=_part("venue", environment, *simulator, *wishes.venue_arguments) if runs_venue(chosen) else None,
        feed=_part("feed", environment, "feed", ends_within_s=drain_s + PATIENCE_S),
        worker=_part("worker", environment, "hip3_tasks.celery_command", "worker", *_worker_options(chosen)),
        flower=_flower(chosen, environment) if wishes.flower else None,
        page=_page(chosen, environment) if wishes.page else None,
    )


def _check_programs(chosen: Settings, wishes: Wishes) -> None:
    """All that is wanted is installed, or nothing is started. Raises Unavailable."""
    missing = {
        "Flower (extra flower, or --no-flower)": wishes.flower and find_spec("flower") is None,
        "the page's server (extra web, or --no-page)": wishes.page and find_spec("uvicorn") is None,
        "a Redis-compatible server (extra server, or HIP3_REDIS_URL)": not chosen.redis_url
        and not embedded_redis.is_there(),
    }
    names = [name for name, is_missing in missing.items() if is_missing]
    if names:
        raise Unavailable(f"not installed: {', '.join(names)}; `make run` installs everything")


def _check_ports(chosen: Settings, wishes: Wishes) -> None:
    """A port that somebody chose is taken, or nothing is started. Raises Unavailable."""
    asked = (
        ("HIP3_PAGE_PORT", wishes.page, chosen.page_host, chosen.page_port),
        ("HIP3_FLOWER_PORT", wishes.flower, LOOPBACK, chosen.flower_port),
    )
    for name, is_wanted, host, port in asked:
        if is_wanted and port and not embedded_redis.is_free(port, host):
            raise Unavailable(f"{name}: port {port} of {host} is taken; choose another, or leave it out for any")


def _part(name: str, environment: Mapping[str, str], *arguments: str, **more: Any) -> Part:
    return Part(name=name, command=services.command(*arguments), environment=environment, **more)


def _flower(chosen: Settings, environment: Mapping[str, str], wished: int = 0) -> Part:
    port = chosen.flower_port or embedded_redis.free_port(wished)
    return _part(
        "flower",
        environment,
        "hip3_tasks.celery_command",
        "flower",
        *_flower_options(port),
        is_needed=False,
        url=f"http://{LOOPBACK}:{port}",
        renew=lambda: _flower(chosen, environment, port),
    )


def _page(chosen: Settings, environment: Mapping[str, str], wished: int = PAGE_PORT) -> Part:
    port = chosen.page_port or embedded_redis.free_port(wished, chosen.page_host)
    return _part(
        "page",
        {**environment, "HIP3_PAGE_PORT": str(port)},
        "hip3_tasks.cli",
        "page",
        is_needed=False,
        url=f"http://{_shown(chosen.page_host)}:{port}",
        renew=lambda: _page(chosen, environment, port),
    )


def _server(data_dir: Path, redis_url: str, environment: dict[str, str]) -> Part:
    directory = data_dir / "redis"
    port = int(redis_url.rpartition(":")[2].partition("/")[0])
    return Part(
        name="redis",
        command=embedded_redis.command(embedded_redis.binary(), port=port, directory=directory),
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
    # By default it keeps 100,000 tasks, 4.4 kB each.
    return [f"--address={LOOPBACK}", f"--port={port}", "--logging=warning", f"--max_tasks={FLOWER_TASKS}"]


def _shown(host: str) -> str:
    """An address to listen on, as one to ask."""
    with suppress(ValueError):
        if ip_address(host).is_unspecified:
            return "[::1]" if ":" in host else "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _environment(chosen: Settings, redis_url: str, venue_url: str) -> dict[str, str]:
    return services.environment(settings.environment(chosen, HIP3_REDIS_URL=redis_url, HIP3_VENUE_URL=venue_url))
