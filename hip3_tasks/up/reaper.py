"""What ends the processes of a `hip3 up` that was killed: a tiny process in a session of its own.

Its standard input is a pipe whose other end only `hip3 up` holds, so the end of `hip3 up`, however it comes,
is the end of that pipe. Up to then it notes the process groups announced there: `+PGID` has started (`+PGID
last` is the server, which the others need until they have ended), `-PGID` is gone. It runs as a file with
nothing but the standard library, for it must outlive everything else.
"""

import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

PATIENCE_S = 5.0
KILLED_PATIENCE_S = 1.0
"""What was killed is gone or a zombie, for which some containers have nobody."""
POLL_S = 0.02


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    first, last = left_behind(sys.stdin.buffer)
    end_groups(first)
    end_groups(last)


def left_behind(announcements: Iterable[bytes]) -> tuple[list[int], list[int]]:
    """The groups not gone when the announcements end: those to end first, those last; youngest first."""
    is_last: dict[int, bool] = {}
    for line in announcements:
        sign, group = line[:1], line[1:].split()
        # `hip3 up` may have died in the middle of a line.
        if line.endswith(b"\n") and sign == b"+":
            is_last[int(group[0])] = len(group) > 1
        elif line.endswith(b"\n"):
            is_last.pop(int(group[0]), None)
    youngest_first = [*is_last][::-1]
    return [group for group in youngest_first if not is_last[group]], [g for g in youngest_first if is_last[g]]


def end_groups(groups: Sequence[int], *, patience_s: float = PATIENCE_S) -> None:
    """Ask the leader of each group to end, in this order; after `patience_s` kill what is left of them."""
    for group in groups:
        # The leader alone: a pool whose members are told to end, too, cannot finish what it has begun.
        with suppress(ProcessLookupError, PermissionError):
            os.kill(group, signal.SIGTERM)
    if not _are_gone(groups, within_s=patience_s):
        for group in groups:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        _are_gone(groups, within_s=KILLED_PATIENCE_S)


def _are_gone(groups: Sequence[int], *, within_s: float) -> bool:
    until_s = time.monotonic() + within_s
    while any(_lives(group) for group in groups):
        if time.monotonic() > until_s:
            return False
        time.sleep(POLL_S)
    return True


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):  # macOS: not permitted, for a group of zombies
        return False
    return True


if __name__ == "__main__":
    main()
