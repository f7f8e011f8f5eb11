"""The figures of the whole product, computed from its records and a watcher's sightings."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.departures import Sightings
from benchmarks.figures import Quantiles
from benchmarks.footprint import Usage
from hip3_tasks.domain.records import Followup, Missed, Signal

DAY_S = 86_400


class Span(NamedTuple):
    """Instants from the first to before the second."""

    since_ms: int
    until_ms: int

    def __contains__(self, at_ms: object) -> bool:
        return isinstance(at_ms, int) and self.since_ms <= at_ms < self.until_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """How late it was, in ms: captures after they were due, signals after their instant."""

    signals: int
    captures: int
    missed: int
    """How many of the captures were missed."""
    unseen: int
    """Signals or captures that the watcher did not see; 0 in a good run."""
    read_ms: Quantiles
    """`captured_at_ms − due_at_ms`: the state had been read."""
    durable_ms: Quantiles
    """The capture had left the pending set, which is after its line was synced."""
    written_ms: Quantiles
    """The signal's line was in its file."""
    queued_ms: Quantiles
    """The signal's tasks were in the queue, after its line was synced."""
    looks_ms: Quantiles
    """The pauses of the watcher: how much too late it may have seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The product under one load for a while."""

    label: str
    load: str
    at_ms: int
    seconds: float
    viewers: int
    commit: str
    machine: dict[str, str]
    usages: dict[str, Usage]
    """By role, and of all."""
    beside: dict[str, float]
    """CPU of what is not the product, as a share of a core."""
    stray_cores: float
    """Cores that others used before it began."""
    frames_per_s: float
    redis_mb: float
    """The most that the server's data has taken, by its own count."""
    files_mb_a_day: dict[str, float]
    delays: Delays


def delays(
    signals: Sequence[Signal], outcomes: Sequence[Followup | Missed], sightings: Sightings, *, span: Span
) -> Delays:
    """Delays of the signals, and of the captures that were due, within a span."""
    fresh = [signal for signal in signals if signal.timestamp_ms in span]
    due = [record for record in outcomes if record.due_at_ms in span]
    left_ms = [(_left_at_ms(record, sightings), record.due_at_ms) for record in due]
    written_ms = [(sightings.written_at_ms.get(one.signal_id), one.timestamp_ms) for one in fresh]
    queued_ms = [(sightings.queued_at_ms.get(one.signal_id), one.timestamp_ms) for one in fresh]
    return Delays(
        signals=len(fresh),
        captures=len(due),
        missed=sum(isinstance(record, Missed) for record in due),
        unseen=sum(at_ms is None for at_ms, _ in [*left_ms, *written_ms, *queued_ms]),
        read_ms=Quantiles.of(record.captured_at_ms - record.due_at_ms for record in due),
        durable_ms=Quantiles.of(_gone(left_ms)),
        written_ms=Quantiles.of(_gone(written_ms)),
        queued_ms=Quantiles.of(_gone(queued_ms)),
        looks_ms=Quantiles.of(sightings.pauses_ms()),
    )


def mb_a_day(before: Mapping[str, int], after: Mapping[str, int], *, seconds: float) -> dict[str, float]:
    """Growth of bytes by name, as if it went on for a day."""
    return {name: (after[name] - before[name]) / seconds * DAY_S / 1e6 for name in after}


def _left_at_ms(record: Followup | Missed, sightings: Sightings) -> float | None:
    member = f"{record.signal_id}|{record.offset_ms}"
    return sightings.left_at_ms(member, not_before_ms=max(record.due_at_ms, record.captured_at_ms))


def _gone(seen: Iterable[tuple[float | None, int]]) -> list[float]:
    return [at_ms - since_ms for at_ms, since_ms in seen if at_ms is not None]
