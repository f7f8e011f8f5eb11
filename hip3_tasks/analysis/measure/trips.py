"""Orders of a taker at the touch of T0, which arrive later, and his way out at the other touch after that.

An order that arrives a latency after T0 is *had* if the touch then stands at the price of T0 or at a better one, and is
filled there; otherwise it expires. The position is closed at the other touch, some time later.

By the kept tape, it arrives after any latency, and is closed N after that, for each follow-up's offset N. By follow-ups
alone, it arrives with the first one, and each later one is a way out: with follow-ups after 1, 3 and 5 s the latency is
1 s, and a position is held for 2 and 4 s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from hip3_tasks.analysis.measure.chunk import sum_by
from hip3_tasks.analysis.measure.codes import are_buys, codes
from hip3_tasks.analysis.measure.costs import BySignal
from hip3_tasks.analysis.measure.grouping import Grouping
from hip3_tasks.analysis.measure.signal_index import SignalIndex
from hip3_tasks.domain.edge import Side, had, trip_move_bps
from hip3_tasks.stats.bootstrap import Array, Integers

SIGNAL = ("market_key", "signal_timestamp_ms")
"""The columns that say of which signal a row is."""
_OF_SIGNAL = (*SIGNAL, "side", "t0_raw_edge_bps")
USUAL_SHARE = 0.5
"""An offset with fewer follow-ups than this share of the most frequent one is none that signals usually have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TripPlan:
    """All that must be known before follow-ups are paired."""

    offsets_ms: Sequence[int]
    """The usual offsets of signals, ascending: that of the entry, then those of the ways out."""
    t0_usd: SignalIndex
    """The notional of each signal's touch."""
    min_notional_usd: float
    by_tape: SignalIndex
    """1 for each signal whose orders are known by the tape."""
    latency_ms: int
    """The latency by which those are judged."""

    def judged(self, *, by_tape: bool) -> tuple[int, int]:
        """The latency and the time held of the orders that are judged, those held longest."""
        first_ms, last_ms = self.offsets_ms[0], self.offsets_ms[-1]
        return (self.latency_ms, last_ms) if by_tape else (first_ms, last_ms - first_ms)

    def by_followups(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The follow-ups of signals whose orders the tape does not tell."""
        if not len(self.by_tape.keys):
            return rows
        known = self.by_tape.find(codes(rows["market_key"]), rows["signal_timestamp_ms"].to_numpy())
        return rows.filter(np.isnan(known))


def usual_offsets_ms(counts: Mapping[int, int]) -> list[int]:
    """The offsets that signals usually have, ascending, given the number of follow-ups of each."""
    most = max(counts.values(), default=0)
    return sorted(offset_ms for offset_ms, count in counts.items() if count >= USUAL_SHARE * most)


def pair(rows: pl.DataFrame, offsets_ms: Sequence[int], *, is_last: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Follow-ups as trips, one for each signal and way out; and the rows of signals that other chunks may have more of.

    Without `is_last` only signals that have a follow-up at each offset are paired. Columns: those of the signal,
    `latency_ms`, `held_ms`, and the moves from the touch of T0 and the notionals at entry and exit; null is unknown.
    """
    rows = rows.filter(pl.col("offset_ms").is_in(offsets_ms))
    is_whole = pl.lit(True) if is_last else pl.len().over(SIGNAL) == len(offsets_ms)
    rows = rows.with_columns(is_whole=is_whole)
    aside = rows.filter(~pl.col("is_whole")).drop("is_whole")
    latency_ms, *later_ms = offsets_ms
    entries = rows.filter(pl.col("is_whole"), offset_ms=latency_ms).select(
        *_OF_SIGNAL,
        latency_ms=pl.lit(latency_ms, pl.Int32),
        entry_move_bps="market_part_bps",
        entry_usd="touch_usd",
    )
    exits = rows.select(*SIGNAL, "exit_move_bps", "exit_usd", held_ms=pl.col("offset_ms") - latency_ms)
    held_ms = pl.DataFrame(
        {"held_ms": [offset_ms - latency_ms for offset_ms in later_ms]}, schema={"held_ms": pl.Int32}
    )
    return entries.join(held_ms, how="cross").join(exits, on=[*SIGNAL, "held_ms"], how="left"), aside


@dataclass(frozen=True, slots=True)
class Trips:
    """Orders as arrays, (orders,), each with one way out. NaN is unknown."""

    market_key: Integers
    group: Integers
    timestamp_ms: Integers
    by_tape: bool
    latency_ms: Integers
    held_ms: Integers
    edge_t0_bps: Array
    is_had: npt.NDArray[np.bool_]
    round_trip_bps: Array
    """After costs; NaN too for an order that was not had."""
    usd: Array
    """The least notional at T0, entry and exit."""

    @classmethod
    def from_rows(
        cls, rows: pl.DataFrame, *, by: Grouping, cost_bps: BySignal, plan: TripPlan, by_tape: bool
    ) -> tuple[Self, int]:
        """The orders of `pair` or of the tape whose entry is known; and how many signals are too small."""
        rows = rows.filter(pl.col("entry_move_bps").is_not_null())
        market_key, timestamp_ms = codes(rows["market_key"]), rows["signal_timestamp_ms"].to_numpy()
        entry_usd, exit_usd = rows["entry_usd"].to_numpy(), rows["exit_usd"].to_numpy()
        order_usd = np.fmin(plan.t0_usd.find(market_key, timestamp_ms), entry_usd)
        entry_move_bps = rows["entry_move_bps"].to_numpy()
        is_had = had(entry_move_bps)
        sign = np.where(are_buys(rows["side"]), Side.BUY.sign, Side.SELL.sign)
        paid_bps = np.where(is_had, entry_move_bps, np.nan)
        move_bps = trip_move_bps(sign, entry_move_bps=paid_bps, exit_move_bps=rows["exit_move_bps"].to_numpy())
        trips = cls(
            market_key=market_key,
            group=by.codes(rows, timestamp="signal_timestamp_ms", edge="t0_raw_edge_bps"),
            timestamp_ms=timestamp_ms,
            by_tape=by_tape,
            latency_ms=rows["latency_ms"].to_numpy(),
            held_ms=rows["held_ms"].to_numpy(),
            edge_t0_bps=rows["t0_raw_edge_bps"].to_numpy(),
            is_had=is_had,
            round_trip_bps=move_bps - cost_bps.bps(market_key, timestamp_ms),
            usd=np.fmin(order_usd, exit_usd),
        )
        is_small = order_usd < plan.min_notional_usd
        return trips._where(~is_small), int(np.count_nonzero(is_small & trips.are_judged(plan)))

    def are_judged(self, plan: TripPlan) -> npt.NDArray[np.bool_]:
        """Whether each order is one by which the report judges."""
        latency_ms, held_ms = plan.judged(by_tape=self.by_tape)
        judged: npt.NDArray[np.bool_] = (self.latency_ms == latency_ms) & (self.held_ms == held_ms)
        return judged

    def _where(self, selected: npt.NDArray[np.bool_]) -> Self:
        arrays = {name: getattr(self, name)[selected] for name in self.__slots__ if name != "by_tape"}
        return replace(self, **arrays)

    def sums(self, *, cluster_ms: int) -> pl.DataFrame:
        """Sums by market, group, order and cluster: those of `trip_measures.TRIP_SUMS`."""
        keys = {
            "market_key": self.market_key,
            "group": self.group,
            "latency_ms": self.latency_ms,
            "held_ms": self.held_ms,
            "cluster": self.timestamp_ms // cluster_ms,
        }
        is_known = ~np.isnan(self.round_trip_bps)
        trip_bps = np.where(is_known, self.round_trip_bps, 0)
        has_size = is_known & ~np.isnan(self.usd)
        usd = np.where(has_size, self.usd, 0)
        terms = {
            "had": self.is_had,
            "trip_n": is_known,
            "trip": trip_bps,
            "trip_won": trip_bps > 0,
            "usd_n": has_size,
            "usd": usd,
            "gain": trip_bps * usd,
        }
        return sum_by(keys, terms).with_columns(by_tape=pl.lit(self.by_tape))
