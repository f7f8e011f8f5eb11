"""Finished days as Parquet: no line is lost, and a capture is in one place, whenever the process is killed.

A day is audited, written to a temporary folder and read back, and its lines are fingerprinted both ways. Then it is
closed, if its files have not changed since. Only after that may lines be deleted, and only those that the Parquet gives
back byte for byte.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, computed_field

from hip3_tasks.analysis.compact.day_lines import DayLines
from hip3_tasks.analysis.compact.day_orders import keep_orders
from hip3_tasks.analysis.compact.line_codec import UNREADABLE
from hip3_tasks.analysis.compact.work_dir import Busy, work_dir
from hip3_tasks.analysis.loading.jsonl import Advance
from hip3_tasks.analysis.loading.schemas import FOLLOWUPS, MISSED, SCHEMAS, SIGNALS
from hip3_tasks.audit.audit import audit_day
from hip3_tasks.domain.capture import DAY_MS, HOUR_MS, day_start_ms, utc_day
from hip3_tasks.domain.fees import LATENCIES_MS
from hip3_tasks.errors import Hip3Error, NotCompacted
from hip3_tasks.files.append_file import AppendFile, sync_names
from hip3_tasks.files.day_files import DayFiles, is_closed, jsonl_path, parquet_path
from hip3_tasks.files.lock import lock

REST_MS = HOUR_MS
"""The time after its end before a day is compacted."""
LOCK_TIMEOUT_S = 30.0


class CompactionState(StrEnum):
    COMPACTED = "compacted"
    CLOSED = "compacted before"
    NOT_OVER = "not over yet"
    BUSY = "another compaction is at work on it"
    REFUSED = "refused"


class Compaction(BaseModel):
    """The result for one day."""

    day: str
    state: CompactionState = CompactionState.CLOSED
    why: str | None = None
    """The reason why the day is not compacted, why its lines are not deleted, or what is not kept beside it."""
    rows: dict[str, int] = {}
    """The number of rows by kind, if the day was compacted now."""
    lines_bytes: int = 0
    parquet_bytes: int = 0
    lines_deleted: bool = False
    orders: int = 0
    """The number of a taker's orders that were worked out now, by the kept tape."""

    @property
    def is_closed(self) -> bool:
        return self.state in (CompactionState.COMPACTED, CompactionState.CLOSED)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ratio(self) -> float | None:
        """The bytes of lines for each byte of Parquet."""
        return self.lines_bytes / self.parquet_bytes if self.lines_bytes and self.parquet_bytes else None


def bytes_to_read(files: DayFiles, *, at_ms: int, delete: bool) -> int:
    """The bytes that `compact_day` will report to `advance`: lines are audited, read and, from rows, converted back.

    Those of the tape come on top.
    """
    size = sum(path.stat().st_size for path in files.jsonl.values())
    if files.is_closed:
        return 2 * size if delete else 0
    return 3 * size if at_ms >= _ready_at_ms(files.day) else 0


def compact_day(
    data_dir: Path,
    day: str,
    *,
    at_ms: int,
    delete: bool = False,
    latencies_ms: tuple[int, ...] = LATENCIES_MS,
    advance: Advance = lambda _: None,
) -> Compaction:
    """Close a finished day with Parquet that holds all of its lines; with `delete`, delete the lines of a closed day.

    The orders that arrive so long after each signal are worked out where a tape is kept. Faults are in the result, so
    that other days continue.
    """
    result = Compaction(day=day)
    with _failures_in(result):
        if not is_closed(data_dir, day) or (delete and _sizes(jsonl_path, data_dir, day)):
            _compact(result, data_dir, at_ms=at_ms, delete=delete, advance=advance)
        else:
            _measure_files(result, data_dir)
    if result.is_closed:
        with noted(result, "orders are not kept, and reports work them out"):
            result.orders = keep_orders(data_dir, day, latencies_ms, advance)
    return result


def _compact(result: Compaction, data_dir: Path, *, at_ms: int, delete: bool, advance: Advance) -> None:
    day = result.day
    if not is_closed(data_dir, day) and at_ms < _ready_at_ms(day):
        raise _TooEarly(f"left alone until 01:00 UTC of {utc_day(_ready_at_ms(day))}")
    if os.fsencode(data_dir).decode(errors="replace") != str(data_dir):
        raise NotCompacted("Parquet cannot be written to a directory whose name is not UTF-8; rename it")
    with work_dir(data_dir, day) as folder:
        files = [DayLines(data_dir, schema, day, advance=advance) for schema in SCHEMAS]
        _measure_files(result, data_dir)
        if not is_closed(data_dir, day):
            _check(data_dir, day, at_ms=at_ms, advance=advance)
            rows = {lines.schema.name: lines.write(folder / f"{lines.schema.name}.parquet") for lines in files}
            _close(data_dir, day, files, folder)
            result.state, result.rows = CompactionState.COMPACTED, rows
            _measure_files(result, data_dir)
        if delete:
            _delete(data_dir, day, files, are_checked=result.state is CompactionState.COMPACTED)
            result.lines_deleted = bool(result.lines_bytes)


