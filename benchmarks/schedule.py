"""The order of the runs: peers take turns, so that a drift of the machine affects all alike."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.figures import Figures
from benchmarks.peers import OURS_WITH_EVENTS, Peer
from benchmarks.workload import Workload, burst, many_pending, steady

KINDS = "burst", "steady", "ramp", "events", "pending", "soak"
EVERYDAY = "burst", "steady", "ramp"

LARGE_BURST = 1_000
TAKE_LARGE_BURSTS = "ours", "asyncio", "celery"
STEADY_RATE = 20
RATES = 50, 100, 200, 400, 600, 800, 1_000, 1_200, 1_500, 2_000

Step = tuple[Peer, Workload, int]
"""Peer, workload and number of the repeat."""
Passed = Callable[[Peer, Workload, int], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """Numbers and lengths of the runs."""

    repeat: int = 3
    bursts: tuple[int, ...] = (100, 200, LARGE_BURST)
    steady_s: float = 20
    ramp_s: float = 8
    rates: tuple[int, ...] = RATES
    tries: int = 3
    """Number of runs of each rate. A peer goes on to the next rate unless most of them fail."""
    pending: int = 100_000
    soak_s: float = 600


QUICK = Extent(repeat=1, bursts=(100,), steady_s=5, ramp_s=3, rates=(50, 200, 800), tries=1, pending=3_000, soak_s=70)


def max_runs(peers: Sequence[Peer], kinds: Sequence[str], extent: Extent) -> int:
    """Number of runs if no rate is too high for a peer."""
    return sum(1 for _ in steps(peers, kinds, extent, passed=lambda *_: True))


def steps(peers: Sequence[Peer], kinds: Sequence[str], extent: Extent, *, passed: Passed) -> Iterator[Step]:
    """All runs in order; `passed` says whether a finished run of the ramp passed."""
    ours = [peer for peer in peers if peer.name == "ours"]
    for repeat in range(extent.repeat):
        for workload in _everyday(kinds, extent):
            for peer in peers:
                if peer.name in TAKE_LARGE_BURSTS or workload.instants_ms.count(0) < LARGE_BURST:
                    yield peer, workload, repeat
    if "ramp" in kinds or "events" in kinds:
        climbing = (list(peers) if "ramp" in kinds else ours) + [OURS_WITH_EVENTS] * ("events" in kinds and bool(ours))
        yield from _ramp(climbing, extent, passed)
    for peer in ours:
        if "pending" in kinds:
            yield peer, many_pending(extent.pending), 0
        if "soak" in kinds:
            yield peer, steady(100, extent.soak_s, kind="soak"), 0


def sustained(runs: Sequence[Figures], peer: str) -> int | None:
    """The highest rate that passed in every try; None when none did."""
    passed: dict[int, bool] = {}
    for run in runs:
        if run.peer == peer and (rate := rate_of(run.workload)):
            passed[rate] = passed.get(rate, True) and run.passes
    return max((rate for rate, has_passed in passed.items() if has_passed), default=None)


def rate_of(workload: str) -> int | None:
    """Signals per second of a run of the ramp; None for another workload."""
    kind, _, rate = workload.partition(" ")
    return int(rate.removesuffix("/s")) if kind == "ramp" else None


def _everyday(kinds: Sequence[str], extent: Extent) -> Iterator[Workload]:
    if "burst" in kinds:
        yield from map(burst, extent.bursts)
    if "steady" in kinds:
        yield steady(STEADY_RATE, extent.steady_s)


def _ramp(peers: Sequence[Peer], extent: Extent, passed: Passed) -> Iterator[Step]:
    climbing = list(peers)
    for rate in extent.rates:
        workload = steady(rate, extent.ramp_s, kind="ramp")
        failures = Counter[str]()
        for attempt in range(extent.tries):
            for peer in climbing:
                if failures[peer.name] <= extent.tries // 2:
                    yield peer, workload, attempt
                    failures[peer.name] += not passed(peer, workload, attempt)
        climbing = [peer for peer in climbing if failures[peer.name] <= extent.tries // 2]
