"""The cost of a command in its own process: time, CPU and memory."""

import os
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of a command."""

    name: str
    command: str
    wall_s: float
    cpu_s: float
    """User and system time, with the children that it waited for."""
    peak_mb: float
    """Memory of its largest process; at least that of this process, some 50 MB, because a child starts as its copy."""
    exit_code: int
    output: str

    @classmethod
    def from_run(cls, name: str, command: Sequence[str], *, log: Path) -> Self:
        """Run a command to its end, with its output in `log`."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        redirects = [(os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o644), (os.POSIX_SPAWN_DUP2, 1, 2)]
        began_s = time.monotonic()
        pid = os.posix_spawn(command[0], command, os.environ, file_actions=redirects)
        _, status, used = os.wait4(pid, 0)
        return cls(
            name=name,
            command=shlex.join(command),
            wall_s=time.monotonic() - began_s,
            cpu_s=used.ru_utime + used.ru_stime,
            peak_mb=used.ru_maxrss * 1024 / 1e6,
            exit_code=os.waitstatus_to_exitcode(status),
            output=log.read_text(errors="replace").strip(),
        )

    @property
    def is_done(self) -> bool:
        return self.exit_code == 0
