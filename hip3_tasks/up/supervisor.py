"""The supervisor of one `hip3 up`: it keeps the processes running, and stops them in order."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from hip3_tasks.errors import Unavailable
from hip3_tasks.files.lock import lock
from hip3_tasks.run_file import RunFile, log_dir
from hip3_tasks.up import reaper
from hip3_tasks.up.child_process import ChildProcess, ProcessSpec

LOCK_TIMEOUT_S = 15.0
POLL_S = 0.05


class Supervisor:
    """The child processes of one data directory, which it holds locked until `close`."""

    def __init__(self, data_dir: Path) -> None:
        """Lock the directory. Raises Unavailable when it cannot be used or another `hip3 up` runs in it."""
        self._log_dir = log_dir(data_dir)
        try:
            self._log_dir.mkdir(parents=True, exist_ok=True)
            self._lock_fd = _lock(data_dir)
        except OSError as error:
            raise Unavailable(f"{error.filename or data_dir}: {error.strerror}; choose another --data-dir") from None
        self._children: list[ChildProcess] = []
        self._reaper = _Reaper(self._lock_fd)

    def start(self, spec: ProcessSpec) -> ChildProcess:
        """Start a process. Raises Unavailable when that fails."""
        child = ChildProcess(
            spec,
            log_dir=self._log_dir,
            register=lambda group: self._reaper.register(group, stop_last=spec.stop_last),
        )
        self._children.append(child)
        child.start()
        return child

    def poll(self) -> list[str]:
        """Reap dead processes and start them again; return what happened, in words.

        Raises Unavailable when a required process fails at every start.
        """
        events = []
        if not self._reaper.is_alive():
            self._reaper.close()
            self._reaper = _Reaper(self._lock_fd)
            for child in self._children:
                if child.pid is not None:
                    self._reaper.register(child.pid, stop_last=child.spec.stop_last)
            events.append("reaper died and was replaced")
        return events + self._poll(self._children)

    def stop(
        self, children: Iterable[ChildProcess], *, meanwhile: Callable[[], None] = lambda: time.sleep(POLL_S)
    ) -> None:
        """Ask processes to end, wait, and kill those that exceed their timeout. `meanwhile` has to wait a little."""
        stopping = list(children)
        for child in stopping:
            child.stop()
        while any(child.pid is not None for child in stopping):
            meanwhile()
            self._poll(stopping)

    def stop_all(self, *, timeout_s: float) -> None:
        """Stop every process, the server after those that need it; takes twice `timeout_s` at most."""
        for stopping in ([child for child in self._children if not child.spec.stop_last], self._children):
            for child in stopping:
                child.stop(timeout_s=timeout_s)
            self.stop(stopping)

    def close(self) -> None:
        """End what still runs, and release the directory."""
        self._reaper.close()
        os.close(self._lock_fd)

    def _poll(self, children: Iterable[ChildProcess]) -> list[str]:
        return list(filter(None, (child.poll(unregister=self._reaper.unregister) for child in children)))


class _Reaper:
    """The process of `reaper.py`, and our end of its pipe."""

    def __init__(self, lock_fd: int) -> None:
        read_fd, self._fd = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", reaper.__file__],
            stdin=read_fd,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            # After a kill of `hip3 up`, the directory stays locked until its last process is gone.
            pass_fds=[lock_fd],
        )
        os.close(read_fd)

    def register(self, group: int, *, stop_last: bool) -> None:
        os.write(self._fd, b"+%d%s\n" % (group, b" last" if stop_last else b""))

    def unregister(self, group: int) -> None:
        with suppress(BrokenPipeError):
            os.write(self._fd, b"-%d\n" % group)

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """Let it end the groups that are left, and wait for that."""
        os.close(self._fd)
        self._process.wait()


def _lock(data_dir: Path) -> int:
    fd = os.open(data_dir / ".up.lock", os.O_RDWR | os.O_CREAT, 0o644)
    until_s = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            lock(fd, timeout_s=POLL_S)
            return fd
        except BlockingIOError:
            running = RunFile.read(data_dir)
            # The reaper of a killed `hip3 up` holds the lock until it has ended all processes.
            if running or time.monotonic() > until_s:
                os.close(fd)
                who = f" with process id {running.pid}" if running else ""
                raise Unavailable(
                    f"another `hip3 up` runs in {data_dir}{who}; end it first, or choose another --data-dir"
                ) from None
