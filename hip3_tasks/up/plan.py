"""The plan of a `hip3 up`: its processes, their arguments and where they listen."""

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
from hip3_tasks.up.child_process import ProcessSpec

DRAIN_MARGIN_S = 10.0
"""The feed may take this much longer than the longest offset to drain."""
STOP_TIMEOUT_S = 10.0
MAX_FLOWER_TASKS = 10_000
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpOptions:
    """The options of `hip3 up` that are no settings."""

    duration_s: float | None = None
    as_json: bool = False
    quiet: bool = False
    flower: bool = True
    page: bool = True
    venue_arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The processes of a run. None: this run does not need the process, or it runs elsewhere."""

    redis_url: str
    venue_url: str
    server: ProcessSpec | None
    venue: ProcessSpec | None
    feed: ProcessSpec
    worker: ProcessSpec
    flower: ProcessSpec | None
    page: ProcessSpec | None
    recorder: ProcessSpec | None


def runs_venue(chosen: Settings) -> bool:
    """Whether `hip3 up` runs the venue."""
    return chosen.venue == "sim" and chosen.venue_url is None


def make_plan(chosen: Settings, options: UpOptions) -> Plan:
    """Choose ports and write commands; starts nothing. Raises Unavailable when a port or a program is missing."""
    _check_programs(chosen, options)
    _check_ports(chosen, options)
    port = embedded_redis.free_port()
    redis_url = chosen.redis_url or f"redis://127.0.0.1:{embedded_redis.free_port()}/0"
    venue_url = f"http://127.0.0.1:{port}" if runs_venue(chosen) else chosen.base_url
    variables = settings.environment(chosen, HIP3_REDIS_URL=redis_url, HIP3_VENUE_URL=venue_url)
    environment = services.environment(variables)
    simulator = ("simulator", "--host", "127.0.0.1", "--port", str(port), "--parent-pid", str(os.getpid()))
    drain_s = max(chosen.offsets_ms) / 1000 + DRAIN_MARGIN_S
    return Plan(
        redis_url=redis_url,
        venue_url=venue_url,
        server=None if chosen.redis_url else _server(chosen.data_dir, redis_url, environment),
        venue=_service("venue", environment, *simulator, *options.venue_arguments) if runs_venue(chosen) else None,
        feed=_service("feed", environment, "feed", stop_timeout_s=drain_s + STOP_TIMEOUT_S),
        worker=_service("worker", environment, "hip3_tasks.up.celery_command", "worker", *_worker_options(chosen)),
        flower=_flower(chosen, environment) if options.flower else None,
        page=_page(chosen, environment) if options.page else None,
        recorder=_recorder(chosen, environment),
    )


def _check_programs(chosen: Settings, options: UpOptions) -> None:
    """Raise Unavailable when a program that this run needs is not installed."""
    missing = {
        "Flower (extra flower, or --no-flower)": options.flower and find_spec("flower") is None,
        "the page's server (extra web, or --no-page)": options.page and find_spec("uvicorn") is None,
        "a Redis-compatible server (extra server, or HIP3_REDIS_URL)": not chosen.redis_url
        and not embedded_redis.is_installed(),
    }
    names = [name for name, is_missing in missing.items() if is_missing]
    if names:
        raise Unavailable(f"not installed: {', '.join(names)}; `make run` installs everything")


def _check_ports(chosen: Settings, options: UpOptions) -> None:
    """Raise Unavailable when a port that a setting names is taken."""
    ports = (
        ("HIP3_PAGE_PORT", options.page, chosen.page_host, chosen.page_port),
        ("HIP3_FLOWER_PORT", options.flower, LOOPBACK, chosen.flower_port),
    )
    for name, is_wanted, host, port in ports:
        if is_wanted and port and not embedded_redis.is_free(port, host):
            raise Unavailable(f"{name}: port {port} of {host} is taken; set another port, or none for any free one")


def _service(name: str, environment: Mapping[str, str], *arguments: str, **more: Any) -> ProcessSpec:
    return ProcessSpec(name=name, command=services.command(*arguments), environment=environment, **more)


def _flower(chosen: Settings, environment: Mapping[str, str], preferred: int = 0) -> ProcessSpec:
    port = chosen.flower_port or embedded_redis.free_port(preferred)
    # The default of --max_tasks is 100,000, at 4.4 kB each.
    options = (f"--address={LOOPBACK}", f"--port={port}", "--logging=warning", f"--max_tasks={MAX_FLOWER_TASKS}")
    return _service(
        "flower",
        environment,
        *("hip3_tasks.up.celery_command", "flower", *options),
        is_required=False,
        url=f"http://{LOOPBACK}:{port}",
        renew=lambda: _flower(chosen, environment, port),
    )


def _page(chosen: Settings, environment: Mapping[str, str], preferred: int = PAGE_PORT) -> ProcessSpec:
    port = chosen.page_port or embedded_redis.free_port(preferred, chosen.page_host)
    return _service(
        "page",
        {**environment, "HIP3_PAGE_PORT": str(port)},
        *("hip3_tasks.cli", "page"),
        is_required=False,
        url=f"http://{_browser_host(chosen.page_host)}:{port}",
        renew=lambda: _page(chosen, environment, port),
    )


def _recorder(chosen: Settings, environment: Mapping[str, str]) -> ProcessSpec | None:
    if not chosen.tape_days or find_spec("polars") is None:
        return None
    # A day is merged in minutes of one processor, and never takes those of feed and workers.
    return _service(
        "recorder", {**environment, "POLARS_MAX_THREADS": "1"}, "hip3_tasks.cli", "record", is_required=False
    )


def _server(data_dir: Path, redis_url: str, environment: dict[str, str]) -> ProcessSpec:
    port = int(redis_url.rpartition(":")[2].partition("/")[0])
    command = embedded_redis.command(embedded_redis.find_server(), port=port, directory=data_dir / "redis")
    return ProcessSpec(name="redis", command=command, environment=environment, stop_last=True)


def _worker_options(chosen: Settings) -> list[str]:
    return [
        f"--autoscale={chosen.autoscale}",
        f"--hostname={chosen.feed_name}@%h",
        # Mingling costs a second at each start, and one worker has no other to gossip with.
        "--without-gossip",
        "--without-mingle",
        "--task-events",
        # At INFO, Celery writes two lines per task.
        f"--loglevel={'DEBUG' if chosen.log_level == 'debug' else 'WARNING'}",
    ]


def _browser_host(host: str) -> str:
    """A host for a URL that reaches a server on this address."""
    with suppress(ValueError):
        if ip_address(host).is_unspecified:
            return "[::1]" if ":" in host else "127.0.0.1"
    return f"[{host}]" if ":" in host else host