@contextmanager
def noted(result: Compaction, effect: str) -> Iterator[None]:
    """Turn the fault of what is kept beside a closed day into a note: the day stays closed."""
    try:
        yield
    except Busy:
        pass
    except (Hip3Error, OSError, *UNREADABLE) as error:
        first, *_ = str(error).splitlines() or [repr(error)]
        result.why = "; ".join(filter(None, [result.why, f"its {effect}: {first}"]))


class _TooEarly(Exception):
    """The day has no fault, but is not ready yet."""


@contextmanager
def _failures_in(result: Compaction) -> Iterator[None]:
    """Turn errors into the state and the reason of a result."""
    try:
        yield
    except Busy:
        result.state = CompactionState.BUSY
    except _TooEarly as error:
        result.state, result.why = CompactionState.NOT_OVER, str(error)
    except Hip3Error as error:
        result.state, result.why = CompactionState.REFUSED, str(error)
    except (OSError, *UNREADABLE) as error:
        first, *_ = str(error).splitlines() or [repr(error)]
        result.state, result.why = CompactionState.REFUSED, f"{first}; nothing is lost"


def _ready_at_ms(day: str) -> int:
    return day_start_ms(day) + DAY_MS + REST_MS


def _measure_files(result: Compaction, data_dir: Path) -> None:
    day = result.day
    result.lines_bytes = sum(_sizes(jsonl_path, data_dir, day))
    result.parquet_bytes = sum(_sizes(parquet_path, data_dir, day)) if is_closed(data_dir, day) else 0


def _sizes(path_of: Callable[[Path, str, str], Path], data_dir: Path, day: str) -> list[int]:
    """The sizes of the existing files of a day."""
    paths = [path_of(data_dir, schema.name, day) for schema in SCHEMAS]
    return [path.stat().st_size for path in paths if path.exists()]


def _check(data_dir: Path, day: str, *, at_ms: int, advance: Advance) -> None:
    """Raises NotCompacted when the lines of a day have faults, _TooEarly when some may still be written."""
    counts = audit_day(data_dir, day, at_ms=at_ms, advance=advance).total
    if counts.faults:
        faults = ", ".join(f"{fault}: {number:,}" for fault, number in counts.faults.most_common())
        raise NotCompacted(f"{faults}; see `hip3 audit {data_dir}`")
    if counts.open:
        raise _TooEarly(f"{counts.open:,} captures are open")


def _close(data_dir: Path, day: str, files: Sequence[DayLines], folder: Path) -> None:
    """Rename the Parquet into place under the locks of the day's writers. The last rename closes the day.

    Raises NotCompacted when the day has changed since it was read.
    """
    with ExitStack() as locks:
        for lines in files:
            if lines.schema is not MISSED:  # the lock of the follow-ups guards the missed ones too
                file = AppendFile(lines.path, lines.schema.record)
                locks.callback(file.close)
                _lock(file)
        changed = [lines.path.name for lines in files if not lines.are_unchanged]
        if changed:
            raise NotCompacted(f"{', '.join(changed)} changed while the day was compacted; do it again")
        for schema in (SIGNALS, MISSED):
            _rename(schema.name, day, folder, data_dir)
        sync_names(data_dir)  # after a power cut, the name that closes the day must not exist without the others
        _rename(FOLLOWUPS.name, day, folder, data_dir)
        sync_names(data_dir)


def _rename(kind: str, day: str, folder: Path, data_dir: Path) -> None:
    (folder / f"{kind}.parquet").replace(parquet_path(data_dir, kind, day))


def _lock(file: AppendFile) -> None:
    """Take the lock of the writers, which closing the file releases. Raises NotCompacted."""
    try:
        lock(file.fd, timeout_s=LOCK_TIMEOUT_S)
    except BlockingIOError:
        name = file.path.name
        raise NotCompacted(f"{name} was locked for {LOCK_TIMEOUT_S:g} s: is a worker stopped?") from None
    if not file.is_in_place():
        raise NotCompacted(f"{file.path.name} was replaced while the day was compacted; do it again")


def _delete(data_dir: Path, day: str, files: list[DayLines], *, are_checked: bool) -> None:
    """Delete the lines of a closed day, signals first. Raises NotCompacted when its Parquet does not hold them all."""
    for lines in files:
        if lines.size and not are_checked:
            lines.check(parquet_path(data_dir, lines.schema.name, day))
    for lines in files:
        if not lines.are_unchanged:
            raise NotCompacted(f"{lines.path.name} changed although the day is closed; it is not deleted")
        lines.path.unlink(missing_ok=True)
    sync_names(data_dir)
