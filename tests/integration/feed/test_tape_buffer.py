"""The tape on a clock that the test moves: a capture reads exactly the state at its due time, or none."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from feed.tape_buffer import MEMORY_MS, TapeBuffer
from hip3_tasks.clock import FeedClock
from hip3_tasks.domain.capture_result import PENDING, CaptureResult
from hip3_tasks.domain.conditions import Conditions, Fired, Memory
from hip3_tasks.domain.detector import Detector, Rules
from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.market import Entry, Gap, Market
from hip3_tasks.domain.records import Followup, Missed, MissedReason, Signal
from hip3_tasks.errors import Fenced
from hip3_tasks.files.journal import Journal
from hip3_tasks.files.signal_files import SignalWriter, find_signal
from hip3_tasks.store.keys import Keys
from hip3_tasks.store.pending import PendingCapture
from hip3_tasks.store.store import Store
from hip3_tasks.store.tape_writer import Marks, TapeWriter, WatermarkDiffers
from tests.support.backends import Backend, server_only
from tests.support.factories import T0_MS, a_market, a_signal
from workers.capturer import Capturer

COIN = "xyz:TSLA"
NEWS = Conditions(is_news=True, is_judged=True, ctx_age_ms=47, taker_fee_bps=9.0, threshold_bps=15.0)


class SignalsSeen:
    """Records the calls to the owner of the signals; `unwritten_at_ms` is its oldest signal that is not on disk."""

    def __init__(self) -> None:
        self.sealed_ms: list[int] = []
        self.lost_data = 0
        self.unwritten_at_ms: int | None = None

    def on_sealed(self, sealed_ms: int) -> None:
        self.sealed_ms.append(sealed_ms)

    def on_lost_data(self) -> None:
        self.lost_data += 1

    def detected_ms(self, sealed_ms: int) -> int:
        return sealed_ms if self.unwritten_at_ms is None else min(sealed_ms, self.unwritten_at_ms - 1)


class TapeRig:
    """A tape buffer, a worker and a market, on a clock that only the test moves."""

    def __init__(self, backend: Backend, name: str, data_dir: Path) -> None:
        self.now_ms = T0_MS
        self.covered_until_ms: int | None = None
        self.signals = SignalsSeen()
        self.detector = Detector(Rules())
        self.keys, self.data_dir = Keys(name), data_dir
        self.client = backend.connect()
        self._backend = backend
        self._clients: list[redis.asyncio.Redis] = []
        store = Store(self.client, self.keys)
        self.pending = store.pending
        self.capturer = Capturer(
            store,
            journal=Journal(data_dir),
            data_dir=data_dir,
            now_ms=lambda: self.now_ms,
        )

    def writer(self, owner: str = "me") -> TapeWriter:
        self._clients.append(self._backend.connect_async())
        return TapeWriter(self._clients[-1], self.keys, owner=owner)

    def run(self, script: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def to_the_end() -> None:
            try:
                await script()
            finally:
                for client in self._clients:
                    await client.aclose()

        asyncio.run(to_the_end())
        self.capturer.close()
        self.client.close()

    def buffer(self, *, owner: str = "me", watermark_ms: int = 0) -> TapeBuffer:
        buffer = TapeBuffer(
            self.writer(owner),
            clock=FeedClock(wall_ns=self._now_ns, monotonic_ns=self._now_ns),
            covered_until_ms=lambda: self.covered_until_ms,
            signals=self.signals,
            memory=self.detector.memory,
        )
        buffer.start(watermark_ms)
        return buffer

    def move_to(self, offset_ms: int) -> int:
        """Set the clock to `offset_ms` after T0."""
        self.now_ms = T0_MS + offset_ms
        return self.now_ms

    def signal(self, **changes: Any) -> Signal:
        signal = a_signal(COIN, **changes)
        if find_signal(self.data_dir, signal.captures()[0]) is None:
            writer = SignalWriter(self.data_dir)
            writer.append([signal])
            writer.close()
        self.pending.add([signal], [PendingCapture(capture, None) for capture in signal.captures()])
        return signal

    def capture(self, signal: Signal, offset_ms: int = 1000) -> Followup | Missed | CaptureResult:
        """Run the capture; return its record, or its result if it wrote none."""
        capture = next(c for c in signal.captures() if c.offset_ms == offset_ms)
        outcome = self.capturer.capture(capture)
        for kind, name in ((Followup, "followups"), (Missed, "missed")):
            path = self.data_dir / f"{name}_{capture.day}.jsonl"
            lines = path.read_bytes().splitlines() if path.exists() else []
            records = [
                r for r in map(kind.from_line, lines) if (r.signal_id, r.offset_ms) == (signal.signal_id, offset_ms)
            ]
            assert len(records) <= 1
            if records:
                return records[0]
        return outcome

    def _now_ns(self) -> int:
        return self.now_ms * 1_000_000


@pytest.fixture
def rig(backend: Backend, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TapeRig:
    monkeypatch.setattr("workers.capturer.WATERMARK_TIMEOUT_MS", 20)
    monkeypatch.setattr("feed.tape_buffer.RETRY_INTERVAL_S", 0.001)
    return TapeRig(backend, name, tmp_path)


def step(ask: float) -> Market:
    return a_market(ask_px=ask, bid_px=ask - 0.5)


async def flushed(buffer: TapeBuffer) -> None:
    await buffer._flush()


def test_the_last_of_several_entries_in_the_ms_of_the_due_time_is_in_force(rig: TapeRig) -> None:
    async def script() -> None:
        buffer = rig.buffer()
        buffer.append(COIN, rig.move_to(0), step(249.0))
        signal = rig.signal()
        for ask in (249.1, 249.2, 249.3):
            buffer.append(COIN, rig.move_to(1000), step(ask))
        buffer.append(COIN, rig.move_to(1001), step(249.9))
        rig.move_to(1002)
        await flushed(buffer)
        followup = rig.capture(signal)
        assert isinstance(followup, Followup)
        assert (followup.best_px, followup.state_at_ms) == (249.3, T0_MS + 1000)

    rig.run(script)


def test_a_late_repeated_or_hand_made_capture_reads_the_state_at_its_due_time(rig: TapeRig) -> None:
    async def script() -> None:
        buffer = rig.buffer()
        buffer.append(COIN, rig.move_to(0), step(249.0))
        signal = rig.signal()
        buffer.append(COIN, rig.move_to(990), step(249.4))
        for later in range(2000, 9000, 100):
            buffer.append(COIN, rig.move_to(later), step(240.0))
        await flushed(buffer)
        first = rig.capture(signal)
        rig.move_to(60_000)
        assert isinstance(first, Followup) and first.best_px == 249.4
        assert rig.capture(signal) == first
        assert str(rig.capturer.capture(signal.captures()[0])) == "already captured"

    rig.run(script)


def test_a_capture_stays_pending_until_the_watermark_reaches_its_due_time(rig: TapeRig) -> None:
    async def script() -> None:
        buffer = rig.buffer()
        buffer.append(COIN, rig.move_to(0), step(249.0))
        signal = rig.signal()
        rig.move_to(1000)  # the watermark is then 1 ms behind, because an entry of this ms may still come
        await flushed(buffer)
        assert rig.capture(signal) == PENDING
        assert rig.pending.size() == 3
        buffer.append(COIN, T0_MS + 1000, step(249.7))
        rig.move_to(1001)
        await flushed(buffer)
        followup = rig.capture(signal)
        assert isinstance(followup, Followup) and followup.best_px == 249.7
        assert rig.pending.size() == 2

    rig.run(script)


def test_a_signal_in_the_ms_after_the_watermark_is_measured_like_any_other(rig: TapeRig) -> None:
    async def script() -> None:
        buffer = rig.buffer()
        buffer.append(COIN, rig.move_to(-10), step(249.8))
        rig.move_to(0)
        await flushed(buffer)
        assert buffer.watermark_ms == T0_MS - 1
        buffer.append(COIN, T0_MS, step(249.0))
        buffer.append(COIN, T0_MS, a_market(ask_px=249.0, oracle_px=251.0, oracle_updates=8))
        signal = rig.signal()
        buffer.append(COIN, rig.move_to(500), a_market(ask_px=249.0, oracle_px=250.0, oracle_updates=9))
        rig.move_to(1001)
        await flushed(buffer)
        followup = rig.capture(signal)
        assert isinstance(followup, Followup) and followup.oracle_updates == 1

    rig.run(script)


def test_the_watermark_stops_while_a_connection_is_silent(rig: TapeRig) -> None:
    async def script() -> None:
        buffer = rig.buffer()
        buffer.append(COIN, rig.move_to(0), step(249.0))
        signal = rig.signal()
        rig.covered_until_ms = T0_MS + 900
        rig.move_to(3000)
        await flushed(buffer)
        assert buffer.watermark_ms == T0_MS + 900
        assert rig.capture(signal) == PENDING

    rig.run(script)


def test_a_gap_begins_right_after_the_watermark_even_when_other_markets_went_on(rig: TapeRig) -> None:
    async def script() -> None:
        buffer = rig.buffer()
        buffer.append(COIN, rig.move_to(0), step(249.0))
        signal = rig.signal()
        rig.covered_until_ms = T0_MS + 1000
        buffer.append("xyz:AAPL", rig.move_to(2500), step(300.0))
        await flushed(buffer)
        buffer.append(COIN, rig.covered_until_ms + 1, Gap("stalled"))
        rig.covered_until_ms = None
        buffer.append(COIN, rig.move_to(4000), step(249.6))
        rig.move_to(5001)
        await flushed(buffer)
        first, second, third = (rig.capture(signal, offset_ms) for offset_ms in (1000, 3000, 5000))
        assert isinstance(first, Followup) and first.best_px == 249.0
        assert isinstance(second, Missed)
        assert (second.reason, second.detail) == (MissedReason.FEED_GAP, "stalled")
        assert isinstance(third, Followup) and third.best_px == 249.6 and third.oracle_updates == 0

    rig.run(script)


def test_a_capture_before_the_start_of_the_tape_is_expired(rig: TapeRig) -> None:
    async def script() -> None:
        buffer = rig.buffer()
        signal = rig.signal()
        buffer.append(COIN, rig.move_to(1001), step(249.0))
        rig.move_to(2000)
        await flushed(buffer)
        missed = rig.capture(signal)
        assert isinstance(missed, Missed) and missed.reason is MissedReason.EXPIRED
        assert str(rig.capturer.capture(signal.captures()[0])) == "already missed: expired"

    rig.run(script)


def test_a_quiet_market_keeps_its_state_through_trimming_by_its_keyframes(
    rig: TapeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feed.tape_buffer.KEYFRAME_INTERVAL_MS", 20)

    async def script() -> None:
        buffer = rig.buffer()
        buffer.append(COIN, rig.move_to(0), step(249.5))
        keyframes = asyncio.create_task(buffer.write_keyframes())
        for seconds in range(30, 960, 30):
            entries = buffer.entries
            rig.move_to(seconds * 1000)
            while buffer.entries == entries:
                await asyncio.sleep(0.001)
            await flushed(buffer)
        keyframes.cancel()
        signal = rig.signal(at_ms=rig.now_ms - 2000)
        writer = rig.writer()
        await writer.trim([COIN], before_ms=signal.timestamp_ms + 1000 - 60_000)
        assert rig.client.xlen(rig.keys.tape(COIN)) <= 3
        followup = rig.capture(signal)
        assert isinstance(followup, Followup) and followup.best_px == 249.5
        assert followup.bbo_age_ms == followup.due_at_ms - T0_MS

    rig.run(script)


def test_a_server_that_comes_back_empty_gets_the_last_minute_again(rig: TapeRig) -> None:
    async def script() -> None:
        buffer = rig.buffer()
        buffer.append(COIN, rig.move_to(0), step(249.0))
        signal = rig.signal()
        buffer.append(COIN, rig.move_to(600), step(249.2))
        rig.move_to(700)
        await flushed(buffer)
        forget_everything(rig)
        buffer.append(COIN, rig.move_to(1500), step(249.9))
        assert rig.capture(signal) == PENDING
        rig.signal()  # as a rebuild from the files does
        rig.move_to(1600)
        await flushed(buffer)
        followup = rig.capture(signal)
        assert isinstance(followup, Followup) and followup.best_px == 249.2 and followup.oracle_updates == 0
        assert rig.signals.lost_data == 1

    rig.run(script)


def test_the_time_before_the_memory_is_a_gap_on_a_server_that_came_back_empty(rig: TapeRig) -> None:
    async def script() -> None:
        buffer = rig.buffer()
        buffer.append(COIN, rig.move_to(0), step(249.0))
        old = rig.signal()
        rig.move_to(2000)
        await flushed(buffer)
        rig.move_to(MEMORY_MS + 5000)
        await flushed(buffer)
        await flushed(buffer)
        forget_everything(rig)
        young = rig.signal(at_ms=rig.now_ms)
        rig.signal()
        rig.move_to(MEMORY_MS + 7000)
        await flushed(buffer)
        missed, followup = rig.capture(old), rig.capture(young)
        assert isinstance(missed, Missed) and missed.reason is MissedReason.FEED_GAP
        assert isinstance(followup, Followup) and followup.best_px == 249.0

    rig.run(script)


def test_a_server_set_back_by_a_second_is_noticed_and_repaired(rig: TapeRig) -> None:
    async def script() -> None:
        buffer = rig.buffer()
        buffer.append(COIN, rig.move_to(0), step(249.0))
        signal = rig.signal()
        rig.move_to(500)
        await flushed(buffer)
        older = {key: rig.client.dump(key) for key in (rig.keys.tape(COIN), rig.keys.watermark)}
        buffer.append(COIN, rig.move_to(900), step(249.3))
        rig.move_to(1500)
        await flushed(buffer)
        for key, dump in older.items():
            rig.client.restore(key, 0, dump, replace=True)
        assert rig.capture(signal) == PENDING
        rig.move_to(1600)
        await flushed(buffer)
        followup = rig.capture(signal)
        assert isinstance(followup, Followup) and followup.best_px == 249.3
        assert rig.signals.lost_data == 1

    rig.run(script)


def test_an_older_tape_that_comes_back_to_an_emptied_server_is_a_gap_until_the_feed_began(rig: TapeRig) -> None:
    async def script() -> None:
        before = rig.buffer()
        before.append(COIN, rig.move_to(0), step(249.0))
        signal = rig.signal()
        rig.move_to(500)
        await flushed(before)
        older = {key: rig.client.dump(key) for key in (rig.keys.tape(COIN), rig.keys.watermark)}
        rig.client.delete(*older)
        rig.move_to(4000)
        after = rig.buffer()
        after.append(COIN, rig.move_to(4010), step(249.8))
        rig.move_to(4020)
        await flushed(after)
        for key, dump in older.items():
            rig.client.restore(key, 0, dump, replace=True)
        rig.move_to(5001)
        await flushed(after)
        missed = rig.capture(signal)
        assert isinstance(missed, Missed) and missed.reason is MissedReason.FEED_GAP

    rig.run(script)


def test_redis_away_longer_than_memory_leaves_a_gap_and_nothing_invented(rig: TapeRig) -> None:
    async def script() -> None:
        buffer = rig.buffer()
        buffer.append(COIN, rig.move_to(0), step(249.0))
        signal = rig.signal()
        rig.move_to(500)
        await flushed(buffer)
        with redis_away(buffer):
            for seconds in range(1, MEMORY_MS // 1000 + 10):
                buffer.append(COIN, rig.move_to(seconds * 1000), step(240.0 + seconds / 100))
                await flushed(buffer)
            assert len(buffer._unsent) <= MEMORY_MS // 1000 + 1
        late = rig.signal(at_ms=rig.now_ms - 2000)
        rig.move_to(MEMORY_MS + 12_000)
        await flushed(buffer)
        missed, followup = rig.capture(signal), rig.capture(late)
        assert isinstance(missed, Missed) and missed.reason is MissedReason.FEED_GAP
        assert isinstance(followup, Followup)
        assert followup.best_px == 240.0 + (late.timestamp_ms + 1000 - T0_MS) // 1000 / 100

    rig.run(script)


def test_a_restarted_feed_knows_nothing_from_the_last_watermark_on(rig: TapeRig) -> None:
    async def script() -> None:
        before = rig.buffer()
        before.append(COIN, rig.move_to(0), step(249.0))
        signal = rig.signal()
        rig.move_to(1500)
        await flushed(before)
        after = rig.buffer(watermark_ms=before.watermark_ms)
        after.append(COIN, before.watermark_ms + 1, Gap("the feed was away"))
        after.append(COIN, rig.move_to(4000), step(249.8))
        rig.move_to(5001)
        await flushed(after)
        outcomes = [rig.capture(signal, offset_ms) for offset_ms in (1000, 3000, 5000)]
        assert [getattr(outcome, "best_px", None) for outcome in outcomes] == [249.0, None, 249.8]
        assert rig.signals.lost_data == 0

    rig.run(script)


def test_a_flush_that_is_repeated_changes_nothing(rig: TapeRig) -> None:
    async def script() -> None:
        buffer = rig.buffer()
        buffer.append(COIN, rig.move_to(0), step(249.0))
        rig.move_to(10)
        with answers_lost(buffer):
            await flushed(buffer)
        assert buffer._unsent
        await flushed(buffer)
        assert not buffer._unsent
        assert rig.client.xlen(rig.keys.tape(COIN)) == 1
        writer = rig.writer()
        with pytest.raises(WatermarkDiffers):
            await writer.append([], watermark_ms=T0_MS - 5000, expected_ms=T0_MS - 5000)
        assert await writer.watermark_ms() == T0_MS + 9
        assert rig.signals.lost_data == 0

    rig.run(script)


def test_a_second_feed_of_the_same_name_is_fenced_off(rig: TapeRig) -> None:
    async def script() -> None:
        first, second = rig.buffer(), rig.buffer(owner="you")
        first.append(COIN, rig.move_to(0), step(249.0))
        rig.move_to(10)
        await flushed(first)
        second.append(COIN, rig.move_to(20), step(1.0))
        rig.move_to(30)
        with pytest.raises(Fenced):
            await flushed(second)
        assert rig.client.xlen(rig.keys.tape(COIN)) == 1

    rig.run(script)


def test_after_a_call_whose_answer_was_lost_the_gap_begins_where_the_server_really_is(rig: TapeRig) -> None:
    async def script() -> None:
        buffer = rig.buffer()
        buffer.append(COIN, rig.move_to(0), step(249.0))
        signal = rig.signal()
        await flushed_at(rig, buffer, 10)
        buffer.append(COIN, rig.move_to(100), step(249.1))
        rig.move_to(500)
        with answers_lost(buffer):
            await flushed(buffer)
        with redis_away(buffer):
            buffer.append(COIN, rig.move_to(600), step(249.9))
            for seconds in range(1, MEMORY_MS // 1000 + 10):
                await flushed_at(rig, buffer, seconds * 1000)
        await flushed_at(rig, buffer, MEMORY_MS + 12_000)
        missed = rig.capture(signal)
        assert isinstance(missed, Missed) and missed.reason is MissedReason.FEED_GAP

    rig.run(script)


def test_a_loss_is_recorded_even_when_the_answer_to_its_repair_is_lost(rig: TapeRig) -> None:
    async def script() -> None:
        buffer = rig.buffer()
        buffer.append(COIN, rig.move_to(0), step(249.0))
        await flushed_at(rig, buffer, 500)
        forget_everything(rig)
        with answers_lost(buffer):
            await flushed_at(rig, buffer, 600)
        await flushed_at(rig, buffer, 700)
        assert rig.signals.lost_data >= 1
        assert rig.client.xlen(rig.keys.tape(COIN)) >= 1

    rig.run(script)


def test_a_market_no_longer_followed_is_in_a_gap_on_a_server_set_back_to_when_it_was(rig: TapeRig) -> None:
    async def script() -> None:
        buffer = rig.buffer()
        buffer.append(COIN, rig.move_to(0), step(249.0))
        await flushed_at(rig, buffer, 500)
        older = {key: rig.client.dump(key) for key in rig.client.scan_iter(f"{rig.keys.prefix}*")}
        buffer.append(COIN, rig.move_to(600), Gap("no longer followed"))
        buffer.forget(COIN)
        for minutes in range(1, 4):
            await flushed_at(rig, buffer, minutes * MEMORY_MS)
        for key, dump in older.items():
            rig.client.restore(key, 0, dump, replace=True)
        signal = rig.signal(at_ms=rig.now_ms - 30_000)
        await flushed_at(rig, buffer, 3 * MEMORY_MS + 1000)
        missed = rig.capture(signal)
        assert isinstance(missed, Missed) and missed.reason is MissedReason.FEED_GAP

    rig.run(script)


def test_the_feed_knows_every_market_with_a_tape(rig: TapeRig) -> None:
    async def script() -> None:
        buffer, writer = rig.buffer(), rig.writer()
        buffer.append(COIN, rig.move_to(0), step(249.0))
        await flushed_at(rig, buffer, 10)
        assert await writer.coins() == {COIN}
        await writer.trim([COIN], before_ms=T0_MS + 5)
        assert await writer.coins() == set()
        assert not rig.client.exists(rig.keys.tape(COIN))
        buffer.append(COIN, rig.move_to(20), step(249.1))
        await flushed_at(rig, buffer, 30)
        assert await writer.coins() == {COIN}

    rig.run(script)


def test_the_server_has_conditions_and_the_caller_the_entry_as_it_was_written(rig: TapeRig) -> None:
    async def script() -> None:
        buffer = rig.buffer()
        entries = [buffer.append(COIN, rig.move_to(0), step(249.0), NEWS), buffer.append(COIN, rig.now_ms, Gap("lost"))]
        await flushed_at(rig, buffer, 10)
        assert entries == [Entry(T0_MS, step(249.0), NEWS), Entry(T0_MS, Gap("lost"))]
        assert await on_tape(rig) == entries

    rig.run(script)


def test_an_entry_that_would_come_before_the_last_one_is_placed_after_it(rig: TapeRig) -> None:
    async def script() -> None:
        buffer = rig.buffer()
        for at_ms in T0_MS + 5, T0_MS + 3:
            assert buffer.append(COIN, at_ms, step(249.0)).at_ms == T0_MS + 5
        await flushed_at(rig, buffer, 10)
        assert [entry.at_ms for entry in await on_tape(rig)] == [T0_MS + 5] * 2

    rig.run(script)


def test_a_keyframe_is_no_news_and_has_the_memory_of_the_detector(
    rig: TapeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feed.tape_buffer.KEYFRAME_INTERVAL_MS", 20)

    async def script() -> None:
        buffer = rig.buffer()
        fired = buffer.append(COIN, rig.move_to(0), step(249.0), NEWS)
        assert rig.detector.observe(COIN, fired) is not None
        buffer.append("xyz:AAPL", T0_MS, Gap("no data yet"))
        rig.covered_until_ms = T0_MS - 1
        await one_keyframe(rig, buffer, 0)
        rig.covered_until_ms = None
        await one_keyframe(rig, buffer, 700)
        await flushed_at(rig, buffer, 1000)
        memory = Memory({Side.BUY: Fired(T0_MS, 250.0)})
        repeated = replace(NEWS, is_news=False, is_judged=False, memory=memory)
        assert await on_tape(rig) == [
            fired,
            Entry(T0_MS, step(249.0), repeated),
            Entry(T0_MS + 700, step(249.0), replace(repeated, ctx_age_ms=747)),
        ]
        assert (await on_tape(rig, "xyz:AAPL"))[-1] == Entry(
            T0_MS + 700, Gap("no data yet"), Conditions(memory=Memory())
        )

    rig.run(script)


def test_states_are_sealed_only_up_to_the_watermark_that_the_server_confirmed(rig: TapeRig) -> None:
    async def script() -> None:
        buffer = rig.buffer()
        buffer.append(COIN, rig.move_to(0), step(249.0))
        await flushed(buffer)
        assert rig.signals.sealed_ms == [T0_MS - 1]
        with answers_lost(buffer):
            rig.covered_until_ms = T0_MS + 2
            await flushed_at(rig, buffer, 10)
        rig.signals.sealed_ms.clear()
        await flushed(buffer)  # the server already has the watermark of the call without an answer
        assert rig.signals.sealed_ms == [buffer.watermark_ms] == [T0_MS + 2]
        assert rig.signals.lost_data == 0

    rig.run(script)


def test_while_redis_is_away_states_are_sealed_at_the_instant_up_to_which_they_are_complete(rig: TapeRig) -> None:
    async def script() -> None:
        buffer = rig.buffer()
        buffer.append(COIN, rig.move_to(0), step(249.0))
        await flushed_at(rig, buffer, 10)
        with redis_away(buffer):
            rig.signals.sealed_ms.clear()
            buffer.append(COIN, rig.move_to(500), step(249.1))
            await flushed(buffer)
            rig.covered_until_ms = T0_MS + 700
            await flushed_at(rig, buffer, 1000)
            assert rig.signals.sealed_ms == [T0_MS + 499, T0_MS + 700]
            assert buffer.watermark_ms == T0_MS + 9
        rig.covered_until_ms = None
        await flushed_at(rig, buffer, 1001)
        assert rig.signals.sealed_ms[-1] == buffer.watermark_ms == T0_MS + 1000

    rig.run(script)


def test_the_second_mark_never_passes_a_signal_that_is_not_on_disk(rig: TapeRig) -> None:
    async def script() -> None:
        buffer = rig.buffer()
        detected = []
        for offset_ms, unwritten_at_ms in (10, None), (20, T0_MS + 15), (30, T0_MS + 15), (40, None), (50, T0_MS + 90):
            rig.signals.unwritten_at_ms = unwritten_at_ms
            await flushed_at(rig, buffer, offset_ms)
            marks = buffer.watermark_ms, int(rig.client.get(rig.keys.detected) or 0)
            detected.append([at_ms - T0_MS for at_ms in marks])
        assert detected == [[9, 9], [19, 14], [29, 14], [39, 39], [49, 49]]
        forget_everything(rig)
        rig.signals.unwritten_at_ms = T0_MS + 15
        await flushed_at(rig, buffer, 60)
        assert rig.client.get(rig.keys.detected) == b"%d" % (T0_MS + 14)

    rig.run(script)


@pytest.mark.parametrize("other_ms", [5000, -5000])
def test_a_watermark_that_this_feed_never_wrote_is_not_taken_for_its_own(rig: TapeRig, other_ms: int) -> None:
    async def script() -> None:
        buffer = rig.buffer()
        buffer.append(COIN, rig.move_to(0), step(249.0))
        await flushed_at(rig, buffer, 10)
        rig.client.set(rig.keys.watermark, T0_MS + other_ms)
        buffer.append(COIN, rig.move_to(20), step(249.1))
        rig.move_to(30)
        if other_ms > 0:
            with pytest.raises(Fenced, match="which this feed never wrote"):
                await flushed(buffer)
        else:
            await flushed(buffer)
            assert rig.signals.lost_data == 1

    rig.run(script)


def test_a_state_from_before_the_memory_is_no_news_on_a_server_that_came_back_empty(rig: TapeRig) -> None:
    async def script() -> None:
        buffer = rig.buffer()
        buffer.append(COIN, rig.move_to(0), step(249.0), NEWS)
        rig.move_to(2000)
        await flushed(buffer)
        for offset_ms in MEMORY_MS + 5000, MEMORY_MS + 5001:
            await flushed_at(rig, buffer, offset_ms)
        buffer.append(COIN, rig.move_to(MEMORY_MS + 5500), step(249.5), NEWS)
        forget_everything(rig)
        await flushed_at(rig, buffer, MEMORY_MS + 6000)
        gap, state, changed = await on_tape(rig)
        assert isinstance(gap.value, Gap)
        assert (state.value, state.conditions) == (step(249.0), replace(NEWS, is_news=False, ctx_age_ms=None))
        assert changed == Entry(T0_MS + MEMORY_MS + 5500, step(249.5), NEWS)

    rig.run(script)


def test_a_call_that_a_dead_feed_had_under_way_ends_it_and_leaves_its_successor_alone(rig: TapeRig) -> None:
    async def script() -> None:
        dead, successor = rig.buffer(), rig.buffer()
        await dead._writer.take(at_ms=T0_MS)
        dead.append(COIN, rig.move_to(0), step(249.0))
        await flushed_at(rig, dead, 10)
        dead.append(COIN, rig.move_to(20), step(1.0))
        marks = await successor._writer.take(at_ms=T0_MS + 1)
        assert marks == Marks(T0_MS + 9, T0_MS + 9)
        successor.start(T0_MS + 9)
        successor.append(COIN, T0_MS + 10, Gap("the feed was away"))
        await flushed_at(rig, successor, 30)
        with pytest.raises(Fenced):
            await flushed_at(rig, dead, 40)
        assert [entry.value for entry in await on_tape(rig)] == [step(249.0), Gap("the feed was away")]

    rig.run(script)


@server_only
def test_a_running_tape_buffer_always_ends_when_cancelled(rig: TapeRig) -> None:
    async def script() -> None:
        for number in range(60):
            buffer = rig.buffer(watermark_ms=rig.now_ms - 1)
            running = asyncio.create_task(buffer.run())
            for _ in range(20 + number):
                rig.now_ms += 1
                await asyncio.sleep(0.0003)
            running.cancel()
            done, _ = await asyncio.wait([running], timeout=10)
            assert done

    rig.run(script)


async def on_tape(rig: TapeRig, coin: str = COIN) -> list[Entry]:
    return await rig.writer().entries(coin, after_ms=0, up_to_ms=10**13)


async def one_keyframe(rig: TapeRig, buffer: TapeBuffer, offset_ms: int) -> None:
    """Let the keyframes of this instant be written."""
    rig.move_to(offset_ms)
    entries = buffer.entries
    keyframes = asyncio.create_task(buffer.write_keyframes())
    while buffer.entries == entries:
        await asyncio.sleep(0.001)
    keyframes.cancel()


async def flushed_at(rig: TapeRig, buffer: TapeBuffer, offset_ms: int) -> None:
    rig.move_to(offset_ms)
    await flushed(buffer)


@contextmanager
def answers_lost(buffer: TapeBuffer) -> Iterator[None]:
    """Every append is executed, but its answer is lost."""
    append = buffer._writer.append

    async def lose(*args: Any, **named: Any) -> None:
        await append(*args, **named)
        raise redis.TimeoutError("no answer")

    buffer._writer.append = lose  # type: ignore[method-assign]
    yield
    buffer._writer.append = append  # type: ignore[method-assign]


def forget_everything(rig: TapeRig) -> None:
    for key in rig.client.scan_iter(f"{rig.keys.prefix}*"):
        rig.client.delete(key)


@contextmanager
def redis_away(buffer: TapeBuffer) -> Iterator[None]:
    """Every append fails, as with a server that refuses connections."""

    async def refuse(*_: Any, **__: Any) -> None:
        raise redis.ConnectionError("refused")

    append = buffer._writer.append
    buffer._writer.append = refuse  # type: ignore[method-assign]
    yield
    buffer._writer.append = append  # type: ignore[method-assign]
