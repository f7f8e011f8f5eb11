"""Prices of the market at T0 and at T+N: integer ticks.

A price is rounded up or down to a tick at random, with the probability that preserves its expectation, so that the
planted effects hold for the rounded prices too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hip3_tasks.domain.edge import BPS
from simulator.history.arrivals import Arrivals, Floats, Ints
from simulator.history.effects import MOVED_PATH
from simulator.history.markets import MIN_MARGIN_BPS, THRESHOLD_BPS, PlantedMarket
from simulator.history.plan import OFFSETS_MS
from simulator.history.shocks import first_z, shocks_bps

COPY_BPS = 0.5
"""Standard deviation between the outcomes of one event's copies after T+1 s."""
SAME_SIDE = 0.8
"""Share of markets that a tick moves in the direction of the dex."""
FIRST_SIZES = 0.2, 1.8
"""Range of the sizes of events' first moves; their mean is 1."""
SPREAD_RANGE = 0.5, 1.5
"""The least and the greatest width of a book, as a share of its market's mean."""
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Books:
    """Prices in ticks, int64, (signals,) or (signals, offsets)."""

    oracle: Ints
    touch: Ints
    other: Ints
    """The opposite side of the book from the touch."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of every signal at T0 and when its follow-ups are due. All arrays are int64."""

    sign: Ints
    """+1 for a buy, −1 for a sell, (signals,)."""
    t0: Books
    due: Books
    updates: Ints
    """Number of oracle ticks since T0, (signals, offsets)."""
    oracle_age_ms: Ints
    """Age of the oracle price when the follow-up is due, (signals, offsets)."""


def draw_prices(markets: Sequence[PlantedMarket], arrivals: Arrivals, rng: np.random.Generator) -> Prices:
    """Draw the prices of all signals of a chunk."""
    return _Venue(markets, arrivals, rng).prices()


