"""Orders of a taker at the touch of T0, exact by the kept tape: on arrival at T0 + L, on the way out at T0 + L + N."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from hip3_tasks.analysis.loading.schemas import COIN, SIDE
from hip3_tasks.analysis.measure.codes import are_buys
from hip3_tasks.domain.capture import MAX_OFFSET_MS
from hip3_tasks.domain.edge import Side, moved_bps
from hip3_tasks.errors import BadSelection
from hip3_tasks.stats.bootstrap import Array, Integers
from hip3_tasks.tape.as_of import Touches, touches_as_of
from hip3_tasks.tape.load import Recording

ORDERS: dict[str, pl.DataType] = {
    "market_key": COIN,
    "side": SIDE,
    "signal_timestamp_ms": pl.Int64(),
    "t0_raw_edge_bps": pl.Float64(),
    "latency_ms": pl.Int32(),
    "held_ms": pl.Int32(),
    "entry_move_bps": pl.Float64(),
    "entry_usd": pl.Float32(),
    "exit_move_bps": pl.Float64(),
    "exit_usd": pl.Float32(),
}
"""The columns of orders, a row for each signal, latency and time held. Moves are those from the touch of T0, signed by
side; null is unknown, and an infinite entry is that into an empty side of the book."""
_UNKNOWN = pl.selectors.float().fill_nan(None)
MAX_LATENCIES = 10
Span = tuple[int, int]
"""An instant and a later one, both included; ms."""


@dataclass(frozen=True, slots=True)
class OrderPlan:
    """The orders to work out for each signal."""

    latencies_ms: tuple[int, ...]
    """The times between T0 and the arrival of the order."""
    held_ms: tuple[int, ...]
    """The times between the arrival and the way out."""

    @property
    def length_ms(self) -> int:
        """The time between T0 and the last way out."""
        return max(self.latencies_ms) + max(self.held_ms)

    def within(self, other: "OrderPlan") -> "OrderPlan":
        """The orders of this plan that another one has too."""
        latencies_ms = tuple(ms for ms in self.latencies_ms if ms in other.latencies_ms)
        return OrderPlan(latencies_ms, tuple(ms for ms in self.held_ms if ms in other.held_ms))


def parse_latencies(text: str, name: str = "--latency") -> tuple[int, ...]:
    """Latencies in ms with commas between them, ascending, each once. Raises BadSelection."""
    words = text.split(",")
    if all(word.isascii() and word.isdigit() and int(word) <= MAX_OFFSET_MS for word in words):
        latencies_ms = sorted(set(map(int, words)))
        if len(latencies_ms) <= MAX_LATENCIES:
            return tuple(latencies_ms)
    raise BadSelection(
        f"{name}: expected up to {MAX_LATENCIES} numbers of ms, 0 to {MAX_OFFSET_MS:,}, as in 200,600; was {text!r}"
    )


def covered_ms(recording: Recording) -> list[Span]:
    """The spans of time of which the recording has every entry."""
    spans: list[Span] = []
    for part in recording.parts:
        from_ms, until_ms = part.info.from_ms, part.info.until_ms
        if spans and part.hole_ms is None:
            from_ms = spans.pop()[0]
        spans.append((from_ms, until_ms))
    return spans


def are_covered(spans: Sequence[Span], timestamp_ms: Integers, *, length_ms: int) -> npt.NDArray[np.bool_]:
    """Whether one of the spans holds each signal's time and the `length_ms` after it; bool, (signals,)."""
    starts_ms, ends_ms = np.array(spans, dtype=np.int64).reshape(-1, 2).T
    place = np.searchsorted(starts_ms, timestamp_ms, side="right") - 1
    is_inside: npt.NDArray[np.bool_] = timestamp_ms + length_ms <= np.append(ends_ms, -1)[place]
    return is_inside


def orders_by_tape(
    recording: Recording, signals: pl.DataFrame, plan: OrderPlan, advance: Callable[[int], object] = lambda _: None
) -> pl.DataFrame:
    """The orders of signals that the recording covers; see ORDERS for the columns.

    `signals` has the columns of `load`. `advance` is called with the bytes of the tape that were read.
    """
    offsets_ms = np.unique([*plan.latencies_ms, *(ms + held for ms in plan.latencies_ms for held in plan.held_ms)])
    by_coin = {str(coin): own for (coin,), own in signals.partition_by("market_key", as_dict=True).items()}
    instants_ms = {
        coin: np.add.outer(offsets_ms, own["timestamp_ms"].to_numpy()).ravel() for coin, own in by_coin.items()
    }
    touches = touches_as_of(recording, instants_ms, advance)
    frames = (
        frame for coin, own in by_coin.items() for frame in _orders(own, touches.pop(coin), offsets_ms.tolist(), plan)
    )
    return pl.concat([pl.DataFrame(schema=ORDERS), *frames])


def _orders(signals: pl.DataFrame, touches: Touches, offsets_ms: list[int], plan: OrderPlan) -> Iterator[pl.DataFrame]:
    """The orders of one market's signals, for one latency and time held after the other."""
    is_buy = are_buys(signals["side"])
    t0_px = signals["best_px"].to_numpy()
    shape = len(offsets_ms), len(t0_px)
    is_known = touches.is_known.reshape(shape)

    def reached(at_ms: int, *, is_way_in: bool) -> tuple[Array, Array]:
        """The move from the touch of T0 to the price that an order gets then, signed by side; and its notional."""
        row, takes_ask = offsets_ms.index(at_ms), is_buy == is_way_in
        px, sz = (
            np.where(takes_ask, ask.reshape(shape)[row], bid.reshape(shape)[row])
            for ask, bid in ((touches.ask_px, touches.bid_px), (touches.ask_sz, touches.bid_sz))
        )
        move_bps = np.where(is_buy, Side.BUY.sign, Side.SELL.sign) * moved_bps(from_px=t0_px, to_px=px)
        if is_way_in:
            move_bps = np.where(is_known[row] & np.isnan(px), np.inf, move_bps)
        return move_bps, px * sz

    own = signals.select("market_key", "side", signal_timestamp_ms="timestamp_ms", t0_raw_edge_bps="raw_edge_bps")
    for latency_ms in plan.latencies_ms:
        entry_move_bps, entry_usd = reached(latency_ms, is_way_in=True)
        for held_ms in plan.held_ms:
            exit_move_bps, exit_usd = reached(latency_ms + held_ms, is_way_in=False)
            orders = own.with_columns(
                latency_ms=pl.lit(latency_ms),
                held_ms=pl.lit(held_ms),
                entry_move_bps=entry_move_bps,
                entry_usd=entry_usd,
                exit_move_bps=exit_move_bps,
                exit_usd=exit_usd,
            )
            yield orders.select(pl.col(name).cast(kind) for name, kind in ORDERS.items()).with_columns(_UNKNOWN)
