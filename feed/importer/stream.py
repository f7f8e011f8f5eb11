"""Turns the frames of a recording into tape entries, with the parts of a feed that do so live.

Time is that of the recording. It begins anew after a pause of more than 10 s, and where it goes back: what was known
before is not joined with what comes after.
"""

from collections.abc import Callable, Sequence

from feed.market_state import MarketState, keyframe_conditions
from feed.tape_buffer import KEYFRAME_INTERVAL_MS
from feed.wire import Bbo, Ctx
from feed.witness import LOOK_INTERVAL_MS, NOT_HEARD, Objection, SocketWitness
from hip3_tasks.domain.conditions import Conditions, Trigger
from hip3_tasks.domain.detector import Detector
from hip3_tasks.domain.market import NO_DATA, Entry, Gap, Market
from hip3_tasks.errors import MalformedFrame
from hip3_tasks.recording.new_tape import NewTape
from hip3_tasks.settings import Settings

MAX_PAUSE_MS = 10_000


class Stream:
    """The frames of one socket, or of a file that does not tell sockets apart."""

    def __init__(self, tape: NewTape, chosen: Settings, *, taker_fee_bps: Callable[[str], float]) -> None:
        self._tape, self._settings, self._taker_fee_bps = tape, chosen, taker_fee_bps
        self.now_ms: int | None = None
        """The time of the last line that has one."""
        self._states: dict[str, MarketState]
        self._latest: dict[str, tuple[int, int, Market | Gap, Conditions]] = {}
        """Instant, place, value and conditions of the last entry of each market."""
        self._restart()

    def _restart(self) -> None:
        chosen = self._settings
        self._states, self._detector = {}, Detector(chosen.rules)
        self._witness = SocketWitness(stall_grace_ms=chosen.stall_grace_ms, ctx_max_age_ms=chosen.ctx_max_age_ms)
        self._look_at_ms = self._keyframes_at_ms = 0

    def pass_to(self, at_ms: int) -> int:
        """Pass to the time of a line, and return it; the stream begins anew if too much passed, or if it went back."""
        last_ms = self.now_ms
        if last_ms is None:
            self.now_ms = at_ms
        elif at_ms > last_ms + MAX_PAUSE_MS:
            self.end(f"the recording paused for {(at_ms - last_ms) / 1000:.0f} s", next_ms=at_ms)
            self.now_ms = at_ms
        elif at_ms < last_ms - MAX_PAUSE_MS:
            self.end("the recording goes back in time")
            self._restart()
            self.now_ms = at_ms
        else:
            self.now_ms = max(last_ms, at_ms)
        return self.now_ms

    def hear(self, frames: Sequence[Bbo | Ctx], at_ms: int, *, is_received: bool) -> None:
        """Take frames of one market that came together. Without a receive time, `at_ms` is the best that is known."""
        at_ms = self._begin_data(at_ms)
        for frame in frames:
            state = self._follow(frame.coin, at_ms)
            self._witness.hear(frame, at_ms)
            heard = self._witness.markets[frame.coin]
            if isinstance(frame, Ctx):
                state.note_oracle(frame.oracle_px, at_ms)
            elif not is_received:
                heard.has_lag = False
        objection = heard.objection_at(at_ms)
        if objection is not None:
            self._object(state, objection, at_ms)
            return
        is_book = isinstance(frames[0], Bbo) and (len(frames) == 1 or heard.bbo_at_ms == at_ms)
        trigger = Trigger.BBO if is_book else Trigger.CTX
        update = state.update(heard, at_ms, trigger, is_judged=True)
        if update is not None:
            update.conditions.has_lag &= is_received
            self._detector.observe(state.coin, self._append(state.coin, at_ms, *update))

    def refuse(self, error: MalformedFrame, at_ms: int) -> None:
        """Take a frame that cannot be used: what it would have replaced is unknown."""
        state = self._states.get(error.coin or "")
        if state is None or error.channel is None:
            return
        at_ms = self._begin_data(at_ms)
        self._witness.refuse(state.coin, error.channel, at_ms)
        objection = self._witness.objection(state.coin, at_ms)
        if objection is not None and state.coin in self._latest:
            self._object(state, objection, at_ms)

    def end(self, cause: str, *, next_ms: int | None = None) -> None:
        """End the time here, with a gap of every market, which begins before `next_ms`."""
        last_data_at_ms = self._witness.last_data_at_ms
        if last_data_at_ms is not None:
            end_ms = self._witness.silence_end_ms(last_data_at_ms) + 1
            for coin in self._latest:
                self._lose(self._states[coin], cause, end_ms if next_ms is None else min(end_ms, next_ms - 1))
        self._tape.end_run(self._latest.keys())
        self._latest.clear()
        self._witness.disconnect()

    def _begin_data(self, at_ms: int) -> int:
        """Let time pass to a frame of a market: silence before it is a gap, and what is due before it is done."""
        at_ms, last_data_at_ms = self.pass_to(at_ms), self._witness.last_data_at_ms
        silent_ms = 0 if last_data_at_ms is None else at_ms - last_data_at_ms
        if silent_ms > MAX_PAUSE_MS:
            self.end(f"the recording has no data for {silent_ms / 1000:.0f} s", next_ms=at_ms)
        elif silent_ms > self._witness.grace_ms:
            self._note_stall(at_ms, silent_ms)
        if at_ms >= self._look_at_ms:
            self._look_at_ms = at_ms + LOOK_INTERVAL_MS
            for coin in self._latest:
                objection = self._witness.objection(coin, at_ms)
                if objection is not None:
                    self._object(self._states[coin], objection, at_ms)
        if at_ms >= self._keyframes_at_ms:
            self._keyframes_at_ms = at_ms + KEYFRAME_INTERVAL_MS
            for coin, (last_ms, _, value, last) in list(self._latest.items()):
                how = keyframe_conditions(last, max(0, at_ms - last_ms), self._detector.memory(coin))
                self._append(coin, at_ms, value, how)
        return at_ms

    def _note_stall(self, at_ms: int, silent_ms: int) -> None:
        """Write a gap for a silence that is too long for quiet markets; the same socket loses no frame."""
        for coin in list(self._latest):
            market = self._states[coin].market
            if market is not None:
                end_ms = self._witness.silence_end_ms(at_ms - silent_ms)
                self._append(coin, end_ms + 1, Gap(f"stalled: no data for {silent_ms} ms"), Conditions())
                again = self._states[coin].conditions(self._witness.markets[coin], at_ms, is_judged=True)
                self._append(coin, at_ms, market, again)

    def _follow(self, coin: str, at_ms: int) -> MarketState:
        state = self._states.get(coin)
        if state is None:
            fee_bps, rules = self._taker_fee_bps(coin), self._settings.rules
            state = self._states[coin] = MarketState(coin, fee_bps, rules, unknown_since_ms=at_ms)
            state.count_oracle_from(at_ms)
        if coin not in self._witness.markets:
            self._witness.follow(coin)
        if coin not in self._latest:
            self._append(coin, at_ms, Gap(NO_DATA), Conditions())
        return state

    def _object(self, state: MarketState, objection: Objection, at_ms: int) -> None:
        if state.market is not None or objection not in NOT_HEARD.values():
            self._lose(state, objection.cause, at_ms)

    def _lose(self, state: MarketState, cause: str, at_ms: int) -> None:
        if state.market is not None:
            self._append(state.coin, at_ms, Gap(cause), Conditions())
        state.lose(cause, at_ms)

    def _append(self, coin: str, at_ms: int, value: Market | Gap, how: Conditions) -> Entry:
        last_ms, last_seq, *_ = self._latest.get(coin, (-1, -1))
        at_ms, seq = (at_ms, 0) if at_ms > last_ms else (last_ms, last_seq + 1)
        self._latest[coin] = at_ms, seq, value, how
        has_conditions = isinstance(value, Market) or how.memory is not None
        entry = Entry(at_ms, value, how if has_conditions else None)
        self._tape.add(coin, seq, entry)
        return entry