class _Venue:
    """Draws prices: per event where its copies share them, otherwise per signal."""

    def __init__(self, markets: Sequence[PlantedMarket], arrivals: Arrivals, rng: np.random.Generator) -> None:
        self._markets, self._arrivals, self._rng = markets, arrivals, rng
        self._edge_bps = THRESHOLD_BPS + MIN_MARGIN_BPS + self._trait("excess_bps") * rng.exponential(size=self._events)
        self._sign = self._signs()[arrivals.event]

    @property
    def _events(self) -> int:
        return len(self._arrivals.tick)

    def prices(self) -> Prices:
        arrivals = self._arrivals
        venue_due_ms = arrivals.at_ms[:, None] + np.array(OFFSETS_MS) - arrivals.delay_ms[arrivals.event][:, None]
        last = np.searchsorted(arrivals.ticks_ms, venue_due_ms, side="right") - 1
        updates = last - arrivals.tick[arrivals.event][:, None]
        t0 = self._books_at_t0()
        due = self._books_at_due(t0, has_ticked=updates > 0)
        return Prices(self._sign, t0, due, updates, venue_due_ms - arrivals.ticks_ms[last])

    def _signs(self) -> Ints:
        dex_sign = self._rng.choice([-1, 1], len(self._arrivals.ticks_ms))[self._arrivals.tick]
        sign = np.where(self._rng.random(self._events) < SAME_SIDE, dex_sign, -dex_sign)
        standing = self._trait("side").astype(np.int64)
        return np.where(standing, standing, sign)

    def _books_at_t0(self) -> Books:
        number, hours = self._arrivals.market, self._arrivals.ticks_ms[self._arrivals.tick] / HOUR_MS
        wander = 0.012 * np.sin(hours * (0.7 + number % 5 * 0.2) + number) + 0.003 * np.sin(hours * 23 + 2 * number)
        price_ticks = self._trait("base_ticks") * np.exp(wander + self._rng.normal(0, 5e-4, self._events))
        oracle = np.rint(price_ticks).astype(np.int64)[self._arrivals.event]
        touch = oracle - self._sign * self._rounded(oracle * self._edge_bps[self._arrivals.event] / BPS)
        return Books(oracle, touch, touch - self._sign * self._spreads(touch, 1)[:, 0])

    def _books_at_due(self, t0: Books, *, has_ticked: NDArray[np.bool_]) -> Books:
        """The books at each offset. The oracle stays until it ticks, then moves to give the drawn edge."""
        sign, spread, mid = self._sign, self._spreads(t0.touch, len(OFFSETS_MS)), (t0.touch + t0.other) / 2
        first_mid = t0.touch + sign * (self._first_ticks(mid) - spread[:, 0] / 2)
        later_mid = first_mid[:, None] + (sign * mid / BPS)[:, None] * self._later_bps(t0)
        touch = self._rounded(np.column_stack([first_mid, later_mid]) + sign[:, None] * spread / 2)
        oracle = touch + sign[:, None] * self._edge_ticks_at_due(sign * (t0.oracle - t0.touch))
        return Books(np.where(has_ticked, oracle, t0.oracle[:, None]), touch, touch - sign[:, None] * spread)

    def _first_ticks(self, mid: Floats) -> Ints:
        """The touch's move until T+1 s, signed by side: 0 or less where an order is had, a tick or more where not.

        What the tick adds where it is not had is taken off where it is, so that rounding keeps the expected move.
        """
        rng, event = self._rng, self._arrivals.event
        had_z, had_share = self._trait("had_z")[event], self._trait("had_share")[event]
        z = first_z(self._arrivals, rng)
        scale_bps = self._effect("first_shock") * self._edge_bps * rng.uniform(*FIRST_SIZES, self._events)
        ticks = scale_bps[event] * (z - had_z) * mid / BPS
        is_had = z <= had_z
        return self._rounded(np.where(is_had, ticks - (1 - had_share) / had_share, ticks)) + ~is_had

    def _later_bps(self, t0: Books) -> Floats:
        """The mid's move since T+1 s at each later offset: the planted one plus shocks with mean zero."""
        event = self._arrivals.event
        edge_bps = self._sign * (t0.oracle - t0.touch) / t0.oracle * BPS
        planted_bps = self._trait("later_bps")[event] + self._effect("slope")[event] * edge_bps
        shocks = shocks_bps(self._arrivals, self._effect("shock") * self._edge_bps, self._rng)[event]
        noise = self._rng.normal(0, COPY_BPS, shocks.shape)
        moved_bps: Floats = planted_bps[:, None] * np.array(MOVED_PATH[1:]) + shocks + noise
        return moved_bps

    def _edge_ticks_at_due(self, edge_ticks: Ints) -> Ints:
        """Edge in ticks: closed, or equally likely grown or shrunk, by at least a tick so that rounding keeps it."""
        rng, event, ticks = self._rng, self._arrivals.event, edge_ticks[:, None]
        gone = np.array([market.gone_share for market in self._markets])[self._arrivals.market]
        is_gone = rng.random((self._events, 1)) < gone
        rest = rng.uniform(-0.2, 0.5, (self._events, 1))
        grown = rng.choice([-1, 1], gone.shape)
        change = 0.05 + np.abs(rng.normal(0, 0.1, gone.shape))
        kept = ticks + grown[event] * np.ceil(1 + change[event] * ticks)
        return np.where(is_gone[event], rest[event] * ticks, kept).astype(np.int64)

    def _trait(self, name: str) -> Floats:
        """The attribute `name` of each event's market, float64, (events,)."""
        return np.array([getattr(market, name) for market in self._markets], dtype=float)[self._arrivals.market]

    def _effect(self, name: str) -> Floats:
        """The number `name` of the effect of each event's market, float64, (events,)."""
        return np.array([getattr(market.effect, name) for market in self._markets])[self._arrivals.market]

    def _spreads(self, touch: Ints, count: int) -> Ints:
        """Widths of books in ticks, int64, (signals, count); their mean is the market's."""
        mean = self._trait("spread_bps")[self._arrivals.event] * touch / BPS
        return self._rounded(mean[:, None] * self._rng.uniform(*SPREAD_RANGE, (len(touch), count)))

    def _rounded(self, value: Floats) -> Ints:
        return np.floor(value + self._rng.random(value.shape)).astype(np.int64)
