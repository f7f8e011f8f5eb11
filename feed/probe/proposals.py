"""Settings that a measurement suggests: only where the default would not do."""

from dataclasses import dataclass

from feed.cadence import FACTOR, MAX_LIMIT_MS
from feed.probe.measurement import Measurement
from feed.rate_limits import MAX_SUBSCRIPTIONS
from hip3_tasks.settings import Settings

USEFUL_LAG_MS = 30_000
"""Books that are later than this show no market that can be traded; a larger limit would only hide it."""
REGULAR = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A setting, its value, and the reason."""

    name: str
    value: str
    why: str


def proposals(measurement: Measurement, defaults: Settings) -> list[Proposal]:
    """The settings with which a feed would work better at this venue than with the defaults."""
    limits = (_stall_grace(measurement, defaults), _max_lag(measurement, defaults), _ctx_age(measurement))
    return [proposal for proposal in (*limits, _dexes(measurement)) if proposal is not None]


def _stall_grace(measurement: Measurement, defaults: Settings) -> Proposal | None:
    pauses = measurement.best.pause_ms
    share = 1 - (REGULAR - 1) / len(pauses) if len(pauses) > REGULAR else 0.0
    regular_ms = pauses.quantile(share) or 0  # the third longest
    median_ms = pauses.quantile(0.5) or 0
    if regular_ms <= defaults.stall_grace_ms or median_ms > defaults.stall_grace_ms:
        return None  # a socket whose frames are regularly further apart has its own limit
    why = f"the socket was silent for {regular_ms} ms {REGULAR} times, though its frames come every {median_ms} ms"
    return Proposal(name="HIP3_STALL_GRACE_MS", value=str(_rounded(1.5 * regular_ms, 500)), why=why)


def _max_lag(measurement: Measurement, defaults: Settings) -> Proposal | None:
    lag_ms = measurement.samples("lag_ms").quantile(0.5)
    if lag_ms is None or not defaults.max_lag_ms < 2 * lag_ms <= 2 * USEFUL_LAG_MS:
        return None
    why = f"books arrive {lag_ms} ms after their block; the feed would be red or close to it all the time"
    return Proposal(name="HIP3_MAX_LAG_MS", value=str(_rounded(3 * lag_ms, 1_000)), why=why)


def _ctx_age(measurement: Measurement) -> Proposal | None:
    pause_ms = measurement.samples("ctx_pause_ms").quantile(0.9)
    if pause_ms is None or FACTOR * pause_ms <= MAX_LIMIT_MS:
        return None
    why = f"contexts come every {pause_ms} ms, too rarely for the observed limit of at most {MAX_LIMIT_MS} ms"
    return Proposal(name="HIP3_CTX_MAX_AGE_MS", value=str(_rounded(FACTOR * pause_ms, 1_000)), why=why)


def _dexes(measurement: Measurement) -> Proposal | None:
    """The busiest dexes whose markets fit into the subscriptions of one IP together."""
    lists = measurement.lists
    if 2 * len(lists.volumes) <= MAX_SUBSCRIPTIONS:
        return None
    left, chosen = MAX_SUBSCRIPTIONS, []
    for dex, markets in sorted(lists.lists.items(), key=lambda item: -sum(item[1].volumes.values())):
        if 0 < 2 * len(markets.volumes) <= left:
            left -= 2 * len(markets.volumes)
            chosen.append(dex)
    why = f"all markets need {2 * len(lists.volumes)} subscriptions, and one IP has {MAX_SUBSCRIPTIONS}"
    return Proposal(name="HIP3_DEXES", value=",".join(chosen), why=why)


def _rounded(value: float, step: int) -> int:
    """The value rounded up to a multiple of the step."""
    return -int(-value // step) * step
