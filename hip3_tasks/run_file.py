"""The note that a running `hip3 up` leaves in its data directory, so that others find its server and pages."""

import os
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, ValidationError

from hip3_tasks.errors import Unavailable
from hip3_tasks.settings import Settings


class RunFile(BaseModel):
    """Where the parts of a running system listen."""

    pid: int
    started_at_ms: int
    name: str
    """Of the feed: its keys and its queue."""
    redis_url: str = Field(repr=False)
    venue_url: str
    flower_url: str | None = None
    page_url: str | None = None

    @staticmethod
    def path(data_dir: Path) -> Path:
        return data_dir / "run.json"

    def write(self, data_dir: Path) -> None:
        part = self.path(data_dir).with_suffix(".part")
        part.unlink(missing_ok=True)
        # The URL may hold a password.
        part.touch(mode=0o600)
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


def located(settings: Settings) -> Settings:
    """The settings with Redis and the feed's name filled in: HIP3_REDIS_URL, else the `hip3 up` in the data directory.

    Raises Unavailable when there is neither, or when HIP3_NAME names another feed than the one that runs there.
    """
    if settings.redis_url:
        return settings
    found = RunFile.read(settings.data_dir)
    if found is None:
        raise Unavailable(
            f"no Redis: HIP3_REDIS_URL is not set and no `hip3 up` runs in {settings.data_dir}; "
            "start one, set HIP3_REDIS_URL, or name the data directory with HIP3_DATA_DIR"
        )
    if settings.name not in ("", found.name):
        raise Unavailable(f"HIP3_NAME is {settings.name!r}, but the `hip3 up` in {settings.data_dir} is {found.name!r}")
    return Settings.model_validate(settings.model_dump() | {"redis_url": found.redis_url, "name": found.name})
