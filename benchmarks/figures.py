"""What a run showed: from the stamps of the workers and the lines on disk, to numbers."""

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
"""A rate is sustained while p99 at read done is no more than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """Of lateness, in ms."""

    p50: float
    p90: float
    p99: float
    max: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        ordered = sorted(values) or [math.nan]

        def at(share: float) -> float:
            return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 3)

        return cls(p50=at(0.5), p90=at(0.9), p99=at(0.99), max=round(ordered[-1], 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Lateness and correctness of the captures that count; lost and duplicate are the audit's, of all."""

    captures: int
    start_ms: Quantiles
    read_ms: Quantiles
    early: int
    wrong_states: int
    lost: int
    duplicates: int
    missed: int
    repeats: int
    """Jobs that ran for a capture that had its line."""
    faults: dict[str, int]

    @property
    def is_right(self) -> bool:
        return not (self.lost or self.duplicates or self.missed or self.wrong_states or self.faults or self.early)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """CPU in µs a capture, memory in MB. What the workers used while idle is taken off, and told."""

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
    """What else went on: cores used by others before and during the run, and the load average before."""

    stray_before: float
    stray_during: float
    load_average: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one run of one peer."""

    peer: str
    workload: str
    repeat: int
    at_ms: int
    outcome: Outcome
    cost: Cost
    machine: Machine
    publish_begun_ms: Quantiles
    """How late the publisher called for a signal: when this is large, it was the limit."""
    publish_done_ms: Quantiles
    memory_by_minute: list[tuple[float, float]] = field(default_factory=list)
    """Workers and server, MB."""

    @property
    def passes(self) -> bool:
        return self.outcome.is_right and self.outcome.read_ms.p99 <= LATE_MS


@dataclass(frozen=True, slots=True)
class _Stamp:
    started_ns: int
    read_ns: int


def outcome(plan: Plan, data_dir: Path, stamps_dir: Path) -> Outcome:
    """Compare what was to be with what is. Raises AssertionError when a line has no stamp."""
    stamps, repeats = _stamps(stamps_dir)
    wanted = {capture.member: capture for capture in plan.captures()}
    seen = {member: stamps[member] for member in wanted if member in stamps}
    followups = {(record.signal_id, record.offset_ms): record for record in _followups(data_dir)}
    unstamped = {f"{signal_id}|{offset_ms}" for signal_id, offset_ms in followups} - stamps.keys()
    assert not unstamped, f"{len(unstamped)} lines without a stamp, such as {min(unstamped)}"
    wrong = 0
    for capture in wanted.values():
        record = followups.get((capture.signal_id, capture.offset_ms))
        state_at_ms = plan.state_at_ms(capture)
        right = state_at_ms, market_at(state_at_ms).ask_px
        wrong += record is not None and (record.state_at_ms, record.ask_px) != right
    found = audit(data_dir, at_ms=wall_ms()).total
    faults = {str(fault): number for fault, number in found.faults.items()}
    return Outcome(
        captures=len(wanted),
        start_ms=Quantiles.of(stamp.started_ns / 1e6 - wanted[member].due_at_ms for member, stamp in seen.items()),
        read_ms=Quantiles.of(stamp.read_ns / 1e6 - wanted[member].due_at_ms for member, stamp in seen.items()),
        early=sum(stamp.read_ns < wanted[member].due_at_ms * 1_000_000 for member, stamp in seen.items()),
        wrong_states=wrong,
        lost=found.open,
        duplicates=found.faults[Fault.DUPLICATE],
        missed=found.missed.total(),
        repeats=repeats,
        faults=faults,
    )


def published(calls: Sequence[Sequence[int]], signals: Sequence[int]) -> tuple[Quantiles, Quantiles]:
    """How late each signal's call was begun and done, by the instants of the signals."""
    begun_ms, done_ms, at = [], [], 0
    for _, number, begun_ns, done_ns, _ in calls:
        for at_ms in signals[at : at + number]:
            begun_ms.append(begun_ns / 1e6 - at_ms)
            done_ms.append(done_ns / 1e6 - at_ms)
        at += number
    return Quantiles.of(begun_ms), Quantiles.of(done_ms)


def _stamps(folder: Path) -> tuple[Mapping[str, _Stamp], int]:
    """The run that made each capture's line, and how many runs made none."""
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
