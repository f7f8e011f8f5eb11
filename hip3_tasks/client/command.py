"""`hip3 tail`: the lines of the data files, as they are written, to standard output."""

import signal
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any, NoReturn

import orjson

from hip3_tasks.client.follower import Follower


def tail_command(
    data_dir: Path, *, kinds: Collection[str], coins: Collection[str] | None, since_ms: int | None
) -> NoReturn:
    """Print each line as it stands in its file, until the process is asked to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    for batch in Follower.resumed(data_dir, None, since_ms).follow():
        if batch.kind in kinds:
            for line in batch.lines:
                if (coins is None and since_ms is None) or _is_chosen(line, coins, since_ms or 0):
                    # Line by line, so that a process that is ended leaves no part of one.
                    sys.stdout.buffer.write(line + b"\n")
            sys.stdout.buffer.flush()
    raise AssertionError("a follower ends only with its process")


def _is_chosen(line: bytes, coins: Collection[str] | None, since_ms: int) -> bool:
    """Whether a line's signal is of these coins and not before an instant; a line that is no record is not."""
    try:
        record: dict[str, Any] = orjson.loads(line)
        signal_ms = record.get("timestamp_ms") or record["signal_timestamp_ms"]
        return bool(signal_ms >= since_ms and (coins is None or record["market_key"] in coins))
    except (ValueError, TypeError, KeyError, AttributeError):
        return False
