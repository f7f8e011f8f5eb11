"""The place in the data files up to which a program has read."""

from contextlib import suppress
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ValidationError

from hip3_tasks.domain.capture import utc_day
from hip3_tasks.errors import Unavailable
from hip3_tasks.files.day_files import DayFiles, days_of, jsonl_path
from hip3_tasks.files.tail import end_of


class Cursor(BaseModel):
    """The offset in each file of lines, by its kind and day, as in `signals_2026-01-20`."""

    directory: str
    """The id that the feed keeps in its data directory; empty before its first start."""
    files: dict[str, int | None]
    """None for a file that was read to its end and takes no more lines; a file that is not here is unread."""

    @classmethod
    def starting(cls, data_dir: Path, since_ms: int | None) -> Self:
        """The place after all lines that are there, or before the day of an instant."""
        first = None if since_ms is None else utc_day(since_ms)
        files = dict[str, int | None]()
        for day, listed in days_in(data_dir).items():
            if first is None or day < first:
                for kind in listed.jsonl | listed.parquet:
                    is_compacted = kind not in listed.jsonl
                    files[f"{kind}_{day}"] = None if is_compacted else end_of(jsonl_path(data_dir, kind, day))
        return cls(directory=directory_id(data_dir), files=files)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The cursor that `write` left; None without a file. Raises ValueError for any other content."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            raise ValueError("is no cursor") from None

    def write(self, path: Path) -> None:
        """Replace the file of the cursor, so that it is whole whenever this process is killed. Raises OSError."""
        part = path.with_name(f"{path.name}.part")
        part.write_text(self.model_dump_json())
        part.replace(path)


def directory_id(data_dir: Path) -> str:
    """The id that the feed keeps in its data directory; empty before its first start."""
    try:
        return (data_dir / ".feed").read_text(errors="replace")[:64]
    except OSError:
        return ""


def days_in(data_dir: Path) -> dict[str, DayFiles]:
    """The days of a directory, oldest first; none for a directory without data."""
    with suppress(Unavailable):
        return days_of(data_dir)
    return {}
