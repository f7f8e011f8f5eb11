"""A pytest plugin that runs in the processes of the peers' suites, and Celery's configuration there.

It gives each process a Redis server of its own and, if PEERS_CLASSES is "ours", puts this project's classes where the
suites look for kombu's and Celery's. The controlling process writes the outcome of each test to PEERS_OUTCOMES.
"""

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

PROCESS = os.environ.get("PYTEST_XDIST_WORKER", "")

server = os.environ["PEERS_SERVERS"].split()[int(PROCESS.removeprefix("gw") or 0)]
port = str(urlsplit(server).port)
# Their names for the server: kombu's, Celery's and, for what its tasks read, Celery's again.
os.environ |= {"REDIS_HOST": "127.0.0.1", "REDIS_6379_TCP": port, "REDIS_PORT": port}
os.environ |= {"TEST_BROKER": server, "TEST_BACKEND": server, "WORKER_LOGLEVEL": "INFO"}

if os.environ["PEERS_CLASSES"] == "ours":
    import kombu.transport.redis
    from kombu.transport import TRANSPORT_ALIASES

    from hip3_tasks.transport import channel, qos

    # The suites import these names, and one process runs one suite.
    kombu.transport.redis.Channel = channel.Channel
    kombu.transport.redis.SentinelChannel = channel.SentinelChannel
    kombu.transport.redis.Transport = channel.Transport
    kombu.transport.redis.QoS = qos.QoS
    channel.Channel.batch_size = 1  # as many as kombu delivers in a call
    TRANSPORT_ALIASES["redis"] = "hip3_tasks.transport.channel:Transport"
    TRANSPORT_ALIASES["sentinel"] = "hip3_tasks.transport.channel:SentinelTransport"
    worker_consumer = "workers.due_batches.consumer:Consumer"
    worker_autoscaler = "workers.due_batches.consumer:BatchAutoscaler"

if os.environ["PEERS_PRIORITIES"] == "one":
    import kombu.transport.redis

    kombu.transport.redis.Channel.priority_steps = [0]

outcomes: dict[str, str] = {}


def pytest_runtest_logreport(report: Any) -> None:
    """Keep the worst outcome of a test's three phases."""
    if report.failed:
        outcomes[report.nodeid] = "failed"
    elif report.when == "call" or report.skipped:
        outcomes.setdefault(report.nodeid, report.outcome)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    if not PROCESS:
        Path(os.environ["PEERS_OUTCOMES"]).write_text(json.dumps(outcomes), encoding="utf-8")
