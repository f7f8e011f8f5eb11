"""Random moves of markets beside the planted ones: common to a dex in a minute, common after a tick, and per event.

Each shock is symmetric around zero, so it does not change an expectation, and heavy-tailed. Positive is in the
taker's favour. Shocks of different minutes are independent.
"""

import numpy as np

from simulator.history.arrivals import Arrivals, Floats, Ints
from simulator.history.plan import MINUTE_MS, OFFSETS_MS

SHOCK = 0.6
"""Standard deviation of each of the three kinds at T+5 s, for a scale of 1."""
MAX_SHOCK_BPS = 250.0
STEPS = np.sqrt([0.2, 0.4, 0.4])
"""Step of a shock at each offset. Shocks accumulate: the one at T+3 s includes that at T+1 s. float64, (offsets,)."""


def shocks_bps(arrivals: Arrivals, scale_bps: Floats, rng: np.random.Generator) -> Floats:
    """Shocks, float64, (events, offsets), for `scale_bps`, float64, (events,)."""
    minute: Ints = arrivals.ticks_ms // MINUTE_MS - arrivals.ticks_ms[0] // MINUTE_MS
    minute_walk = _walks(int(minute[-1]) + 1, rng)[minute[arrivals.tick]]
    tick_walk = _walks(len(arrivals.ticks_ms), rng)[arrivals.tick]
    shocks = scale_bps[:, None] * SHOCK * (minute_walk + tick_walk + _walks(len(arrivals.tick), rng))
    return np.clip(shocks, -MAX_SHOCK_BPS, MAX_SHOCK_BPS)


def _walks(count: int, rng: np.random.Generator) -> Floats:
    """Random walks with a variance of 1 at the last offset, float64, (count, offsets)."""
    sizes = np.exp(rng.normal(-0.25, 0.5, count))
    return np.cumsum(rng.normal(size=(count, len(OFFSETS_MS))) * STEPS, axis=1) * sizes[:, None]
