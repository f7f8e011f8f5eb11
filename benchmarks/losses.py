"""Count the messages that kombu's own Redis transport and this project's lose, and measure what touching costs.

    .venv/bin/python -m benchmarks.losses --tries 50

Each try has a consumer in a process of its own. A message is lost when it was published, and is neither received, nor
in its list, nor registered as unacknowledged. Prints Markdown tables.

- `killed while it waits`: the consumer is stopped, a message comes for each of its lists, the consumer is killed.
- `half-open connection`: a relay between consumer and server forwards nothing any more and closes nothing; then the
  message comes, and the consumer has the time to notice.
- `restarted server`: the server is killed and started again on its data (every write synced) while messages flow.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import kombu
import redis
import typer

from hip3_tasks.up.embedded_redis import command, find_server, free_port

STOCK, OURS = "kombu.transport.redis:Transport", "hip3_tasks.transport.channel:Transport"
TRANSPORTS = {"kombu's own": STOCK, "this one": OURS}
LAYOUTS: dict[str, tuple[int, list[int]]] = {
    "one queue": (1, [0]),
    "three queues": (3, [0]),
    "four priorities": (1, [0, 3, 6, 9]),
}
TIMEOUT_S = 30.0
HALF_OPEN_S = 1 + 2 * 1
"""After this, kombu drops a connection without an answer: the wait of 1 s, and twice the health check's interval."""
FLOW, RESTARTS = 2_000, 20
HELD, VISIBILITY_TIMEOUT_S, THIRDS = 100_000, 15, 3

app = typer.Typer(add_completion=False)


def options(queue: str, steps: list[int]) -> dict[str, Any]:
    keys = {f"unacked{part}_key": f"{queue}:unacked{part}" for part in ("", "_index", "_mutex")}
    return keys | {"priority_steps": steps, "health_check_interval": 1, "socket_timeout": 5}


def message(number: int, queue: str) -> bytes:
    properties = {"delivery_info": {"exchange": "", "routing_key": queue}, "delivery_tag": str(uuid4())}
    headers = {"id": str(number), "task": "anything"}
    body = {"body": "[[], {}, null]", "content-type": "application/json", "content-encoding": "utf-8"}
    return json.dumps(body | {"headers": headers, "properties": properties | {"body_encoding": None}}).encode()


