"""A process that `hip3 up` keeps running, in a session of its own."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hip3_tasks.errors import Unavailable
from hip3_tasks.terminal_text import printable

AT_ONCE_S = 5.0
"""A child that lived no longer than this died at once."""
STEADY_S = 60.0
"""A child that lived longer than this is forgiven its earlier deaths."""
MOST_DEATHS_AT_ONCE = 4
LONGEST_PAUSE_S = 10.0
LOG_BYTES = 8_000_000
TAIL_LINES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a child is to run, and how long it may take to end when asked to."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    ends_within_s: float = 10.0
    ends_last: bool = False
    is_needed: bool = True
    """False: the others go on without it when it cannot live."""
    url: str | None = None
    """Where it listens, for people."""
    renew: Callable[[], "Part"] | None = None
    """Makes the part anew before a start: the port that it had may be taken by then."""

    def renewed(self) -> "Part":
        return self.renew() if self.renew else self


class Child:
    """One part, started again whenever it dies before it was asked to end."""

    def __init__(self, part: Part, *, log_dir: Path, announce: Callable[[int], None]) -> None:
        """`announce` is called with the group's id by the child itself, before anything of it runs."""
        self.part, self._announce = part, announce
        self.log = log_dir / f"{part.name}.log"
        self.exit_code: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._ends_by_s: float | None = None
        self._born_at_s = self._again_at_s = 0.0
        self._deaths = self._deaths_at_once = 0
        self._is_on_trial = False

    @property
    def pid(self) -> int | None:
        """Also the id of its session and group; None while it is dead."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Raises Unavailable when there is no such program or its log cannot be written."""
        try:
            if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
                os.truncate(self.log, 0)
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    self.part.command,
                    env=self.part.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    # So it never runs unknown. Safe, as `hip3 up` has but one thread.
                    preexec_fn=lambda: self._announce(os.getpid()),  # noqa: PLW1509
                )
        except OSError as error:
            raise Unavailable(f"{self.part.name} cannot be started: {error}") from error
        self._born_at_s = time.monotonic()

    def tend(self, *, bury: Callable[[int], None]) -> str | None:
        """Bury or revive it where due; what happened, in words. Raises Unavailable when it is hopeless."""
        now_s = time.monotonic()
        if self._process is None:
            if self._ends_by_s is None and now_s >= self._again_at_s:
                self.part = self.part.renewed()
                self.start()
                self._is_on_trial = True
        elif self._process.poll() is None:
            if self._ends_by_s is not None and now_s > self._ends_by_s:
                _kill_group(self._process.pid)
            if self._is_on_trial and now_s - self._born_at_s > AT_ONCE_S:
                self._is_on_trial = False
                return f"{self.part.name} started again"
        else:
            bury(self._end_of(self._process))
            if self._ends_by_s is None:
                return self._died(lived_s=now_s - self._born_at_s)
        return None

    def ask_to_end(self, *, within_s: float | None = None) -> None:
        """It is not started again, and killed if it takes longer than this, or than its part allows."""
        by_s = time.monotonic() + (self.part.ends_within_s if within_s is None else within_s)
        if self._ends_by_s is None and self._process:
            self._process.terminate()
        self._ends_by_s = by_s if self._ends_by_s is None else min(by_s, self._ends_by_s)

    def _end_of(self, process: "subprocess.Popen[bytes]") -> int:
        # Whatever it started and left behind goes with it.
        _kill_group(process.pid)
        self.exit_code, self._process = process.returncode, None
        return process.pid

    def _died(self, *, lived_s: float) -> str:
        self._deaths = 1 if lived_s > STEADY_S else self._deaths + 1
        self._deaths_at_once = self._deaths_at_once + 1 if lived_s <= AT_ONCE_S else 0
        said = f"{self.part.name} died ({_reason(self.exit_code)})"
        if self._deaths_at_once >= MOST_DEATHS_AT_ONCE:
            said = f"{said} at once, {self._deaths_at_once} times in a row; the end of {self.log}:\n{self._tail()}"
            if self.part.is_needed:
                raise Unavailable(said)
            self.ask_to_end()
            return f"{said}\nit stays away, the others go on"
        pause_s = min(2.0 ** (self._deaths - 1), LONGEST_PAUSE_S)
        self._again_at_s = time.monotonic() + pause_s
        return f"{said}, see {self.log}; it starts again in {pause_s:.0f} s"

    def _tail(self) -> str:
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 10_000))
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(f"    {printable(line)}" for line in lines[-TAIL_LINES:])


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _reason(code: int | None) -> str:
    return f"exit {code}" if code is None or code >= 0 else signal.Signals(-code).name
