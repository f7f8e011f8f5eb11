"""A child process of `hip3 up`, in a session of its own, that is started again when it dies."""

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

MIN_UPTIME_S = 5.0
"""A process that dies sooner counts as a failed start."""
BACKOFF_RESET_S = 60.0
"""A process that ran for longer starts again with the shortest pause."""
MAX_FAILED_STARTS = 4
MAX_BACKOFF_S = 10.0
MAX_LOG_BYTES = 8_000_000
TAIL_LINES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """A process to run, and how it is stopped."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    stop_timeout_s: float = 10.0
    stop_last: bool = False
    is_required: bool = True
    """False: `hip3 up` goes on without it when every start fails."""
    url: str | None = None
    """The address for a browser."""
    renew: Callable[[], "ProcessSpec"] | None = None
    """Makes the spec again before a start, because another program may have taken its port."""

    def renewed(self) -> "ProcessSpec":
        return self.renew() if self.renew else self


class ChildProcess:
    """Runs one spec, and starts it again whenever it dies before `stop`."""

    def __init__(self, spec: ProcessSpec, *, log_dir: Path, register: Callable[[int], None]) -> None:
        """The child calls `register` with the id of its process group before it runs its program."""
        self.spec, self._register = spec, register
        self.log = log_dir / f"{spec.name}.log"
        self.exit_code: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._kill_at_s: float | None = None
        self._started_at_s = self._restart_at_s = 0.0
        self._deaths = self._failed_starts = 0
        self._is_restarting = False

    @property
    def pid(self) -> int | None:
        """The id of the process, of its session and of its group; None while it does not run."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process. Raises Unavailable when there is no such program or its log cannot be written."""
        try:
            if self.log.exists() and self.log.stat().st_size > MAX_LOG_BYTES:
                os.truncate(self.log, 0)
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    self.spec.command,
                    env=self.spec.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    # Before exec, so that the reaper knows every process that runs. Safe: `hip3 up` has one thread.
                    preexec_fn=lambda: self._register(os.getpid()),  # noqa: PLW1509
                )
        except OSError as error:
            raise Unavailable(f"{self.spec.name} cannot be started: {error}") from error
        self._started_at_s = time.monotonic()

    def poll(self, *, unregister: Callable[[int], None]) -> str | None:
        """Reap, kill or start the process again if it is time; return what happened, in words.

        Raises Unavailable when a required process failed at every start.
        """
        now_s = time.monotonic()
        if self._process is None:
            if self._kill_at_s is None and now_s >= self._restart_at_s:
                self.spec = self.spec.renewed()
                self.start()
                self._is_restarting = True
        elif self._process.poll() is None:
            if self._kill_at_s is not None and now_s > self._kill_at_s:
                _kill_group(self._process.pid)
            if self._is_restarting and now_s - self._started_at_s > MIN_UPTIME_S:
                self._is_restarting = False
                return f"{self.spec.name} started again"
        else:
            unregister(self._reap(self._process))
            if self._kill_at_s is None:
                return self._after_death(uptime_s=now_s - self._started_at_s)
        return None

    def stop(self, *, timeout_s: float | None = None) -> None:
        """Ask the process to end, and kill it after `timeout_s`, or after its own timeout. It never starts again."""
        kill_at_s = time.monotonic() + (self.spec.stop_timeout_s if timeout_s is None else timeout_s)
        if self._kill_at_s is None and self._process:
            self._process.terminate()
        self._kill_at_s = kill_at_s if self._kill_at_s is None else min(kill_at_s, self._kill_at_s)

    def _reap(self, process: "subprocess.Popen[bytes]") -> int:
        # Processes that it started and left behind end with it.
        _kill_group(process.pid)
        self.exit_code, self._process = process.returncode, None
        return process.pid

    def _after_death(self, *, uptime_s: float) -> str:
        """Plan the next start, or give up after too many failed ones."""
        self._deaths = 1 if uptime_s > BACKOFF_RESET_S else self._deaths + 1
        self._failed_starts = self._failed_starts + 1 if uptime_s <= MIN_UPTIME_S else 0
        message = f"{self.spec.name} died ({_reason(self.exit_code)})"
        if self._failed_starts >= MAX_FAILED_STARTS:
            message += f" at once, {self._failed_starts} times in a row; the end of {self.log}:\n{self._tail()}"
            if self.spec.is_required:
                raise Unavailable(message)
            self.stop()
            return f"{message}\n{self.spec.name} is not started again, the other processes keep running"
        backoff_s = min(2.0 ** (self._deaths - 1), MAX_BACKOFF_S)
        self._restart_at_s = time.monotonic() + backoff_s
        return f"{message}, see {self.log}; it starts again in {backoff_s:.0f} s"

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
