"""What a command costs that runs in a process of its own: time, CPU and memory."""

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
    """User and system, with what it started and waited for."""
    peak_mb: float
    """Of its largest process; never below this one's own, some 50 MB, since a child begins as a copy of its parent."""
    exit_code: int
    said: str

    @classmethod
    def of(cls, name: str, command: Sequence[str], *, log: Path) -> Self:
        """Run a command to its end. What it says goes to a file."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        output = [(os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o644), (os.POSIX_SPAWN_DUP2, 1, 2)]
        began_s = time.monotonic()
        pid = os.posix_spawn(command[0], command, os.environ, file_actions=output)
        _, status, used = os.wait4(pid, 0)
        return cls(
            name=name,
            command=shlex.join(command),
            wall_s=time.monotonic() - began_s,
            cpu_s=used.ru_utime + used.ru_stime,
            peak_mb=used.ru_maxrss * 1024 / 1e6,
            exit_code=os.waitstatus_to_exitcode(status),
            said=log.read_text(errors="replace").strip(),
        )

    @property
    def is_done(self) -> bool:
        return self.exit_code == 0
