"""`python -m feed.probe`: the process of `hip3 probe`, which has checked its options. It needs no Redis."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from feed.probe.document import document, encoded, holds, summary
from feed.probe.measurement import Measurement
from feed.probe.run import DEFAULT_COINS, MAX_COINS, Probe
from feed.proxy import proxy_of
from hip3_tasks import settings as settings_file
from hip3_tasks.cli import streams
from hip3_tasks.cli.exit_status import exit_status
from hip3_tasks.clock import wall_ms
from hip3_tasks.domain.capture import utc_day
from hip3_tasks.domain.market import COIN
from hip3_tasks.errors import BadSelection, Unavailable
from hip3_tasks.run_file import RunFile
from hip3_tasks.settings import Settings
from hip3_tasks.terminal_text import printable
from hip3_tasks.venue import is_simulated, venue_in_words

INTERRUPTED = 130


def main() -> int:
    streams.encode_always()
    return exit_status(lambda: _run(_options()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="hip3 probe")
    parser.add_argument("--venue")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--coins", default="")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _run(options: argparse.Namespace) -> int:
    chosen, began_at_ms = _with_running_venue(settings_file.load(venue=options.venue)), wall_ms()
    coins, number = _selection(options.coins)
    path = options.out or Path(f"probe_{utc_day(began_at_ms)}.json")
    probe = Probe(
        base_url=chosen.base_url,
        seconds=60 * options.minutes,
        coins=coins,
        number=number,
        proxy=proxy_of(chosen),
    )
    file = _create(path)
    try:
        measurement = _measured(probe, f"probing {venue_in_words(chosen)} for {options.minutes:g} min")
        is_complete, ended_at_ms = not probe.stop.is_set(), wall_ms()
        times = {"began_at_ms": began_at_ms, "ended_at_ms": ended_at_ms}
        result = document(measurement, chosen, **times, is_complete=is_complete)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, Unavailable) and is_simulated(chosen):
            raise Unavailable(f"{error}; --venue mainnet probes the real venue") from None
        raise
    with os.fdopen(file, "wb") as output:
        output.write(encoded(result))
    lines = [encoded(result).decode().rstrip()] if options.json else [*summary(result), f"written to {path}"]
    print(*lines if options.json else map(printable, lines), sep="\n")
    return INTERRUPTED if not is_complete else 0 if holds(result) else 1


def _with_running_venue(chosen: Settings) -> Settings:
    """Take the simulated venue of the `hip3 up` in the data directory, if one runs: its port is any free one."""
    running = RunFile.read(chosen.data_dir)
    if chosen.venue != "sim" or chosen.venue_url is not None or running is None:
        return chosen
    return chosen.model_copy(update={"venue_url": running.venue_url})


def _selection(text: str) -> tuple[Sequence[str], int]:
    """The coins by name, and how many of the busiest if there is no name. Raises BadSelection."""
    if text.isdecimal():
        coins, number = [], int(text)
    else:
        coins = list(dict.fromkeys(filter(None, map(str.strip, text.split(",")))))
        number = len(coins) or DEFAULT_COINS
    if not 1 <= number <= MAX_COINS:
        raise BadSelection(f"--coins: expected 1 to {MAX_COINS} markets of 4 subscriptions each, was {number}")
    for coin in coins:
        if not COIN.fullmatch(coin):
            raise BadSelection(f"--coins: expected a number, or names such as xyz:TSLA,xyz:NVDA; was {coin!r}")
    return coins, number


def _create(path: Path) -> int:
    """Create the file at once, before ten minutes are spent on a result that cannot be written."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        raise Unavailable(f"{path} exists; name another file with --out") from None


def _measured(probe: Probe, title: str) -> Measurement:
    console = Console(stderr=True)
    console.print(f"{title}; it shares the limits of this IP with a feed", highlight=False, soft_wrap=True)
    columns = BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=1)
        probe.progress = lambda done, text: bar.update(task, completed=done, description=text)
        return asyncio.run(_until_interrupted(probe))


async def _until_interrupted(probe: Probe) -> Measurement:
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, probe.stop.set)
    return await probe.run()


if __name__ == "__main__":
    sys.exit(main())
