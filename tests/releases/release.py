"""A stored release: the files and keys that it wrote, and its source, which runs beside the current source."""

import json
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.process import run

HERE = Path(__file__).parent
PLANNED, READ_TAPE = HERE / "planned.py", HERE / "read_tape.py"
"""The scripts for the current source; each release has its own."""


@dataclass(frozen=True, slots=True)
class Release:
    """The files of one release."""

    version: str

    @property
    def folder(self) -> Path:
        return HERE / self.version

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    @property
    def keys(self) -> Path:
        return self.folder / "redis.json.xz"

    @property
    def source(self) -> Path:
        return self.folder / "source.tar.xz"

    @property
    def planned(self) -> Path:
        return self.folder / PLANNED.name

    @property
    def read_tape(self) -> Path:
        return self.folder / READ_TAPE.name

    def unpacked(self, folder: Path) -> Path:
        """Unpack the source into an empty folder; return its root."""
        with tarfile.open(self.source) as archive:
            archive.extractall(folder, filter="data")
        (root,) = folder.iterdir()
        return root


@dataclass(frozen=True, slots=True)
class Program:
    """How a source tree starts its feed and its worker."""

    parts: Mapping[str, tuple[list[str], dict[str, str]]]
    """Command and environment, by name."""
    origin: Path
    """The path of its imported package."""

    @classmethod
    def planned(cls, script: Path, *, root: Path, cwd: Path, settings: Mapping[str, str]) -> "Program":
        """Ask the tree's own `hip3 up` for its plan, with this Python and its installed packages."""
        answer = run(sys.executable, "-P", str(script), cwd=cwd, **settings, PYTHONPATH=str(root))
        assert answer.returncode == 0, answer.stderr
        plan = json.loads(answer.stdout)
        return cls(parts={name: tuple(part) for name, part in plan["parts"].items()}, origin=Path(plan["origin"]))