@contextmanager
def running(parts: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(parts, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until(what: str, is_true: Callable[[], object], within_s: float = TIMEOUT_S) -> None:
    until_s = time.monotonic() + within_s
    while not is_true():
        if time.monotonic() > until_s:
            raise TimeoutError(f"not within {within_s:.0f} s: {what}")
        time.sleep(0.002)


def start_server(folder: Path, port: int) -> "subprocess.Popen[bytes]":
    parts = command(find_server(), port=port, directory=folder)
    process = subprocess.Popen([*parts, "--appendfsync", "always"], start_new_session=True, stdout=subprocess.DEVNULL)
    with redis.Redis(port=port) as client:
        until("the server answers", lambda: answers(client))
    return process


def answers(client: "redis.Redis") -> bool:
    with suppress(redis.RedisError):
        return bool(client.ping())
    return False


class Relay:
    """Forwards connections to a port, until it falls silent: then it forwards nothing of those that are open."""

    def __init__(self, to_port: int) -> None:
        self._to_port, self._generation = to_port, 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def fall_silent(self) -> None:
        self._generation += 1

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection(("127.0.0.1", self._to_port))
            for pair in (client, server), (server, client):
                threading.Thread(target=self._forward, args=(*pair, self._generation), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, generation: int) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if generation == self._generation:
                    target.sendall(data)
            if generation == self._generation:
                target.shutdown(socket.SHUT_WR)


@app.command(hidden=True)
def consume(url: str, queue: str, transport: str, notes: Path, layout: str) -> None:
    """Receive, note, and acknowledge, through any number of lost connections."""
    count, steps = LAYOUTS[layout]
    queues = [kombu.Queue(f"{queue}-{number}", exchange=kombu.Exchange("")) for number in range(count)]
    with notes.open("a", buffering=1) as file:

        def note(received: kombu.Message) -> None:
            file.write(received.headers["id"] + "\n")
            received.ack()

        while True:
            with suppress(OSError, redis.RedisError, KeyError, kombu.exceptions.OperationalError):
                connection = kombu.Connection(url, transport=transport, transport_options=options(queue, steps))
                with connection.Consumer(queues, on_message=note, accept=["json"], auto_declare=False):
                    while True:
                        with suppress(TimeoutError):
                            connection.drain_events(timeout=1)
            time.sleep(0.05)


class Trial:
    """A consumer with its queues, and the count of what it lost."""

    def __init__(self, port: int, folder: Path, transport: str, layout: str, *, through: int | None = None) -> None:
        self.queue, self.layout, self.transport = f"q-{uuid4().hex}", layout, transport
        self.client = redis.Redis(port=port)
        self._notes = folder / f"{self.queue}.txt"
        self._url = f"redis://127.0.0.1:{through or port}/0"

    def consumer(self) -> Any:
        parts = [sys.executable, "-m", "benchmarks.losses", "consume", self._url, self.queue, self.transport]
        return running([*parts, str(self._notes), self.layout])

    @property
    def lists(self) -> list[tuple[str, str]]:
        """Queue and key of each list."""
        count, steps = LAYOUTS[self.layout]
        queues = [f"{self.queue}-{number}" for number in range(count)]
        return [(queue, f"{queue}\x06\x16{step}" if step else queue) for queue in queues for step in steps]

    def waits(self) -> bool:
        """Whether it waits for all of its lists: by one command, or by one for each."""
        needed = len(self.lists) if self.transport == OURS else 1
        return int(self.client.info("clients")["blocked_clients"]) >= needed

    def publish(self) -> int:
        """Publish one message to each list."""
        for number, (queue, key) in enumerate(self.lists):
            self.client.lpush(key, message(number, queue))
        return len(self.lists)

    def lost(self, published: int) -> int:
        held = [json.loads(value)[0]["headers"]["id"] for value in self.client.hvals(f"{self.queue}:unacked")]
        queued = [json.loads(raw)["headers"]["id"] for _, key in self.lists for raw in self.client.lrange(key, 0, -1)]
        noted = self._notes.read_text().split() if self._notes.exists() else []
        return published - len({*held, *queued, *noted})


def killed(port: int, folder: Path, transport: str, layout: str) -> tuple[int, int]:
    trial = Trial(port, folder, transport, layout)
    with trial.consumer() as process:
        until("it waits", trial.waits)
        os.kill(process.pid, signal.SIGSTOP)
        published = trial.publish()
    until("its connections are gone", lambda: not int(trial.client.info("clients")["blocked_clients"]))
    return published, trial.lost(published)


def half_open(port: int, folder: Path, transport: str, layout: str) -> tuple[int, int]:
    relay = Relay(port)
    trial = Trial(port, folder, transport, layout, through=relay.port)
    with trial.consumer():
        until("it waits", trial.waits)
        relay.fall_silent()
        published = trial.publish()
        with suppress(TimeoutError):
            until("it received", lambda: not trial.lost(published) and idle(trial), within_s=2 * HALF_OPEN_S)
    return published, trial.lost(published)


def idle(trial: Trial) -> bool:
    return not any(trial.client.llen(key) for _, key in trial.lists)


def restarted(port: int, folder: Path, transport: str, layout: str, server: Any) -> tuple[int, int, Any]:
    trial = Trial(port, folder, transport, layout)
    queue, key = trial.lists[0]
    with trial.consumer():
        until("it waits", trial.waits)
        for number in range(FLOW):
            if number % (FLOW // RESTARTS) == FLOW // RESTARTS // 2:
                server.kill()
                server.wait()
                server = start_server(folder, port)
            trial.client.lpush(key, message(number, queue))
        with suppress(TimeoutError):
            until("all are received", lambda: not trial.client.llen(key), within_s=10)
    return FLOW, trial.lost(FLOW), server


@app.command()
def losses(tries: int = 50) -> None:
    """Print the table of lost messages."""
    print(f"| | | {' | '.join(TRANSPORTS)} |\n| --- | --- | {' | '.join('---' for _ in TRANSPORTS)} |")
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        server = start_server(folder, port)
        try:
            for title, inject in ("killed while it waits", killed), ("half-open connection", half_open):
                for layout in LAYOUTS:
                    cells = []
                    for transport in TRANSPORTS.values():
                        rows = [inject(port, folder, transport, layout) for _ in range(tries)]
                        cells.append(f"{sum(lost for _, lost in rows)} of {sum(count for count, _ in rows)}")
                    print(f"| {title} | {layout} | {' | '.join(cells)} |", flush=True)
            cells = []
            for transport in TRANSPORTS.values():
                published, lost, server = restarted(port, folder, transport, "one queue", server)
                cells.append(f"{lost} of {published}")
            print(f"| restarted server, {RESTARTS} times | one queue | {' | '.join(cells)} |", flush=True)
        finally:
            server.kill()
            server.wait()


@app.command()
def touching(held: int = HELD) -> None:
    """Print what it costs to hold many messages: CPU of consumer and server, and the time of each call."""
    with tempfile.TemporaryDirectory() as name:
        port = free_port()
        server = start_server(Path(name), port)
        try:
            print_cost(port, held)
        finally:
            server.kill()
            server.wait()


def print_cost(port: int, held: int) -> None:
    client = redis.Redis(port=port)
    client.config_set("appendfsync", "everysec")
    queue, third_s, calls_ms = "q", VISIBILITY_TIMEOUT_S / 3, list[float]()
    with client.pipeline() as pipe:
        for number in range(held):
            pipe.lpush(queue, message(number, queue))
        pipe.execute()
    changes = {"visibility_timeout": VISIBILITY_TIMEOUT_S}
    connection = kombu.Connection(
        f"redis://127.0.0.1:{port}/0", transport=OURS, transport_options=options(queue, [0]) | changes
    )
    received: list[kombu.Message] = []
    queues = [kombu.Queue(queue, exchange=kombu.Exchange(""))]
    with connection.Consumer(queues, on_message=received.append, accept=["json"], auto_declare=False) as consumer:
        while len(received) < held:
            connection.drain_events(timeout=5)
        qos, began_s, cpu_s, server_cpu_s = consumer.channel.qos, time.monotonic(), time.process_time(), cpu_of(client)
        while time.monotonic() - began_s < THIRDS * third_s:
            call_s = time.perf_counter()
            if qos.touch():
                calls_ms.append((time.perf_counter() - call_s) * 1e3)
            time.sleep(qos.touch_interval_s)
        wall_s = time.monotonic() - began_s
        used, used_by_server = time.process_time() - cpu_s, cpu_of(client) - server_cpu_s
        oldest_s = time.time() - client.zrange("q:unacked_index", 0, 0, withscores=True)[0][1]
        qos.ack_many([delivered.delivery_tag for delivered in received])
    calls_ms.sort()
    print(f"{held:,} held, visibility timeout {VISIBILITY_TIMEOUT_S} s: {len(calls_ms) / wall_s:.0f} calls/s")
    print(f"consumer {used / wall_s:.1%} of a core, server {used_by_server / wall_s:.1%}")
    print(f"call: median {calls_ms[len(calls_ms) // 2]:.2f} ms, p99 {calls_ms[len(calls_ms) * 99 // 100]:.2f} ms")
    print(f"oldest receipt at the end: {oldest_s:.1f} s")


def cpu_of(client: "redis.Redis") -> float:
    usage = client.info("cpu")
    return float(usage["used_cpu_user"]) + float(usage["used_cpu_sys"])


if __name__ == "__main__":
    app()
