"""`python -m feed.probe`: the process of `hip3 probe`, which has checked its options. It needs no Redis."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson
from rich.console import Console

from feed.probe.probe import Probe
from feed.probe.report import report, summary
from hip3_tasks import settings as settings_file
from hip3_tasks.cli import streams
from hip3_tasks.cli.exit_status import exit_status
from hip3_tasks.clock import wall_ms
from hip3_tasks.domain.capture import utc_day
from hip3_tasks.errors import BadSelection, Unavailable
from hip3_tasks.logs import configure_logs
from hip3_tasks.terminal_text import printable
from hip3_tasks.venue import venue_in_words

INTERRUPTED = 130
DEFAULT_COINS, MAX_COINS = 40, 50
"""Two channels on two sockets: at most 200 subscriptions."""


def main() -> int:
    streams.encode_always()
    configure_logs("critical")  # what a connection logs is in the report
    return exit_status(lambda: _run(_options()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="hip3 probe")
    parser.add_argument("--venue")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--coins", default=str(DEFAULT_COINS))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _run(options: argparse.Namespace) -> int:
    chosen, began_at_ms = settings_file.load(venue=options.venue), wall_ms()
    probe = Probe(chosen, seconds=60 * options.minutes, coins=_coins(options.coins))
    path = options.out or Path(f"probe_{utc_day(began_at_ms)}.json")
    title = f"probing {venue_in_words(chosen)} for {options.minutes:g} min; it shares the limits of this IP with a feed"
    try:
        file = path.open("xb")  # before ten minutes are spent on a report that cannot be written
    except FileExistsError:
        raise Unavailable(f"{path} exists; name another file with --out") from None
    try:
        with file, Console(stderr=True).status("listening"):
            asyncio.run(_until_interrupted(probe, title))
            result = report(probe, began_at_ms=began_at_ms)
            encoded = orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
            file.write(encoded)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    lines = [encoded.decode().rstrip()] if options.json else [*map(printable, summary(result)), f"written to {path}"]
    print(*lines, sep="\n")
    if not probe.is_complete:
        return INTERRUPTED
    return int(any(verdict.holds is False for verdict in result["assumptions"]))


def _coins(text: str) -> Sequence[str] | int:
    """The coins by name, or how many of the busiest. Raises BadSelection."""
    coins = list(dict.fromkeys(filter(None, map(str.strip, text.split(",")))))
    number = int(text) if text.isdecimal() else len(coins)
    if not 1 <= number <= MAX_COINS:
        raise BadSelection(f"--coins: expected 1 to {MAX_COINS} markets of 4 subscriptions each, was {number}")
    return number if text.isdecimal() else coins


async def _until_interrupted(probe: Probe, title: str) -> None:
    task = asyncio.ensure_future(probe.run())
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    print(title, file=sys.stderr)
    await task


if __name__ == "__main__":
    sys.exit(main())
