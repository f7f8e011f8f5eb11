"""One socket of the probe: every frame with its time, the answers to its subscriptions, and its losses. Pure state."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from feed.probe.market_notes import MarketNotes
from feed.probe.samples import Samples
from feed.probe.twins import Twins
from feed.wire import Ack, Bbo, Ctx, Frame, Other, Refusal, parse_frame
from feed.witness import dex_of
from hip3_tasks.errors import MalformedFrame

ROUND_MS = 1_500
"""Changes of oracle prices of a dex within this time are one round: contexts of its markets come over a second."""
UNANSWERED_MS = 2_000
"""A subscription that has no answer for so long will get none."""
MAX_EXAMPLE, MAX_LOSSES = 300, 50
Subscription = tuple[str, str]
"""Channel and coin."""


@dataclass(slots=True)
class FrameExample:
    """How many frames of a kind came, and the beginning of the first one."""

    count: int = 0
    first: str = ""

    def note(self, text: str) -> None:
        self.count += 1
        self.first = self.first or text[:MAX_EXAMPLE]


class SocketNotes:
    """The measurements of one socket, which may be connected again. `number` is 0 or 1."""

    def __init__(self, number: int, twins: Twins) -> None:
        self.number, self._twins = number, twins
        self.markets: defaultdict[str, MarketNotes] = defaultdict(MarketNotes)
        self.frames: Counter[str] = Counter()
        self.not_understood: defaultdict[str, FrameExample] = defaultdict(FrameExample)
        self.errors = FrameExample()
        self.connects = self.failed_connects = self.pings = 0
        self.losses: list[dict[str, Any]] = []
        self.answer_ms, self.pause_ms = Samples(), Samples()
        self.first_book_ms: dict[str, int] = {}
        """Time from the acknowledgement of a subscription to the first book, by coin: the longest."""
        self.refused: dict[str, str] = {}
        """Error frames that name a subscription, by channel and coin."""
        self.closed_by: list[str] = []
        """Coins whose subscription ended the connection."""
        self.unanswered: dict[Subscription, int] = {}
        self.never_answered: list[str] = []
        self.oracle_round_ms: defaultdict[str, Samples] = defaultdict(Samples)
        self.older_ms = Samples()
        """How far each book is behind the newest block of the socket, if it is."""
        self._round_at_ms: dict[str, int] = {}
        self._no_book_yet: dict[str, int] = {}
        self._newest_ms = self._heard_at_ms = 0

    def open(self, at_ms: int) -> None:
        self.connects += 1
        self._heard_at_ms = at_ms

    def lose(self, at_ms: int, cause: str) -> None:
        """The connection ended; the states of its markets are unknown."""
        self._stop_waiting(at_ms)
        if len(self.losses) < MAX_LOSSES:
            self.losses.append({"at_ms": at_ms, "cause": cause})
        self.unanswered.clear()
        self._newest_ms = 0
        self._twins.lose(self.number)
        for market in self.markets.values():
            market.reconnect()

    def finish(self, at_ms: int) -> None:
        """Count what is still missing at the end of the probe."""
        self._stop_waiting(at_ms)
        for (channel, coin), asked_at_ms in self.unanswered.items():
            if at_ms - asked_at_ms > UNANSWERED_MS:
                self.never_answered.append(f"{channel} {coin}")

    def ask(self, channel: str, coin: str, at_ms: int) -> None:
        """A subscription is sent."""
        self.unanswered[channel, coin] = at_ms
        self.markets[coin]  # one that stays silent is listed

    def hear(self, raw: str | bytes, at_ms: int) -> None:
        """Take a frame as it came."""
        self.pause_ms.add(at_ms - self._heard_at_ms)
        self._heard_at_ms = at_ms
        try:
            self._take(parse_frame(raw), raw, at_ms)
        except MalformedFrame as error:
            self._misunderstand(error.kind, raw)
            if error.coin is not None and error.coin in self.markets:
                self.markets[error.coin].counts["refused"] += 1

    def summary(self) -> dict[str, Any]:
        names = "connects", "failed_connects", "pings", "losses", "refused", "never_answered", "closed_by", "errors"
        samples = {name: getattr(self, name).summary() for name in ("answer_ms", "pause_ms", "older_ms")}
        return {
            "frames": dict(self.frames),
            **{name: getattr(self, name) for name in names},
            "not_understood": dict(self.not_understood),
            **samples,
        }

    def _stop_waiting(self, at_ms: int) -> None:
        self.pause_ms.add(at_ms - self._heard_at_ms)
        for coin, acked_at_ms in self._no_book_yet.items():
            self.first_book_ms[coin] = max(at_ms - acked_at_ms, self.first_book_ms.get(coin, 0))
        self._no_book_yet.clear()

    def _take(self, frame: Frame, raw: str | bytes, at_ms: int) -> None:
        match frame:
            case Bbo():
                self.frames["bbo"] += 1
                self._take_book(frame, at_ms)
            case Ctx():
                self.frames["activeAssetCtx"] += 1
                if self.markets[frame.coin].hear_ctx(frame, at_ms):
                    self._note_round(dex_of(frame.coin), at_ms)
            case Ack(channel, coin):
                self.frames["ack"] += 1
                asked_at_ms = self.unanswered.pop((channel, coin), None)
                if asked_at_ms is not None:
                    self.answer_ms.add(at_ms - asked_at_ms)
                    if channel == "bbo":
                        self._no_book_yet[coin] = at_ms
            case Refusal(text):
                self.frames["error"] += 1
                self._take_error(text)
            case Other("unknown_channel"):
                self._misunderstand("unknown_channel", raw)
            case Other(kind):
                self.frames[kind] += 1

    def _take_book(self, bbo: Bbo, at_ms: int) -> None:
        is_first = self.markets[bbo.coin].hear_bbo(bbo, at_ms)
        self._twins.hear(self.number, bbo, at_ms, is_first=is_first)
        acked_at_ms = self._no_book_yet.pop(bbo.coin, None)
        if acked_at_ms is not None:
            self.first_book_ms[bbo.coin] = max(at_ms - acked_at_ms, self.first_book_ms.get(bbo.coin, 0))
        if not is_first:
            if bbo.time_ms < self._newest_ms:
                self.older_ms.add(self._newest_ms - bbo.time_ms)
            self._newest_ms = max(self._newest_ms, bbo.time_ms)

    def _take_error(self, text: str) -> None:
        for channel, coin in self.unanswered:
            if f'"{coin}"' in text and f'"{channel}"' in text:
                del self.unanswered[channel, coin]
                self.refused[f"{channel} {coin}"] = text[:MAX_EXAMPLE]
                return
        self.errors.note(text)

    def _misunderstand(self, kind: str, raw: str | bytes) -> None:
        self.frames[kind] += 1
        self.not_understood[kind].note(raw if isinstance(raw, str) else raw[:MAX_EXAMPLE].decode(errors="replace"))

    def _note_round(self, dex: str, at_ms: int) -> None:
        began_at_ms = self._round_at_ms.get(dex)
        if began_at_ms is not None and at_ms - began_at_ms < ROUND_MS:
            return
        if began_at_ms is not None:
            self.oracle_round_ms[dex].add(at_ms - began_at_ms)
        self._round_at_ms[dex] = at_ms
