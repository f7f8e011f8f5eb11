"""When signals arise: in clusters after ticks of the oracle, many copies of one event, none while the feed is away.

All of an event happens within the minute of its tick, so that what minutes share is independent between them.
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
"""So the oracle has not ticked again at T+1 s, and has at T+5 s."""
MIN_GAP_S, MAX_GAP_S = 6, 10
GAP_SHARE = 0.9
"""Of what is missed; the rest are empty books."""
MISSED_PER_GAP_S = 6.4
"""A gap takes the follow-ups of so many seconds of signals: the sum of the offsets, less what ends before it."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Ticks, events (a market after a tick) and signals (copies of an event)."""

    ticks_ms: Ints
    gaps_ms: Ints
    """Starts and ends, in turn."""
    tick: Ints
    """By event: the index of its tick."""
    market: Ints
    """By event: the index of its market."""
    delay_ms: Ints
    """By event: from the tick to where the feed heard of it."""
    event: Ints
    """By signal: the index of its event."""
    at_ms: Ints
    """By signal, ascending."""


def draw_arrivals(plan: HistoryPlan, chunk: HistoryChunk, activity: Floats, rng: np.random.Generator) -> Arrivals:
    """The signals of a chunk, exactly as many as it is to have."""
    ticks_ms = _ticks_ms(chunk, rng)
    gaps_ms = _gaps_ms(plan, chunk, rng)
    tick, market, copies = _events(plan, chunk, activity * _weights(ticks_ms, gaps_ms, chunk, rng)[:, None], rng)
    delay_ms = rng.integers(0, MAX_DELAY_MS, len(tick))
    event = np.repeat(np.arange(len(tick)), copies)
    at_ms = (ticks_ms[tick] + delay_ms)[event] + _since_first_ms(copies, event, rng)
    order = np.argsort(at_ms, kind="stable")
    return Arrivals(ticks_ms, gaps_ms, tick, market, delay_ms, event[order], at_ms[order])


def _ticks_ms(chunk: HistoryChunk, rng: np.random.Generator) -> Ints:
    """From the start of the chunk until all its follow-ups are due."""
    length_ms = chunk.end_at_ms - chunk.start_at_ms + 4 * MAX_TICK_GAP_MS
    steps = np.minimum(MIN_TICK_GAP_MS + rng.gamma(2, 250, length_ms // MIN_TICK_GAP_MS), MAX_TICK_GAP_MS)
    ticks_ms = chunk.start_at_ms + np.cumsum(steps).astype(np.int64)
    return ticks_ms[ticks_ms < chunk.start_at_ms + length_ms]


def _gaps_ms(plan: HistoryPlan, chunk: HistoryChunk, rng: np.random.Generator) -> Ints:
    """Stretches of which nothing is known, far from the chunk's ends and from each other."""
    minutes = (chunk.end_at_ms - chunk.start_at_ms) // MINUTE_MS
    mean = GAP_SHARE * plan.missed_share * 3 * minutes * 60 / MISSED_PER_GAP_S
    chosen = np.flatnonzero(rng.random(minutes) < mean / minutes)
    starts = chunk.start_at_ms + chosen * MINUTE_MS + rng.integers(10_000, 40_000, len(chosen))
    ends = starts + rng.integers(MIN_GAP_S * 1000, MAX_GAP_S * 1000, len(chosen))
    return np.stack([starts, ends], axis=1).ravel()


def _weights(ticks_ms: Ints, gaps_ms: Ints, chunk: HistoryChunk, rng: np.random.Generator) -> Floats:
    """How lively each tick is: most hardly, a few move everything."""
    weights = rng.gamma(0.5, 1.0, len(ticks_ms))
    ends_ms = ticks_ms + MAX_EVENT_MS
    is_away = np.searchsorted(gaps_ms, ends_ms) % 2 | np.searchsorted(gaps_ms, ticks_ms) % 2
    is_split = ticks_ms // MINUTE_MS != ends_ms // MINUTE_MS
    weights[is_away.astype(bool) | is_split | (ticks_ms >= chunk.end_at_ms)] = 0.0
    return weights


def _events(
    plan: HistoryPlan, chunk: HistoryChunk, weights: Floats, rng: np.random.Generator
) -> tuple[Ints, Ints, Ints]:
    """Which markets have an event after which tick, and of how many copies; drawn by weight, without repeating."""
    with np.errstate(divide="ignore"):
        order = np.argsort((rng.exponential(size=weights.shape) / weights).ravel(), kind="stable")
    order = order[: np.count_nonzero(weights)]
    copies = np.minimum(rng.geometric(1 / plan.copies, len(order)), MAX_COPIES)
    total = np.cumsum(copies)
    if not len(total) or total[-1] < chunk.signals:
        raise ValueError(f"{chunk.signals} signals do not fit: expected fewer, or more markets, hours or copies")
    count = int(np.searchsorted(total, chunk.signals)) + 1
    copies[count - 1] -= total[count - 1] - chunk.signals
    tick, market = np.divmod(order[:count], weights.shape[1])
    return tick, market, copies[:count]


def _since_first_ms(copies: Ints, event: Ints, rng: np.random.Generator) -> Any:
    """From the first copy of an event to each; no two of an event in the same ms."""
    ms = np.cumsum(rng.integers(1, MAX_COPY_GAP_MS + 1, len(event)))
    first = np.cumsum(copies) - copies
    return ms - ms[first][event]
