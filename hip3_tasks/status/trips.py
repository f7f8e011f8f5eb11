"""The orders and round trips of a taker, worked out from the follow-ups of signals as their lines are read.

The definitions are the report's (`hip3_tasks/analysis/measure/trips.py`): an order at the touch of T0 arrives with the
signal's first follow-up, and each later one is a way out. Without the first one there is no order. A signal's line is
read before those of its follow-ups, which come in any order.
"""

from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Self

from hip3_tasks.domain.detector import SLIPPAGE_BPS
from hip3_tasks.domain.edge import Side, had, moved_bps, trip_move_bps
from hip3_tasks.domain.fees import LEAST_ORDER_USD, NO_DISCOUNTS, TakerFees
from hip3_tasks.domain.records import MAX_BPS
from hip3_tasks.settings import Settings

COST_DIGITS = 9
"""The report rounds to as many: digits beyond are rounding errors of the subtraction."""
MAX_OPEN_SIGNALS = 50_000


class Order(StrEnum):
    """The fate of an order at the touch of T0."""

    HAD = "had"
    NOT_HAD = "not_had"
    TOO_SMALL = "too_small"
    """The touch was worth less than the venue's least order, at T0 or on arrival."""


class TripTerms(NamedTuple):
    """The terms that a line adds to the sums of the orders with one latency and one time held."""

    latency_ms: int
    held_ms: int
    terms: tuple[float, float, float, float, float]
    """The terms of TRIP_SUMS, in their order."""


TRIP_SUMS = ("orders", "n", "had", "trip_n", "trip")
"""Orders, those that are not too small, those that were had, the round trips known of these, and their results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taker:
    """The taker whose results are shown."""

    fees: TakerFees = NO_DISCOUNTS
    slippage_bps: float = SLIPPAGE_BPS
    """For signals that do not record theirs."""

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        return cls(fees=settings.taker_fees, slippage_bps=settings.slippage_bps)

    def costs_bps(self, signal: dict[str, Any]) -> tuple[float, float]:
        """His cost of a decoded signal's markout, and that of its round trip."""
        recorded_cost_bps = round(float(signal["raw_edge_bps"]) - float(signal["net_edge_bps"]), COST_DIGITS)
        recorded_bps = signal.get("taker_fee_bps")
        recorded_bps = max(0.0, recorded_cost_bps - self.slippage_bps) if recorded_bps is None else float(recorded_bps)
        costs = self.fees.costs(recorded_cost_bps, recorded_bps)
        return costs.markout_bps, costs.round_trip_bps


ANY_TAKER = Taker()


class SignalTrips:
    """The order of one signal, and its ways out."""

    __slots__ = (
        *("_cost_bps", "_entry_move_bps", "_exit_moves_bps", "_offsets_ms", "_side"),
        *("markout_cost_bps", "order", "usd"),
    )

    def __init__(self, signal: dict[str, Any], taker: Taker) -> None:
        """Raises ValueError, TypeError or KeyError if the decoded line is no signal."""
        self._side = Side(signal["side"])
        self._offsets_ms: list[int] = sorted(signal["offsets_ms"])
        self.markout_cost_bps, self._cost_bps = taker.costs_bps(signal)
        self.usd = _usd(signal.get("best_px"), signal.get("best_size"))
        """The notional of the touch at T0."""
        self.order: Order | None = None
        """None while the first follow-up is not there."""
        self._entry_move_bps = 0.0
        self._exit_moves_bps: dict[int, float | None] = {}

    def take(self, followup: dict[str, Any]) -> list[TripTerms]:
        """Take a decoded line, and return what is known by it. A repeated line adds nothing.

        Raises ValueError, TypeError or KeyError if it is no follow-up.
        """
        offset_ms, (first_ms, *later_ms) = followup["offset_ms"], self._offsets_ms
        if offset_ms == first_ms and self.order is None:
            self._enter(followup)
            return [self._terms(later, is_new=True) for later in later_ms]
        if offset_ms in later_ms and offset_ms not in self._exit_moves_bps:
            self._exit_moves_bps[offset_ms] = self._exit_move_bps(followup)
            return [] if self.order is None else [self._terms(offset_ms, is_new=False)]
        return []

    def round_trip_bps(self, offset_ms: int) -> float | None:
        """The result of leaving at an offset, after costs; None if the order was not had or the way out is unknown."""
        exit_move_bps = self._exit_moves_bps.get(offset_ms)
        if self.order is not Order.HAD or exit_move_bps is None:
            return None
        move_bps: float = trip_move_bps(
            self._side.sign, entry_move_bps=self._entry_move_bps, exit_move_bps=exit_move_bps
        )
        return move_bps - self._cost_bps

    def _enter(self, followup: dict[str, Any]) -> None:
        self._entry_move_bps = self._side.sign * float(followup["market_moved_bps"])
        touches_usd = (self.usd, _usd(followup.get("best_px"), followup.get("best_size")))
        if any(usd is not None and usd < LEAST_ORDER_USD for usd in touches_usd):
            self.order = Order.TOO_SMALL
        else:
            self.order = Order.HAD if had(self._entry_move_bps) else Order.NOT_HAD

    def _exit_move_bps(self, followup: dict[str, Any]) -> float | None:
        t0_px, exit_px = followup.get("t0_best_px"), followup.get("bid_px" if self._side is Side.BUY else "ask_px")
        if t0_px is None or exit_px is None:
            return None
        move_bps: float = self._side.sign * moved_bps(from_px=t0_px, to_px=exit_px)
        return move_bps if abs(move_bps) <= MAX_BPS else None

    def _terms(self, offset_ms: int, *, is_new: bool) -> TripTerms:
        """The terms of one way out; an order is counted once, when it is new."""
        is_counted = is_new and self.order is not Order.TOO_SMALL
        trip_bps = self.round_trip_bps(offset_ms)
        terms = (is_new, is_counted, is_counted and self.order is Order.HAD, trip_bps is not None, trip_bps or 0.0)
        return TripTerms(self._offsets_ms[0], offset_ms - self._offsets_ms[0], terms)


class OpenSignals:
    """The signals whose captures are not all read."""

    def __init__(self, taker: Taker = ANY_TAKER) -> None:
        self._taker = taker
        self._open: OrderedDict[str, SignalTrips] = OrderedDict()
        self._unanswered: dict[str, int] = {}
        """The number of open offsets of each."""

    def __len__(self) -> int:
        return len(self._open)

    def take(self, signal: dict[str, Any]) -> None:
        """Add a decoded line. Raises ValueError, TypeError or KeyError if it is no signal."""
        signal_id = str(signal["signal_id"])
        self._open[signal_id] = SignalTrips(signal, self._taker)
        self._unanswered[signal_id] = len(signal["offsets_ms"])
        if len(self._open) > MAX_OPEN_SIGNALS:
            del self._unanswered[self._open.popitem(last=False)[0]]

    def answered(self, line: dict[str, Any]) -> SignalTrips | None:
        """The signal of a follow-up or missed line, kept until all its lines are read; None if it is not known."""
        signal_id = line.get("signal_id")
        signal = self._open.get(signal_id) if isinstance(signal_id, str) else None
        if signal is not None and isinstance(signal_id, str):
            self._unanswered[signal_id] -= 1
            if self._unanswered[signal_id] <= 0:
                del self._open[signal_id], self._unanswered[signal_id]
        return signal


def _usd(px: float | None, sz: float | None) -> float | None:
    return None if px is None or sz is None else px * sz
