"""A data directory with one signal, and checks of its audit, for tests."""

from collections.abc import Iterable
from pathlib import Path

from hip3_tasks.audit.audit import audit
from hip3_tasks.audit.findings import Audit, Fault
from hip3_tasks.domain.records import Record, Signal
from tests.support.factories import DAY, T0_MS, a_followup, a_signal

LATER_MS = T0_MS + 3_600_000
SIGNAL = a_signal()


def write(data_dir: Path, kind: str, lines: Iterable[Record | bytes], *, day: str = DAY) -> None:
    content = b"".join(line if isinstance(line, bytes) else line.line() for line in lines)
    (data_dir / f"{kind}_{day}.jsonl").write_bytes(content)


def outcomes(signal: Signal = SIGNAL) -> list[Record | bytes]:
    return [a_followup(signal, offset_ms) for offset_ms in signal.offsets_ms]


def audited(data_dir: Path, *, at_ms: int = LATER_MS) -> Audit:
    return audit(data_dir, at_ms=at_ms)


def identity_holds(result: Audit) -> bool:
    all_counts = [*result.days.values(), result.total]
    return all(counts.expected == counts.followups + counts.missed.total() + counts.open for counts in all_counts)


def only_fault(result: Audit, fault: Fault) -> str:
    """The text of the only problem."""
    assert result.total.faults == {fault: 1}, result.problems
    assert not result.ok
    assert identity_holds(result)
    (problem,) = result.problems
    assert problem.fault is fault
    return f"{problem.file}:{problem.line} {problem.id}: {problem.what}"
