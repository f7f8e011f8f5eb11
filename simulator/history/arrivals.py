"""Times of signals: clusters after oracle ticks, many copies of one event, and no signals during gaps of the feed.

All signals of an event fall into the minute of its tick, so that minutes are independent of each other.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.history.plan import MINUTE_MS, HistoryChunk, HistoryPlan

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MAX_DELAY_MS = 60
MAX_COPIES = 150
MAX_COPY_GAP_MS = 3
MAX_EVENT_MS = MAX_DELAY_MS + MAX_COPIES * MAX_COPY_GAP_MS
MIN_TICK_GAP_MS, MAX_TICK_GAP_MS = 2500, 4300
"""With these limits the oracle has not ticked again at T+1 s, and has ticked at T+5 s."""
MIN_GAP_S, MAX_GAP_S = 6, 10
GAP_SHARE = 0.9
"""Share of the missed follow-ups that fall into gaps; the others have an empty book."""
MISSED_PER_GAP_S = 6.4
"""Seconds of signals whose follow-ups one gap misses, summed over the offsets."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Ticks, events (a market after a tick) and signals (copies of an event). All arrays are int64."""

    ticks_ms: Ints
    """Times of the oracle's ticks, (ticks,)."""
    gaps_ms: Ints
    """Start and end of each gap alternately, (2 * gaps,)."""
    tick: Ints
    """Index of each event's tick, (events,)."""
    market: Ints
    """Index of each event's market, (events,)."""
    delay_ms: Ints
    """Delay from the tick until the feed receives it, (events,)."""
    event: Ints
    """Index of each signal's event, (signals,)."""
    at_ms: Ints
    """Time of each signal, ascending, (signals,)."""


def draw_arrivals(plan: HistoryPlan, chunk: HistoryChunk, activity: Floats, rng: np.random.Generator) -> Arrivals:
    """Draw the signals of a chunk; `activity` is float64, (markets,). Raises ValueError when they do not fit."""
    ticks_ms = _ticks_ms(chunk, rng)
    gaps_ms = _gaps_ms(plan, chunk, rng)
    weights = activity * _weights(ticks_ms, gaps_ms, chunk, rng)[:, None]
    tick, market, copies = _events(plan, chunk, weights, rng)
    delay_ms = rng.integers(0, MAX_DELAY_MS, len(tick))
    event = np.repeat(np.arange(len(tick)), copies)
    at_ms = (ticks_ms[tick] + delay_ms)[event] + _since_first_ms(copies, event, rng)
    order = np.argsort(at_ms, kind="stable")
    return Arrivals(ticks_ms, gaps_ms, tick, market, delay_ms, event[order], at_ms[order])


def _ticks_ms(chunk: HistoryChunk, rng: np.random.Generator) -> Ints:
    """Ticks from the start of the chunk until all its follow-ups are due."""
    length_ms = chunk.end_at_ms - chunk.start_at_ms + 4 * MAX_TICK_GAP_MS
    steps = np.minimum(MIN_TICK_GAP_MS + rng.gamma(2, 250, length_ms // MIN_TICK_GAP_MS), MAX_TICK_GAP_MS)
    ticks_ms = chunk.start_at_ms + np.cumsum(steps).astype(np.int64)
    return ticks_ms[ticks_ms < chunk.start_at_ms + length_ms]


def _gaps_ms(plan: HistoryPlan, chunk: HistoryChunk, rng: np.random.Generator) -> Ints:
    """Gaps of the feed: at most one in a minute, and at least 10 s from both ends of the minute."""
    minutes = (chunk.end_at_ms - chunk.start_at_ms) // MINUTE_MS
    mean = GAP_SHARE * plan.missed_share * 3 * minutes * 60 / MISSED_PER_GAP_S
    chosen = np.flatnonzero(rng.random(minutes) < mean / minutes)
    starts = chunk.start_at_ms + chosen * MINUTE_MS + rng.integers(10_000, 40_000, len(chosen))
    ends = starts + rng.integers(MIN_GAP_S * 1000, MAX_GAP_S * 1000, len(chosen))
    return np.stack([starts, ends], axis=1).ravel()


def _weights(ticks_ms: Ints, gaps_ms: Ints, chunk: HistoryChunk, rng: np.random.Generator) -> Floats:
    """Weight of each tick, float64, (ticks,): low for most ticks, high for a few, 0 where no event may begin."""
    weights = rng.gamma(0.5, 1.0, len(ticks_ms))
    ends_ms = ticks_ms + MAX_EVENT_MS
    is_away = np.searchsorted(gaps_ms, ends_ms) % 2 | np.searchsorted(gaps_ms, ticks_ms) % 2
    is_split = ticks_ms // MINUTE_MS != ends_ms // MINUTE_MS
    weights[is_away.astype(bool) | is_split | (ticks_ms >= chunk.end_at_ms)] = 0.0
    return weights


def _events(
    plan: HistoryPlan, chunk: HistoryChunk, weights: Floats, rng: np.random.Generator
) -> tuple[Ints, Ints, Ints]:
    """Tick, market and copies of each event, drawn by `weights`, float64, (ticks, markets), without replacement."""
    with np.errstate(divide="ignore"):
        order = np.argsort((rng.exponential(size=weights.shape) / weights).ravel(), kind="stable")
    order = order[: np.count_nonzero(weights)]
    copies = np.minimum(rng.geometric(1 / plan.copies, len(order)), MAX_COPIES)
    total = np.cumsum(copies)
    if not len(total) or total[-1] < chunk.signals:
        raise ValueError(f"{chunk.signals} signals do not fit: choose fewer signals, or more markets, hours or copies")
    count = int(np.searchsorted(total, chunk.signals)) + 1
    copies[count - 1] -= total[count - 1] - chunk.signals
    tick, market = np.divmod(order[:count], weights.shape[1])
    return tick, market, copies[:count]


def _since_first_ms(copies: Ints, event: Ints, rng: np.random.Generator) -> Any:
    """Time from the first copy of an event to each copy; no two copies of an event share a millisecond."""
    ms = np.cumsum(rng.integers(1, MAX_COPY_GAP_MS + 1, len(event)))
    first = np.cumsum(copies) - copies
    return ms - ms[first][event]
