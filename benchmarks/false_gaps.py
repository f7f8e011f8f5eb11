"""Count the gaps and missed follow-ups of an ordinary hour, in which nothing is wrong with the venue: wanted are none.

    .venv/bin/python -m benchmarks.false_gaps --minutes 60 [--checkout DIR]

Runs `hip3 up` with the simulated venue of this tree, whose sockets do not expire, and reads the gaps from the tape.
Prints one JSON object. Gaps at the start, before a market was live for the first time, do not count.
"""

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeVar

import redis
import typer

from benchmarks.checkout import Checkout
from benchmarks.processes import Tree, started
from hip3_tasks.run_file import RunFile
from hip3_tasks.store.keys import Keys, connect
from tools.data_files import DataFiles

T = TypeVar("T")

READ_INTERVAL_S = 10.0
START_TIMEOUT_S = 120.0


@dataclass(slots=True)
class GapCount:
    """Reads every tape once, part by part."""

    client: redis.Redis
    keys: Keys
    causes: Counter[str] = field(default_factory=Counter)
    """The number of gaps by cause, over all markets that were live before."""
    entries: int = 0
    _read_to: dict[bytes, bytes] = field(default_factory=dict)
    _live: set[bytes] = field(default_factory=set)

    def read(self) -> None:
        """Count what was added since the last call."""
        for coin in self.client.smembers(self.keys.tapes):
            start = b"(" + self._read_to[coin] if coin in self._read_to else b"-"
            for entry_id, fields in self.client.xrange(self.keys.tape(coin.decode()), min=start):
                self._read_to[coin] = entry_id
                self.entries += 1
                if b"gap" not in fields:
                    self._live.add(coin)
                elif coin in self._live:
                    self._live.remove(coin)
                    self.causes[fields[b"gap"].decode()] += 1


class Records(DataFiles):
    """The files of one run."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir


def main(
    minutes: Annotated[float, typer.Option(min=0.5)] = 60,
    checkout: Annotated[Path | None, typer.Option(metavar="DIR", help="run this tree, which has a .venv")] = None,
    rate: Annotated[float, typer.Option(help="signals a second, all markets together")] = 1.0,
    seed: Annotated[int, typer.Option()] = 7,
) -> None:
    source = Checkout.from_root(checkout)
    with tempfile.TemporaryDirectory() as folder:
        data_dir, logs = Path(folder) / "data", [Path(folder) / f"{name}.log" for name in ("venue", "up")]
        with ExitStack() as opened:
            simulate = "simulate", "--port", "0", "--expire-every", "0", "--rate", str(rate), "--seed", str(seed)
            opened.enter_context(started(Checkout.from_root(None).hip3(*simulate), log=logs[0]))
            url = _until(lambda: logs[0].read_text().partition("\n")[0], "the venue listens")
            options = "--venue", url, "--data-dir", str(data_dir), "--no-page", "--no-flower"
            command = source.hip3("up", *options)
            up = opened.enter_context(started(command, env=source.environment, log=logs[1], cwd=Path(folder)))
            _until(lambda: list(data_dir.glob("followups_*")), "a follow-up is on disk")
            run = RunFile.read(data_dir)
            assert run is not None
            count = GapCount(opened.enter_context(closing(connect(run.redis_url))), Keys(run.name))
            _read_for(minutes * 60, up, count)
        records = Records(data_dir)
        signals, followups, missed = len(records.signals()), len(records.followups()), records.missed()
    figures = {
        "commit": source.commit(),
        "minutes": minutes,
        "gaps": sum(count.causes.values()),
        "causes": dict(count.causes),
        "tape_entries": count.entries,
        "signals": signals,
        "followups": followups,
        "missed": len(missed),
        "missed_by_reason": dict(Counter(f"{record.reason}: {record.detail}" for record in missed)),
        "share_missed": round(len(missed) / max(1, followups + len(missed)), 5),
    }
    print(json.dumps(figures, indent=1))


def _until(is_true: Callable[[], T], what: str) -> T:
    """Wait for a true value, and return it. Raises RuntimeError when that takes too long."""
    until_s = time.monotonic() + START_TIMEOUT_S
    while not (value := is_true()):
        if time.monotonic() > until_s:
            raise RuntimeError(f"not within {START_TIMEOUT_S:.0f} s: {what}")
        time.sleep(0.2)
    return value


def _read_for(seconds: float, up: Tree, count: GapCount) -> None:
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        up.must_run()
        count.read()
        time.sleep(READ_INTERVAL_S)
    count.read()


if __name__ == "__main__":
    typer.run(main)
