"""The figures of a run, computed from the timestamps of the workers and the lines on disk."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from benchmarks.workload import Plan, market_at
from hip3_tasks.audit.audit import audit
from hip3_tasks.audit.findings import Fault
from hip3_tasks.clock import wall_ms
from hip3_tasks.domain.records import Followup

LATE_MS = 50.0
"""A rate is sustained while the p99 lateness of the state read is at most this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """Quantiles of lateness, in ms."""

    p50: float
    p90: float
    p99: float
    max: float

    @classmethod
    def from_values(cls, values: Iterable[float]) -> Self:
        """The quantiles of `values`, in ms; NaN when there are none."""
        ordered = sorted(values) or [math.nan]

        def quantile(share: float) -> float:
            return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 3)

        return cls(p50=quantile(0.5), p90=quantile(0.9), p99=quantile(0.99), max=round(ordered[-1], 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Lateness and correctness of the captures after the warm-up; `lost` and `duplicates` include the warm-up."""

    captures: int
    start_ms: Quantiles
    read_ms: Quantiles
    early: int
    wrong_states: int
    lost: int
    duplicates: int
    missed: int
    repeats: int
    """Jobs that ran for a capture whose line was already written."""
    faults: dict[str, int]

    @property
    def is_right(self) -> bool:
        return not (self.lost or self.duplicates or self.missed or self.wrong_states or self.faults or self.early)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """CPU in µs per capture, less the CPU of idle workers (`idle_cores`), and memory in MB."""

    publish_us: float
    worker_us: float
    server_us: float
    idle_cores: float
    worker_mb: float
    worker_unique_mb: float
    worker_before_mb: float
    server_mb: float
    server_before_mb: float
    flower_us: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Load of the machine: cores used by other processes before and during the run, and load average before it."""

    stray_before: float
    stray_during: float
    load_average: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures of one run of one peer."""

    peer: str
    workload: str
    repeat: int
    at_ms: int
    outcome: Outcome
    cost: Cost
    machine: Machine
    publish_begun_ms: Quantiles
    """Lateness of the publisher's call for a signal; when it is large, the publisher limited the run."""
    publish_done_ms: Quantiles
    memory_by_minute: list[tuple[float, float]] = field(default_factory=list)
    """Memory of workers and of the server, MB."""

    @property
    def passes(self) -> bool:
        return self.outcome.is_right and self.outcome.read_ms.p99 <= LATE_MS


@dataclass(frozen=True, slots=True)
class _Stamp:
    started_ns: int
    read_ns: int


def outcome(plan: Plan, data_dir: Path, stamps_dir: Path) -> Outcome:
    """Compare the expected captures with the lines on disk. Raises AssertionError when a line has no timestamp."""
    stamps, repeats = _stamps(stamps_dir)
    expected = {capture.member: capture for capture in plan.captures()}
    seen = {member: stamps[member] for member in expected if member in stamps}
    followups = {(record.signal_id, record.offset_ms): record for record in _followups(data_dir)}
    unstamped = {f"{signal_id}|{offset_ms}" for signal_id, offset_ms in followups} - stamps.keys()
    assert not unstamped, f"{len(unstamped)} lines without a timestamp, such as {min(unstamped)}"
    wrong = 0
    for capture in expected.values():
        record = followups.get((capture.signal_id, capture.offset_ms))
        state_at_ms = plan.state_at_ms(capture)
        right = state_at_ms, market_at(state_at_ms).ask_px
        wrong += record is not None and (record.state_at_ms, record.ask_px) != right
    total = audit(data_dir, at_ms=wall_ms()).total
    faults = {str(fault): number for fault, number in total.faults.items()}
    return Outcome(
        captures=len(expected),
        start_ms=Quantiles.from_values(
            stamp.started_ns / 1e6 - expected[member].due_at_ms for member, stamp in seen.items()
        ),
        read_ms=Quantiles.from_values(
            stamp.read_ns / 1e6 - expected[member].due_at_ms for member, stamp in seen.items()
        ),
        early=sum(stamp.read_ns < expected[member].due_at_ms * 1_000_000 for member, stamp in seen.items()),
        wrong_states=wrong,
        lost=total.open,
        duplicates=total.faults[Fault.DUPLICATE],
        missed=total.missed.total(),
        repeats=repeats,
        faults=faults,
    )


def published(calls: Sequence[Sequence[int]], signals: Sequence[int]) -> tuple[Quantiles, Quantiles]:
    """How long after its signal each call began and ended; `signals` are their times in ms."""
    begun_ms, done_ms, position = [], [], 0
    for _, number, begun_ns, done_ns, _ in calls:
        for at_ms in signals[position : position + number]:
            begun_ms.append(begun_ns / 1e6 - at_ms)
            done_ms.append(done_ns / 1e6 - at_ms)
        position += number
    return Quantiles.from_values(begun_ms), Quantiles.from_values(done_ms)


def _stamps(folder: Path) -> tuple[Mapping[str, _Stamp], int]:
    """The timestamps of the job that wrote each capture's line, and the number of jobs that wrote none."""
    stamps: dict[str, _Stamp] = {}
    others = 0
    for path in folder.glob("*.stamps"):
        for line in path.read_text().splitlines():
            member, started_ns, read_ns, answer = line.split(" ", 3)
            if answer == "captured":
                stamps[member] = _Stamp(int(started_ns), int(read_ns))
            else:
                others += 1
    return stamps, others


def _followups(data_dir: Path) -> Iterable[Followup]:
    for path in data_dir.glob("followups_*.jsonl"):
        yield from map(Followup.from_line, path.read_bytes().splitlines())
