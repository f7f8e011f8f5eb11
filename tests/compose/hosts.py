"""A test of two hosts: each is a separate project, and they share a Redis through a published port."""

import json
import socket

from hip3_tasks.up.embedded_redis import free_port
from tests.compose import flower
from tests.compose.project import Project, eventually, run

SERVICES = ("redis", "worker", "recorder", "feed", "flower", "page", "venue")


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
        second.compose("up", "-d", "--no-deps", "venue", "worker", "recorder", "feed")
        first.until_healthy(*SERVICES)
        second.until_healthy("venue", "worker", "recorder", "feed")
        for project in (first, second):
            eventually("twenty follow-ups", lambda project=project: len(project.followups()) >= 20)
        answer = flower.ask(port, "/api/workers?status=1", flower.CREDENTIALS)[1]
        assert len(json.loads(answer)) == 2, answer
        dexes = [sorted({record.market_key.split(":")[0] for record in p.signals()}) for p in (first, second)]
        assert dexes == [["xyz"], ["para"]], dexes
        # Both feeds end, one after the other, with no open capture.
        for project in (second, first):
            project.compose("stop", "feed")
        volumes = [word for project in (first, second) for word in ("-v", f"{project.name}_data:/{project.name}:ro")]
        dirs = [f"/{project.name}/sim/signals" for project in (first, second)]
        audit = run("docker", "run", "--rm", *volumes, "hip3-tasks:latest", "hip3", "audit", *dirs).splitlines()[-1]
        assert "+ 0 open" in audit, audit
    finally:
        for project in (second, first):
            project.compose("down", "--volumes")
    return f"Flower shows both workers; audit of both directories: {audit}"


def _own_address() -> str:
    """An address of this machine that containers can reach, so not a loopback address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])
