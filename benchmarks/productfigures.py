"""The figures of the whole product, computed from its records and a watcher's sightings."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from benchmarks.departures import Sightings
from benchmarks.figures import Quantiles
from benchmarks.footprint import Usage
from hip3_tasks.domain.records import Followup, Missed, Signal

DAY_S = 86_400


class Span(NamedTuple):
    """The instants from `since_ms` to before `until_ms`."""

    since_ms: int
    until_ms: int

    def __contains__(self, at_ms: object) -> bool:
        return isinstance(at_ms, int) and self.since_ms <= at_ms < self.until_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """Delays in ms: of captures after their due time, and of signals after their own time."""

    signals: int
    captures: int
    missed: int
    """Number of the captures that were missed."""
    unseen: int
    """Signals and captures that the watcher did not see; normally 0."""
    read_ms: Quantiles
    """`captured_at_ms − due_at_ms`, until the state was read."""
    durable_ms: Quantiles
    """Until the capture had left the pending set, which follows the sync of its line."""
    written_ms: Quantiles
    """Until the signal's line was in its file."""
    queued_ms: Quantiles
    """Until the signal's tasks were in the queue, which follows the sync of its line."""
    looks_ms: Quantiles
    """The pauses between looks of the watcher, which are its error."""
    read_mean_ms: float | None = None
    """The mean of `read_ms`; None in figures of earlier versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """One measurement of the product under one load."""

    label: str
    load: str
    at_ms: int
    seconds: float
    viewers: int
    commit: str
    machine: dict[str, str]
    usages: dict[str, Usage]
    """The usage of each role, and of all roles together."""
    beside: dict[str, float]
    """CPU of the processes that are not the product, as a share of one core."""
    stray_cores: float
    """Cores used by other processes before the start."""
    frames_per_s: float
    redis_mb: float
    """The largest size of the server's data, as the server reports it."""
    files_mb_a_day: dict[str, float]
    delays: Delays


def delays(
    signals: Sequence[Signal], outcomes: Sequence[Followup | Missed], sightings: Sightings, *, span: Span
) -> Delays:
    """Delays of the signals, and of the captures that were due, within a span."""
    fresh = [signal for signal in signals if signal.timestamp_ms in span]
    due = [record for record in outcomes if record.due_at_ms in span]
    left_ms = [(_left_at_ms(record, sightings), record.due_at_ms) for record in due]
    written_ms = [(sightings.written_at_ms.get(signal.signal_id), signal.timestamp_ms) for signal in fresh]
    queued_ms = [(sightings.queued_at_ms.get(signal.signal_id), signal.timestamp_ms) for signal in fresh]
    late_ms = [record.captured_at_ms - record.due_at_ms for record in due]
    return Delays(
        signals=len(fresh),
        captures=len(due),
        missed=sum(isinstance(record, Missed) for record in due),
        unseen=sum(at_ms is None for at_ms, _ in [*left_ms, *written_ms, *queued_ms]),
        read_ms=Quantiles.from_values(late_ms),
        read_mean_ms=fmean(late_ms) if late_ms else None,
        durable_ms=Quantiles.from_values(_differences_ms(left_ms)),
        written_ms=Quantiles.from_values(_differences_ms(written_ms)),
        queued_ms=Quantiles.from_values(_differences_ms(queued_ms)),
        looks_ms=Quantiles.from_values(sightings.pauses_ms()),
    )


def mb_a_day(before: Mapping[str, int], after: Mapping[str, int], *, seconds: float) -> dict[str, float]:
    """Growth by name, extrapolated to a day, in MB."""
    return {name: (after[name] - before[name]) / seconds * DAY_S / 1e6 for name in after}


def _left_at_ms(record: Followup | Missed, sightings: Sightings) -> float | None:
    member = f"{record.signal_id}|{record.offset_ms}"
    return sightings.left_at_ms(member, not_before_ms=max(record.due_at_ms, record.captured_at_ms))


def _differences_ms(seen: Iterable[tuple[float | None, int]]) -> list[float]:
    return [at_ms - since_ms for at_ms, since_ms in seen if at_ms is not None]
