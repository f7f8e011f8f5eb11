"""The note that a running `hip3 up` leaves in its data directory, so that others find its server and pages."""

import os
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ValidationError

from hip3_tasks.errors import Unavailable
from hip3_tasks.settings import Settings


class RunFile(BaseModel):
    """Where the parts of a running system listen."""

    pid: int
    started_at_ms: int
    redis_url: str
    venue_url: str
    flower_url: str | None = None

    @staticmethod
    def path(data_dir: Path) -> Path:
        return data_dir / "run.json"

    def write(self, data_dir: Path) -> None:
        part = self.path(data_dir).with_suffix(".part")
        part.write_text(self.model_dump_json(indent=1) + "\n")
        part.replace(self.path(data_dir))

    @classmethod
    def read(cls, data_dir: Path) -> Self | None:
        """What a live `hip3 up` wrote here, or None; the note of a dead one is not believed."""
        try:
            found = cls.model_validate_json(cls.path(data_dir).read_bytes())
            os.kill(found.pid, 0)
        except (OSError, ValidationError):
            return None
        return found


def redis_url(settings: Settings) -> str:
    """HIP3_REDIS_URL, else the server of the `hip3 up` in the data directory. Raises Unavailable."""
    if settings.redis_url:
        return settings.redis_url
    found = RunFile.read(settings.data_dir)
    if found is None:
        raise Unavailable(
            f"no Redis: HIP3_REDIS_URL is not set and no `hip3 up` runs in {settings.data_dir}; "
            "start one, set HIP3_REDIS_URL, or name the data directory with HIP3_DATA_DIR"
        )
    return found.redis_url
