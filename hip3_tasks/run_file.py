"""The file that a running `hip3 up` keeps in its data directory, with the addresses of its server and pages."""

import os
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, ValidationError

from hip3_tasks.errors import Unavailable
from hip3_tasks.settings import Settings


def log_dir(data_dir: Path) -> Path:
    """The folder in which `hip3 up` keeps the logs of its processes."""
    return data_dir / "logs"


class RunFile(BaseModel):
    """The addresses of a running system."""

    pid: int
    started_at_ms: int
    name: str
    """The feed's name, the prefix of its keys and queue."""
    control_name: str = ""
    redis_url: str = Field(repr=False)
    venue_url: str
    flower_url: str | None = None
    page_url: str | None = None

    @staticmethod
    def path(data_dir: Path) -> Path:
        return data_dir / "run.json"

    def write(self, data_dir: Path) -> None:
        temporary = self.path(data_dir).with_suffix(".part")
        temporary.unlink(missing_ok=True)
        # The URL may hold a password.
        temporary.touch(mode=0o600)
        temporary.write_text(self.model_dump_json(indent=1) + "\n")
        temporary.replace(self.path(data_dir))

    @classmethod
    def read(cls, data_dir: Path) -> Self | None:
        """The file of a `hip3 up` that still runs, or None."""
        try:
            run_file = cls.model_validate_json(cls.path(data_dir).read_bytes())
            os.kill(run_file.pid, 0)
        except (OSError, ValidationError):
            return None
        return run_file


def located(settings: Settings) -> Settings:
    """Fill in Redis and the names: from HIP3_REDIS_URL, else from the `hip3 up` in the data directory.

    Raises Unavailable when there is neither, or when HIP3_NAME is not the name of the feed that runs there.
    """
    if settings.redis_url:
        return settings
    running = RunFile.read(settings.data_dir)
    if running is None:
        raise Unavailable(
            f"no Redis: HIP3_REDIS_URL is not set and no `hip3 up` runs in {settings.data_dir}; "
            "start one, set HIP3_REDIS_URL, or name the data directory with HIP3_DATA_DIR"
        )
    if settings.name not in ("", running.name):
        raise Unavailable(
            f"HIP3_NAME is {settings.name!r}, but the `hip3 up` in {settings.data_dir} is {running.name!r}; "
            "unset HIP3_NAME, or name another data directory with HIP3_DATA_DIR"
        )
    names = {"name": running.name, "control_name": settings.control_name or running.control_name}
    return Settings.model_validate(settings.model_dump() | names | {"redis_url": running.redis_url})
