"""A system whose venue sends something else than it has, and the judge of what was recorded meanwhile."""

import http.client
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from hip3_tasks.domain.records import Followup, Signal
from hip3_tasks.store.store import Store
from tests.faults.deception import Deception
from tests.faults.row import Result
from tests.faults.system import EDGE_MS, TIMEOUT_S, Hole, Outcomes, System, TapeEntry
from tests.support.process import HIP3
from tests.support.waiting import eventually

STALE_MS = 500
"""How long ago the venue may have replaced a state that a record shows: frames wait in a busy machine."""
CHECK_MS = 1_000
"""Allowed time beyond a limit of silence: the feed checks twice a second."""
RECOVERY_TIMEOUT_S = 20.0


class Seen(NamedTuple):
    """The answers of `hip3 status --json` and of the page at about one moment."""

    status: dict[str, Any]
    page: dict[str, Any]
    metrics: dict[str, float]

    @property
    def problems(self) -> list[str]:
        return self.status["problems"]

    def why(self, coin: str) -> str | None:
        """The cause of a market's gap, as the page shows it; None when the market is live."""
        return next(row["why"] for row in self.page["markets"] if row["coin"] == coin)


class DeceivedSystem(System):
    """A system with a page; what it records of a coin during a deception is compared with what the venue has."""

    def __init__(
        self, folder: Path, *faults: str, dark: Iterable[str] = (), still: Iterable[str] = (), **options: Any
    ) -> None:
        super().__init__(folder, **{"coins": 12, "retention_s": 900} | options)
        self.venue.repeat_interval_s = 1.0  # the pace of the real venue
        self.venue.still = {*still}
        self.dark = frozenset(dark)
        """The coins that are not expected to be live."""
        self.live_after_s = 0.0
        """The time from the feed's start until all others were live."""
        self.deceptions: list[Deception] = []
        self._held_back: list[Hole] = []
        self.switches = [self.venue.server.switch_on(fault) for fault in faults]
        """Faults that are on from the start."""

    def _start(self) -> None:
        with self.hole(*self.dark) if self.dark else nullcontext():
            super()._start()
            self._page = self.part("page", *HIP3, "page", HIP3_PAGE_PORT="0")
            self._page.start()
            eventually("the page listens", lambda: "http://127.0.0.1:" in self._page.log)
        self._page_port = int(self._page.log.partition("http://127.0.0.1:")[2].split()[0].strip("/"))

    def wait_until_live(self, *, within_s: float = TIMEOUT_S) -> float:
        wanted = len(self.venue.coins) - len(self.dark)

        def is_live() -> bool:
            status = self.status()
            return bool(status and status.pid == self.feed.pid and status.markets_live >= wanted)

        began_s = time.monotonic()
        eventually(f"{wanted} markets are live", is_live, within_s=within_s)
        took_s = time.monotonic() - began_s
        self.live_after_s = self.live_after_s or took_s
        return took_s

    def dark_coins(self) -> list[str]:
        """The coins that the feed names as not live."""
        markets = Store(self.client, self.keys).feed_markets()
        return [market.coin for market in (markets and markets.dark) or ()]

    # Faults of the venue

    def end_faults(self) -> None:
        """Switch the faults off that are on from the start."""
        for switch in self.switches:
            self.venue.do(lambda switch=switch: self.venue.server.switch_off(switch))

    @contextmanager
    def faulty(self, *faults: str, holds_back: bool = False) -> Iterator[None]:
        """Switch faults of the venue on, and off again; do they hold contexts back, so that moves are not received?"""
        began_ms = self.now_ms()
        switches = [self.venue.do(lambda fault=fault: self.venue.server.switch_on(fault)) for fault in faults]
        try:
            yield
        finally:
            for switch in switches:
                self.venue.do(lambda switch=switch: self.venue.server.switch_off(switch))
            if holds_back:
                self._held_back.append(Hole(began_ms, self.now_ms() + EDGE_MS, frozenset()))

    @contextmanager
    def deceived(self, *faults: str, coins: Iterable[str], within_ms: int) -> Iterator[Deception]:
        """Switch faults on, expect a gap of each coin, switch the faults off and wait until all is known again."""
        coins = frozenset(coins)
        period = Deception(coins=coins, began_ms=self.now_ms(), within_ms=within_ms, gaps_ms=dict.fromkeys(coins))
        with self.hole(*coins):
            with self.faulty(*faults):
                yield period
            self.recovery_s = self.wait_until_live(within_s=RECOVERY_TIMEOUT_S)
            period.ended_ms = self.now_ms()
        self.deceptions.append(period)

    def wait_until_unknown(self, coins: Iterable[str], *, within_s: float) -> None:
        """Wait until the newest entry of each coin's tape is a gap."""
        eventually(f"{coins} are unknown", lambda: all(map(self._is_unknown, coins)), within_s=within_s)

    def seen(self) -> Seen:
        status = self.run(*HIP3, "status", "--json")
        page, metrics = self._ask("/api/state"), self._ask("/metrics").splitlines()
        samples = (line.rpartition(" ") for line in metrics if line and not line.startswith("#"))
        return Seen(json.loads(status.stdout), json.loads(page), {name: float(value) for name, _, value in samples})

    def _ask(self, path: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self._page_port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def _is_unknown(self, coin: str) -> bool:
        newest = self.client.xrevrange(self.keys.tape(coin), count=1)
        return bool(newest) and b"gap" in newest[0][1]

    # Judging the result

    def judge(self, result: Result, *, when: str) -> None:
        result.unwitnessed = result.unwitnessed or 0
        tapes = self.tapes()
        for period in self.deceptions:
            for coin in period.coins:
                period.gaps_ms[coin] = _first_gap_ms(tapes[coin], period)
            self._judge_gaps(period, tapes, result, when)
        super().judge(result, when=when)

    def _is_certain(self, coin: str, at_ms: float) -> bool:
        is_held_back = any(period.begin_ms <= at_ms <= period.end_ms for period in self._held_back)
        return not is_held_back and super()._is_certain(coin, at_ms)

    def _judge_truth(self, outcomes: Outcomes, result: Result, when: str) -> None:
        super()._judge_truth(outcomes, result, when)
        moves = {(move.coin, move.side, move.oracle_px) for move in self.venue.moves()}
        for record in outcomes.followups:
            name = f"{when}: {record.signal_id} + {record.offset_ms}"
            self._judge_record(record, record.due_at_ms, name, result)
        for signal in self.signals():
            has_move = (signal.market_key, signal.side, signal.oracle_px) in moves
            self._judge_record(signal, signal.timestamp_ms, f"{when}: {signal.signal_id}", result, has_move=has_move)

    def _judge_record(
        self, record: Followup | Signal, at_ms: int, name: str, result: Result, *, has_move: bool = True
    ) -> None:
        coin = record.market_key
        for period in self.deceptions:
            if not period.covers(coin, at_ms):
                continue
            problem = self._problem(coin, record.best_size, record.oracle_px, at_ms)
            if problem is None and has_move:
                continue
            if not period.is_noticed(coin, at_ms):
                result.unwitnessed = (result.unwitnessed or 0) + 1
            else:
                result.wrong += 1
                result.add_broken(f"{name}: {problem or 'no move'}")

    def _is_deceived(self, coin: str, at_ms: float) -> bool:
        return any(period.covers(coin, at_ms) and not period.is_noticed(coin, at_ms) for period in self.deceptions)

    def _problem(self, coin: str, size: float, oracle_px: float, at_ms: int) -> str | None:
        """The difference between a recorded state and the one that the venue had."""
        return self.venue.problem_of_state(coin, int(size), at_ms, stale_ms=STALE_MS) or self.venue.problem_of_oracle(
            coin, oracle_px, at_ms, stale_ms=STALE_MS
        )

    def _judge_gaps(
        self, period: Deception, tapes: Mapping[str, Sequence[TapeEntry]], result: Result, when: str
    ) -> None:
        """Check that each gap begins in time, and that no entry in it shows a state that the venue no longer had."""
        for coin, gap_ms in period.gaps_ms.items():
            if gap_ms is None or gap_ms > period.began_ms + period.within_ms:
                took = "never" if gap_ms is None else f"{gap_ms - period.began_ms} ms"
                result.add_broken(f"{when}: {coin}: the gap began after {took}, wanted: {period.within_ms} ms")
            gap_ms = min(gap_ms or period.ended_ms, period.began_ms + period.within_ms)
            for at_ms, (_, size, _, _, oracle_px, *_) in _states(tapes[coin], gap_ms, period.ended_ms):
                if problem := self._problem(coin, size, oracle_px, at_ms):
                    result.wrong += 1
                    result.add_broken(f"{when}: {coin} is on the tape {at_ms - period.began_ms} ms later: {problem}")


def _states(entries: Sequence[TapeEntry], begin_ms: int, end_ms: int) -> Iterator[tuple[int, list[Any]]]:
    """The states between two instants, in which no side of a book is empty."""
    for at_ms, fields in entries:
        if begin_ms <= at_ms <= end_ms and b"s" in fields:
            yield at_ms, orjson.loads(fields[b"s"])


def _first_gap_ms(entries: Sequence[TapeEntry], period: Deception) -> int | None:
    """The instant of the first gap in a period."""
    begin_ms, end_ms = period.began_ms, period.ended_ms
    return next((at_ms for at_ms, fields in entries if b"gap" in fields and begin_ms <= at_ms <= end_ms), None)
