"""Random moves of markets beside the planted ones: common to a dex in a minute, common after a tick, and per event.

Until T+1 s one normal number per signal says how the touch moves, and with it whether an order is had. The shocks after
T+1 s do not depend on it. They are symmetric around zero, so they do not change an expectation, and heavy-tailed.
Positive is in the taker's favour. What happens in different minutes is independent.
"""

import numpy as np

from simulator.history.arrivals import Arrivals, Floats, Ints
from simulator.history.plan import MINUTE_MS, OFFSETS_MS

SHOCK = 0.6
"""Standard deviation of each of the three kinds from T+1 s to T+5 s, for a scale of 1."""
MAX_SHOCK_BPS = 250.0
STEPS = np.sqrt([0.5] * (len(OFFSETS_MS) - 1))
"""Step of a shock at each offset after T+1 s. Shocks accumulate: the one at T+5 s includes that at T+3 s."""
SHARES = 0.25, 0.25, 0.4, 0.1
"""Share of a minute, a tick, an event and a copy in the variance of the numbers of `first_z`."""


def first_z(arrivals: Arrivals, rng: np.random.Generator) -> Floats:
    """A standard normal number for each signal, float64, (signals,)."""
    groups = _minute(arrivals)[arrivals.tick], arrivals.tick, np.arange(len(arrivals.tick))
    parts = [rng.normal(size=group.max() + 1)[group][arrivals.event] for group in groups]
    parts.append(rng.normal(size=len(arrivals.event)))
    numbers: Floats = np.sqrt(SHARES) @ np.stack(parts)
    return numbers


def shocks_bps(arrivals: Arrivals, scale_bps: Floats, rng: np.random.Generator) -> Floats:
    """Shocks since T+1 s, float64, (events, offsets after it), for `scale_bps`, float64, (events,)."""
    minute = _minute(arrivals)
    minute_walk = _walks(int(minute[-1]) + 1, rng)[minute[arrivals.tick]]
    tick_walk = _walks(len(arrivals.ticks_ms), rng)[arrivals.tick]
    shocks = scale_bps[:, None] * SHOCK * (minute_walk + tick_walk + _walks(len(arrivals.tick), rng))
    return np.clip(shocks, -MAX_SHOCK_BPS, MAX_SHOCK_BPS)


def _minute(arrivals: Arrivals) -> Ints:
    """The number of each tick's minute, int64, (ticks,)."""
    minute: Ints = arrivals.ticks_ms // MINUTE_MS - arrivals.ticks_ms[0] // MINUTE_MS
    return minute


def _walks(count: int, rng: np.random.Generator) -> Floats:
    """Random walks with a variance of 1 at the last offset, float64, (count, offsets after T+1 s)."""
    sizes = np.exp(rng.normal(-0.25, 0.5, count))
    return np.cumsum(rng.normal(size=(count, len(STEPS))) * STEPS, axis=1) * sizes[:, None]
