"""Finished days as Parquet: nothing of a line is lost, and a capture is in one place whenever this is killed.

A day is audited, written beside itself and read back, and its lines are fingerprinted on both ways, while it stays as
it is. Then it is closed, if it is still the bytes that were read. Only after that may lines be deleted, and only those
that the Parquet gives back byte for byte.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, computed_field

from hip3_tasks.analysis.compact.close_day import close_day
from hip3_tasks.analysis.compact.day_lines import DayLines
from hip3_tasks.analysis.compact.line_codec import UNREADABLE
from hip3_tasks.analysis.compact.work_dir import Busy, workshop
from hip3_tasks.analysis.loading.jsonl import Advance
from hip3_tasks.analysis.loading.schemas import SCHEMAS
from hip3_tasks.audit.audit import audit_day
from hip3_tasks.domain.capture import DAY_MS, HOUR_MS, day_start_ms, utc_day
from hip3_tasks.errors import Hip3Error, NotCompacted
from hip3_tasks.files.append_file import sync_names
from hip3_tasks.files.day_files import DayFiles, is_closed, jsonl_path, parquet_path

REST_MS = HOUR_MS
"""How long a day is left alone after its end."""


class State(StrEnum):
    COMPACTED = "compacted"
    CLOSED = "compacted before"
    NOT_OVER = "not over yet"
    BUSY = "another compaction is at work on it"
    REFUSED = "refused"


class Compaction(BaseModel):
    """What became of a day."""

    day: str
    state: State = State.CLOSED
    why: str | None = None
    """What keeps the day from it, or its lines from being deleted."""
    rows: dict[str, int] = {}
    """By kind, of a day that was compacted now."""
    lines_bytes: int = 0
    parquet_bytes: int = 0
    lines_deleted: bool = False

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ratio(self) -> float | None:
        """How many bytes of lines a byte of Parquet stands for."""
        return self.lines_bytes / self.parquet_bytes if self.lines_bytes and self.parquet_bytes else None


def bytes_to_read(files: DayFiles, *, at_ms: int, delete: bool) -> int:
    """Of how many bytes `compact_day` will tell: lines are audited, read and, as rows, read back."""
    size = sum(path.stat().st_size for path in files.jsonl.values())
    if files.is_closed:
        return 2 * size if delete else 0
    return 3 * size if at_ms >= _at_rest_ms(files.day) else 0


def compact_day(
    data_dir: Path, day: str, *, at_ms: int, delete: bool = False, advance: Advance = lambda _: None
) -> Compaction:
    """Close a finished day by Parquet that holds all of its lines; delete those of a closed day if asked to."""
    done = Compaction(day=day)
    with _told(done):
        if is_closed(data_dir, day) and not (delete and _sizes(jsonl_path, data_dir, day)):
            _measure(done, data_dir)
            return done
        if not is_closed(data_dir, day) and at_ms < _at_rest_ms(day):
            raise _NotYet(f"left alone until 01:00 UTC of {utc_day(_at_rest_ms(day))}")
        with workshop(data_dir, day) as folder:
            lines = [DayLines(data_dir, schema, day, advance=advance) for schema in SCHEMAS]
            _measure(done, data_dir)
            if not is_closed(data_dir, day):
                _check(data_dir, day, at_ms=at_ms, advance=advance)
                rows = {of_kind.name: of_kind.write(folder / f"{of_kind.name}.parquet") for of_kind in lines}
                close_day(data_dir, day, lines, folder)
                done.state, done.rows = State.COMPACTED, rows
                _measure(done, data_dir)
            if delete:
                _delete(data_dir, day, lines, are_checked=done.state is State.COMPACTED)
                done.lines_deleted = bool(done.lines_bytes)
    return done


class _NotYet(Exception):
    """Nothing is wrong with the day, it is only too early."""


@contextmanager
def _told(done: Compaction) -> Iterator[None]:
    """What goes wrong is told with the day, and keeps no other day back."""
    try:
        yield
    except Busy:
        done.state = State.BUSY
    except _NotYet as error:
        done.state, done.why = State.NOT_OVER, str(error)
    except Hip3Error as error:
        done.state, done.why = State.REFUSED, str(error)
    except (OSError, *UNREADABLE) as error:
        first, *_ = str(error).splitlines() or [repr(error)]
        done.state, done.why = State.REFUSED, f"{first}; nothing is lost"


def _at_rest_ms(day: str) -> int:
    return day_start_ms(day) + DAY_MS + REST_MS


def _measure(done: Compaction, data_dir: Path) -> None:
    done.lines_bytes = sum(_sizes(jsonl_path, data_dir, done.day))
    done.parquet_bytes = sum(_sizes(parquet_path, data_dir, done.day)) if is_closed(data_dir, done.day) else 0


def _sizes(path_of: Callable[[Path, str, str], Path], data_dir: Path, day: str) -> list[int]:
    """Of the files of a day that there are."""
    paths = [path_of(data_dir, schema.name, day) for schema in SCHEMAS]
    return [path.stat().st_size for path in paths if path.exists()]


def _check(data_dir: Path, day: str, *, at_ms: int, advance: Advance) -> None:
    """Raises NotCompacted when the lines of a day are not all well, _NotYet when some may still come."""
    found = audit_day(data_dir, day, at_ms=at_ms, advance=advance).total
    if found.faults:
        faults = ", ".join(f"{fault}: {number:,}" for fault, number in found.faults.most_common())
        raise NotCompacted(f"{faults}; see `hip3 audit {data_dir}`")
    if found.open:
        raise _NotYet(f"{found.open:,} captures are open")


def _delete(data_dir: Path, day: str, lines: list[DayLines], *, are_checked: bool) -> None:
    """Delete the lines of a closed day, signals first. Raises NotCompacted when its Parquet does not hold them all."""
    for of_kind in lines:
        if of_kind.size and not are_checked:
            of_kind.check(parquet_path(data_dir, of_kind.name, day))
    for of_kind in lines:
        if not of_kind.are_unchanged:
            raise NotCompacted(f"{of_kind.path.name} changed although the day is closed; it is not deleted")
        of_kind.path.unlink(missing_ok=True)
    sync_names(data_dir)
