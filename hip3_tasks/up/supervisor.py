"""All processes of one `hip3 up`: kept running, ended in order; by the reaper if `hip3 up` is killed."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from hip3_tasks.errors import Unavailable
from hip3_tasks.files.lock import lock
from hip3_tasks.run_file import RunFile
from hip3_tasks.up import reaper
from hip3_tasks.up.child_process import Child, Part

CLEARING_PATIENCE_S = 15.0
POLL_S = 0.05


class Household:
    """The children of one data directory, which belongs to it from its making to its close."""

    def __init__(self, data_dir: Path) -> None:
        """Raises Unavailable when the directory cannot be used or another `hip3 up` runs in it."""
        self._log_dir = data_dir / "logs"
        try:
            self._log_dir.mkdir(parents=True, exist_ok=True)
            self._lock_fd = _lock(data_dir)
        except OSError as error:
            raise Unavailable(f"{error.filename or data_dir}: {error.strerror}; choose another --data-dir") from None
        self._children: list[Child] = []
        self._warden = _Warden(self._lock_fd)

    def start(self, part: Part) -> Child:
        child = Child(
            part,
            log_dir=self._log_dir,
            announce=lambda group: self._warden.announce(group, ends_last=part.ends_last),
        )
        self._children.append(child)
        child.start()
        return child

    def tend(self) -> list[str]:
        """Bury the dead and revive those who should live; what happened, in words. Raises Unavailable."""
        happened = []
        if not self._warden.is_alive():
            self._warden.close()
            self._warden = _Warden(self._lock_fd)
            for child in self._children:
                if child.pid is not None:
                    self._warden.announce(child.pid, ends_last=child.part.ends_last)
            happened.append("reaper died; another one has taken over")
        happened += [said for child in self._children if (said := child.tend(bury=self._warden.forget))]
        return happened

    def end(self, children: Iterable[Child], *, meanwhile: Callable[[], None] = lambda: time.sleep(POLL_S)) -> None:
        """Ask them to end and wait until they have; who takes too long is killed. `meanwhile` waits a little."""
        ending = list(children)
        for child in ending:
            child.ask_to_end()
        while any(child.pid is not None for child in ending):
            meanwhile()
            self._bury(ending)

    def end_all(self, *, within_s: float) -> None:
        """End every child, those last that the others need; twice `within_s` is the longest it takes."""
        for ending in ([child for child in self._children if not child.part.ends_last], self._children):
            for child in ending:
                child.ask_to_end(within_s=within_s)
            self.end(ending)

    def close(self) -> None:
        """Give the directory back. Whatever still runs is ended."""
        self._warden.close()
        os.close(self._lock_fd)

    def _bury(self, children: Iterable[Child]) -> None:
        for child in children:
            child.tend(bury=self._warden.forget)


class _Warden:
    """Our end of the pipe to `reaper.py`."""

    def __init__(self, lock_fd: int) -> None:
        read_fd, self._fd = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", reaper.__file__],
            stdin=read_fd,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            # A killed household keeps its directory until the last of it is gone.
            pass_fds=[lock_fd],
        )
        os.close(read_fd)

    def announce(self, group: int, *, ends_last: bool) -> None:
        os.write(self._fd, b"+%d%s\n" % (group, b" last" if ends_last else b""))

    def forget(self, group: int) -> None:
        with suppress(BrokenPipeError):
            os.write(self._fd, b"-%d\n" % group)

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """Let it end what is left, and wait for that."""
        os.close(self._fd)
        self._process.wait()


def _lock(data_dir: Path) -> int:
    fd = os.open(data_dir / ".up.lock", os.O_RDWR | os.O_CREAT, 0o644)
    until_s = time.monotonic() + CLEARING_PATIENCE_S
    while True:
        try:
            lock(fd, timeout_s=POLL_S)
            return fd
        except BlockingIOError:
            running = RunFile.read(data_dir)
            # One that was killed holds it for as long as its reaper needs.
            if running or time.monotonic() > until_s:
                os.close(fd)
                who = f" with process id {running.pid}" if running else ""
                raise Unavailable(
                    f"another `hip3 up` runs in {data_dir}{who}; end it first, or choose another --data-dir"
                ) from None
