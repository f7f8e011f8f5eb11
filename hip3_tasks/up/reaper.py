"""The reaper: a small process in a session of its own that ends all others when `hip3 up` is killed.

Its standard input is a pipe whose other end only `hip3 up` holds, so the pipe ends whenever `hip3 up` ends. Until then
it reads process groups from the pipe: `+PGID` has started (`+PGID last` is the server, which the others need until
they have ended), `-PGID` has ended. It runs as a file and imports the standard library alone, so that nothing else
can make it fail.
"""

import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

STOP_TIMEOUT_S = 5.0
KILL_TIMEOUT_S = 1.0
"""After SIGKILL a process is gone or a zombie. Some containers have no init that reaps zombies, so wait no longer."""
POLL_INTERVAL_S = 0.02


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    first, last = running_groups(sys.stdin.buffer)
    stop_groups(first)
    stop_groups(last)


def running_groups(lines: Iterable[bytes]) -> tuple[list[int], list[int]]:
    """The groups that still run when the lines end, youngest first: those to stop first, and those to stop last."""
    stop_last: dict[int, bool] = {}
    for line in lines:
        sign, words = line[:1], line[1:].split()
        # `hip3 up` may have died in the middle of a line.
        if line.endswith(b"\n") and sign == b"+":
            stop_last[int(words[0])] = len(words) > 1
        elif line.endswith(b"\n"):
            stop_last.pop(int(words[0]), None)
    youngest_first = [*stop_last][::-1]
    first = [group for group in youngest_first if not stop_last[group]]
    return first, [group for group in youngest_first if stop_last[group]]


def stop_groups(groups: Sequence[int], *, timeout_s: float = STOP_TIMEOUT_S) -> None:
    """Ask the leader of each group to end, in this order, and kill what is left of the groups after `timeout_s`."""
    for group in groups:
        # The leader alone: a worker cannot finish its tasks when its pool processes are asked to end as well.
        with suppress(ProcessLookupError, PermissionError):
            os.kill(group, signal.SIGTERM)
    if not _wait_until_gone(groups, timeout_s=timeout_s):
        for group in groups:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        _wait_until_gone(groups, timeout_s=KILL_TIMEOUT_S)


def _wait_until_gone(groups: Sequence[int], *, timeout_s: float) -> bool:
    until_s = time.monotonic() + timeout_s
    while any(map(_exists, groups)):
        if time.monotonic() > until_s:
            return False
        time.sleep(POLL_INTERVAL_S)
    return True


def _exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):  # macOS: not permitted, for a group of zombies
        return False
    return True


if __name__ == "__main__":
    main()
