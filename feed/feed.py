"""The feed: it receives the venue's frames, writes the tape, detects signals and hands them to the publisher."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import structlog

from feed.first_frames import FirstFrames
from feed.flood_log import FloodLog
from feed.followed_markets import FollowedMarkets
from feed.lag import LagWindow
from feed.liveness import Liveness
from feed.market_state import MarketState
from feed.notices import Notices
from feed.past import Past
from feed.raw_frames import RawFrames
from feed.signal_publisher import SignalPublisher
from feed.tape_buffer import TapeBuffer
from feed.universe import InfoClient, Universe
from feed.wire import Bbo, Ctx
from feed.witness import NOT_HEARD, Objection
from hip3_tasks.clock import FeedClock
from hip3_tasks.domain.conditions import Trigger
from hip3_tasks.domain.market import Gap
from hip3_tasks.errors import MalformedFrame
from hip3_tasks.settings import Settings
from hip3_tasks.store.tape_writer import TapeWriter

log = structlog.get_logger()


class Feed:
    """One feed on one event loop; the listener of its connections."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: FeedClock,
        writer: TapeWriter,
        publisher: SignalPublisher,
        past: Past,
        raw: RawFrames | None = None,
    ) -> None:
        self._settings, self._clock = settings, clock
        self._publisher, self._detector, self._past = publisher, past.detector, past
        self._group = asyncio.TaskGroup()
        self.tape = TapeBuffer(
            writer,
            clock=clock,
            covered_until_ms=self._covered_until_ms,
            signals=publisher,
            memory=self._detector.memory,
        )
        self.markets = FollowedMarkets(
            settings,
            clock=clock,
            tape=self.tape,
            listener=self,
            tape_ends=past.tape_ends,
            last_signals=past.last_signals,
            group=self._group,
            raw=raw,
        )
        self.raw = raw
        self.liveness = Liveness(self.markets, clock=clock)
        self.lags = LagWindow()
        self.detection_began_at_ms: int | None = None
        self.first_worker_at_ms: int | None = None
        """When the first worker consumed the queue; None if one already did when the feed started."""
        self.has_worker = False
        """Whether a worker has consumed the queue since the feed started."""
        self._may_detect = self._is_draining = False
        self.frames: Counter[str] = Counter()
        self.delisted: list[str] = []
        """The coins that the venue still lists, but no longer trades."""
        self.notices = Notices(settings)
        self._flood_log = FloodLog(clock.now_ms)
        self.trouble = "the venue has not answered yet"
        """The last reason that kept markets from being live."""

    @property
    def detecting(self) -> bool:
        return self._may_detect and not self._is_draining

    def start_detecting(self) -> None:
        """Detect signals from now on, or as soon as a market is live."""
        self._may_detect = True
        if self.markets.live:
            self.detection_began_at_ms = self._clock.now_ms()

    def stop_detecting(self) -> None:
        self._is_draining = True

    def on_worker(self, *, was_waited_for: bool) -> None:
        """A worker consumes the queue, from the start or from now on."""
        self.has_worker = True
        if was_waited_for:
            self.first_worker_at_ms = self._clock.now_ms()

    @property
    def signals_dropped(self) -> int:
        return self._detector.dropped_same_ms

    def start(self) -> None:
        """Begin a gap after the last watermark for every market that has a tape, followed or not."""
        self.tape.start(self._past.watermark_ms)
        for coin, end in self._past.tape_ends.items():
            self.tape.append(coin, max(self._past.watermark_ms, end.at_ms) + 1, Gap("the feed was away"))
        self._publisher.submit(self._past.signals_not_on_file)
        self._publisher.rebuilder.request()

    async def run(self, info: InfoClient) -> None:
        """Run all parts of the feed until cancelled; an error in one of them ends all."""
        publisher = self._publisher
        async with self._group as group:
            for work in (
                self.tape.run(),
                self.tape.write_keyframes(),
                publisher.write_signals(),
                publisher.publish_signals(),
                publisher.rebuilder.restore_recent(),
                publisher.rebuilder.restore_older(),
                info.watch(self._settings, self._on_universe),
                self.liveness.run(),
                self.markets.try_fresh_coins(),
                FirstFrames(self.markets, info, clock=self._clock, listener=self).run(),
            ):
                group.create_task(work)

    def on_data(self, frame: Bbo | Ctx, at_ms: int) -> None:
        """Write the market's state to the tape if it changed; a signal waits until the state is sealed."""
        is_book = isinstance(frame, Bbo)
        self.frames["bbo" if is_book else "ctx"] += 1
        state = self.markets.states.get(frame.coin)
        if state is None:
            self.frames["not_followed"] += 1
            return
        heard = self.markets.heard(frame.coin)
        if isinstance(frame, Ctx):
            state.note_oracle(frame.oracle_px, at_ms)
        elif heard.has_lag:
            self.lags.note(at_ms - frame.time_ms, at_ms)
        objection = heard.objection_at(at_ms)
        if objection is not None:
            self._object(state, objection)
            return
        trigger = Trigger.BBO if is_book else Trigger.CTX
        update = state.update(heard, at_ms, trigger, is_judged=self.detecting)
        if update is None:
            return
        if self.detecting and self.detection_began_at_ms is None:
            self.detection_began_at_ms = at_ms
        entry = self.tape.append(state.coin, at_ms, *update)
        signal = self._detector.observe(state.coin, entry)
        if signal is not None:
            self._publisher.hold(signal)

    def on_frame(self, kind: str) -> None:
        self.frames[kind] += 1

    def on_malformed(self, error: MalformedFrame, at_ms: int) -> None:
        """Count a frame that cannot be used; what it would have replaced is unknown from now on."""
        self.frames[error.kind] += 1
        self._flood_log.warning("malformed_frame", kind=error.kind, frame=str(error.frame)[:200])
        state = self.markets.states.get(error.coin or "")
        if state is not None and (objection := self.markets.heard(state.coin).objection_at(at_ms)):
            self._object(state, objection)

    def on_refusal(self, text: str) -> None:
        self._flood_log.warning("venue_error", text=text[:200])

    def on_stall(self, coins: Sequence[str], *, last_data_at_ms: int, at_ms: int) -> None:
        """Write a gap for a connection's silence that was too long for quiet markets, now that it has data again.

        The same socket loses no frame, so the last state of each market holds again from `at_ms` on.
        """
        log.warning("connection_stalled", silent_ms=at_ms - last_data_at_ms)
        for coin in coins:
            state = self.markets.states.get(coin)
            if state is not None and state.market is not None:
                end_ms = self.markets.connection_of[coin].witness.silence_end_ms(last_data_at_ms)
                cause = f"stalled: no data for {at_ms - last_data_at_ms} ms"
                self.tape.append(coin, end_ms + 1, Gap(cause))
                again = state.conditions(self.markets.heard(coin), at_ms, is_judged=self.detecting)
                self.tape.append(coin, at_ms, state.market, again)

    def on_loss(self, coins: Sequence[str], *, last_data_at_ms: int, cause: str) -> None:
        for coin in coins:
            self.markets.begin_gap(coin, cause, last_data_at_ms=last_data_at_ms)

    def on_trouble(self, trouble: str) -> None:
        self.trouble = trouble

    def on_rejected(self, coin: str) -> None:
        self.markets.reject(coin)

    def _object(self, state: MarketState, objection: Objection) -> None:
        if state.market is not None or objection not in NOT_HEARD.values():
            self.markets.begin_gap(state.coin, objection.cause, last_data_at_ms=None)

    def _on_universe(self, universe: Universe) -> None:
        """Follow the markets that were read by now, and name what was not."""
        live = {coin: fee_bps for coin, fee_bps in universe.live.items() if self._settings.wants(coin)}
        self.delisted = [coin for coin in universe.delisted if self._settings.wants(coin)]
        self.notices.update(universe)
        trouble = universe.trouble or next(iter(self.notices.broken), None)
        if not (live or trouble or universe.unread):
            trouble = "the venue has no live market that HIP3_DEXES and HIP3_COINS let through"
            log.error("no_market", why=trouble)
        self.trouble = trouble or self.trouble
        if universe.dexes_read:
            self.markets.follow(live, unread=universe.dexes - universe.dexes_read)

    def _covered_until_ms(self) -> int | None:
        return self.markets.covered_until_ms()
