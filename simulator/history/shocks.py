"""What moves markets beside what is planted: shared by the dex in a minute, after a tick, and an event's own.

Each is symmetric around zero, so none changes an expectation, and heavy-tailed. They are signed by side. Those of
different minutes are independent.
"""

import numpy as np

from simulator.history.arrivals import Arrivals, Floats, Ints
from simulator.history.plan import MINUTE_MS, OFFSETS_MS

SHOCK = 0.6
"""The standard deviation at T+5 s of each of the three, for a scale of 1."""
MAX_SHOCK_BPS = 250.0
STEPS = np.sqrt([0.2, 0.4, 0.4])
"""A shock walks on: what came by T+1 s is part of it at T+3 s and T+5 s."""


def shocks_bps(arrivals: Arrivals, scale_bps: Floats, rng: np.random.Generator) -> Floats:
    """By event and offset, for a scale by event."""
    minute: Ints = arrivals.ticks_ms // MINUTE_MS - arrivals.ticks_ms[0] // MINUTE_MS
    minute_walk = _walks(int(minute[-1]) + 1, rng)[minute[arrivals.tick]]
    tick_walk = _walks(len(arrivals.ticks_ms), rng)[arrivals.tick]
    shocks = scale_bps[:, None] * SHOCK * (minute_walk + tick_walk + _walks(len(arrivals.tick), rng))
    return np.clip(shocks, -MAX_SHOCK_BPS, MAX_SHOCK_BPS)


def _walks(count: int, rng: np.random.Generator) -> Floats:
    """With a variance of 1 at the last offset."""
    sizes = np.exp(rng.normal(-0.25, 0.5, count))
    return np.cumsum(rng.normal(size=(count, len(OFFSETS_MS))) * STEPS, axis=1) * sizes[:, None]
