"""Two hosts, each played by a project of its own that reaches the other through a published port."""

import json
import socket

from hip3_tasks.up.embedded_redis import free_port
from tests.compose import flower
from tests.compose.project import Project, eventually, run

SERVICES = ("redis", "worker", "feed", "flower", "page", "venue")


def two_hosts() -> str:
    """Two feeds, each with its own venue, data and worker, on the Redis of the first; one Flower over both."""
    address = _own_address()
    shared = {"REDIS_PASSWORD": "fortheduration", "REDIS_ADDRESS": address, "REDIS_HOST": address, "SIM_RATE": "6"}
    port = free_port()
    first = Project(
        "hip3-compose-test-a",
        "docker/redis-published.yml",
        **shared,
        HIP3_NAME="compose-a",
        HIP3_DEXES="xyz",
        HIP3_FLOWER_PORT=str(port),
        HIP3_PAGE_PORT=str(free_port()),
        FLOWER_USER=flower.USER,
        FLOWER_PASSWORD=flower.PASSWORD,
    )
    second = Project("hip3-compose-test-b", **shared, HIP3_NAME="compose-b", HIP3_DEXES="para")
    try:
        first.compose("up", "-d")
        second.compose("up", "-d", "--no-deps", "venue", "worker", "feed")
        first.until_healthy(*SERVICES)
        second.until_healthy("venue", "worker", "feed")
        for project in (first, second):
            eventually("twenty follow-ups", lambda project=project: len(project.followups()) >= 20)
        answer = flower.ask(port, "/api/workers?status=1", flower.LET_IN)[1]
        assert len(json.loads(answer)) == 2, answer
        dexes = [sorted({one.market_key.split(":")[0] for one in p.signals()}) for p in (first, second)]
        assert dexes == [["xyz"], ["para"]], dexes
        # Neither holds up the other: their feeds end, one after the other, with nothing open.
        for project in (second, first):
            project.compose("stop", "feed")
        volumes = [word for one in (first, second) for word in ("-v", f"{one.name}_data:/{one.name}:ro")]
        dirs = [f"/{one.name}/sim/signals" for one in (first, second)]
        said = run("docker", "run", "--rm", *volumes, "hip3-tasks:latest", "hip3", "audit", *dirs).splitlines()[-1]
        assert "+ 0 open" in said, said
    finally:
        for project in (second, first):
            project.compose("down", "--volumes")
    return f"Flower shows both workers; audit of both directories: {said}"


def _own_address() -> str:
    """One of this machine's that containers reach, too: not a loopback one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])
