"""A real page process with a real server; the test writes the keys and files."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import redis

from hip3_tasks.clock import wall_ms
from hip3_tasks.domain.capture import utc_day
from hip3_tasks.domain.market import Gap, Market
from hip3_tasks.domain.records import Dark, Record, Signal
from hip3_tasks.store.feed_status import FeedStatus
from hip3_tasks.store.keys import Keys
from hip3_tasks.store.market_facts import FeedMarkets, MarketFacts
from hip3_tasks.store.store import Store
from hip3_tasks.store.tape import stamp
from hip3_tasks.store.worker_status import WorkerStatus
from tests.support.factories import a_market
from tests.support.process import HIP3, ProcessUnderTest, environment
from tests.support.waiting import eventually
from tests.unit.status.test_redis_snapshot import a_feed_status

ANSWER_S = 10


class PageAnswer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class PageRig:
    """Writes the keys and files of a feed; `running` starts the page."""

    def __init__(self, redis_url: str, name: str, data_dir: Path) -> None:
        self.url, self.keys, self.data_dir = redis_url, Keys(name), data_dir
        self.client = redis.Redis.from_url(redis_url)
        self.port = 0
        self.process: ProcessUnderTest | None = None
        self._environment = {"HIP3_REDIS_URL": redis_url, "HIP3_NAME": name, "HIP3_DATA_DIR": str(data_dir)}
        data_dir.mkdir(exist_ok=True)

    # Data of a feed and workers

    def write_feed_status(self, **changes: Any) -> None:
        """Write the feed's status with a time in the future, so that it stays fresh during a test."""
        ahead_ms = wall_ms() + 60_000
        values = {"at_ms": ahead_ms, "started_at_ms": ahead_ms - 90_000, "watermark_ms": ahead_ms} | changes
        status: FeedStatus = a_feed_status(**values)
        Store(self.client, self.keys).write_feed_status(status)
        self.client.set(self.keys.watermark, status.watermark_ms)
        self.write_worker_status(at_ms=ahead_ms)

    def write_worker_status(self, **changes: Any) -> None:
        """Write the status of a worker that consumes the queue."""
        counts = dict.fromkeys(("pid", "processes", "most_processes", "held"), 1)
        values = {"name": "w@h", "at_ms": wall_ms(), "queues": (self.keys.queue,)} | counts | changes
        Store(self.client, self.keys).write_worker(WorkerStatus(**values))

    def markets(self, *dark: Dark, **states: Market | Gap) -> None:
        """Write the tape and the facts of markets, by the coin's name without its dex `xyz`, and the dark ones."""
        now_ms = wall_ms()
        facts = MarketFacts(threshold_bps=15.0, taker_fee_bps=9.0, ctx_at_ms=now_ms)
        listed = {f"xyz:{name}": facts for name in states}
        markets = FeedMarkets(markets=listed, delisted=["xyz:OLD"], dark=list(dark))
        Store(self.client, self.keys).write_feed_markets(markets)
        for name, value in states.items():
            self.put(f"xyz:{name}", value, at_ms=now_ms)

    def put(self, coin: str, value: Market | Gap | None = None, *, at_ms: int) -> None:
        _, ms, seq, field, data, _ = stamp(coin, at_ms, 0, value or a_market(at_ms=at_ms))
        self.client.xadd(self.keys.tape(coin), {field: data}, id=f"{ms}-{seq}")

    def append(self, *records: Record) -> None:
        for record in records:
            kind = "signals" if isinstance(record, Signal) else "missed" if hasattr(record, "reason") else "followups"
            at_ms = record.timestamp_ms if isinstance(record, Signal) else record.signal_timestamp_ms  # type: ignore[attr-defined]
            day = utc_day(at_ms)
            with (self.data_dir / f"{kind}_{day}.jsonl").open("ab") as file:
                file.write(record.line())

    # The page

    @contextmanager
    def running(self, **settings: str) -> Iterator[None]:
        """Start a page and wait for its first poll; `settings` by their names without HIP3_."""
        env = environment(**self._environment | {f"HIP3_{name}": value for name, value in settings.items()})
        log, stdout = (self.data_dir / f"page.{kind}" for kind in ("log", "out"))
        for path in (log, stdout):
            path.unlink(missing_ok=True)
        with ProcessUnderTest(*HIP3, "page", log=log, stdout=stdout, env=env) as self.process:
            eventually("the page listens", lambda: "\n" in self.process.stdout or not self.process.is_running)
            self.port = int(self.process.stdout.partition("\n")[0].rpartition(":")[2] or 0)
            assert self.port, self.log
            eventually("it has looked", lambda: self.ask("/livez").status == 200)
            yield

    @property
    def log(self) -> str:
        return self.process.log if self.process else ""

    def ask(self, path: str, *, method: str = "GET", body: bytes | None = None, **headers: str) -> PageAnswer:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)
        try:
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            return PageAnswer(
                answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
            )
        except OSError:
            return PageAnswer(0, {}, b"")
        finally:
            connection.close()

    def post(self, path: str, document: Any, **headers: str) -> PageAnswer:
        headers = {"content_type": "application/json"} | headers
        return self.ask(path, method="POST", body=json.dumps(document).encode(), **headers)

    def state(self) -> Any:
        return self.ask("/api/state").json()

    @contextmanager
    def stream(self) -> Iterator[Iterator[Any]]:
        """The events of one viewer, decoded."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)
        connection.request("GET", "/events")
        answer = connection.getresponse()
        assert answer.headers["content-type"].startswith("text/event-stream")

        def events() -> Iterator[Any]:
            while line := answer.readline():
                if line.startswith(b"data: "):
                    yield json.loads(line[len(b"data: ") :])

        try:
            yield events()
        finally:
            connection.close()
