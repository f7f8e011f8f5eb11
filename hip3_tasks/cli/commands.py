"""The commands of `hip3`, their options and help."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from hip3_tasks.cli.json_option import JsonCommand
from hip3_tasks.domain.fees import LATENCIES_MS, LEAST_ORDER_USD

app = typer.Typer(no_args_is_help=True)

PASS_ALL = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

Venue = Annotated[str | None, typer.Option(help="sim, mainnet, testnet or a base URL. [HIP3_VENUE, default sim]")]
DataDir = Annotated[Path | None, typer.Option(help="Data directory. [HIP3_DATA_DIR, default data/VENUE/signals]")]
DataDirs = Annotated[
    list[Path] | None, typer.Argument(metavar="[DIR...]", help="Data directories. [HIP3_DATA_DIR]", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Day = Annotated[str | None, typer.Option(metavar="DAY", help="Only this UTC day, such as 2026-01-20.")]
Since = Annotated[
    str | None, typer.Option(metavar="WHEN", help="From 2026-01-20T14:30 (UTC) on, or the last 90m, 12h, 3d.")
]
Until = Annotated[str | None, typer.Option(metavar="WHEN", help="Only before this time.")]
Coin = Annotated[list[str] | None, typer.Option(metavar="COIN", help="Only xyz:TSLA or xyz:TSLA,xyz:NVDA.")]


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        print(f"hip3 {version('hip3-tasks')}")
        raise typer.Exit


@app.callback()
def hip3(
    _: Annotated[
        bool, typer.Option("--version", "-V", is_eager=True, callback=_print_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Signals on Hyperliquid's HIP-3 markets, and what the market did after each. Start with: hip3 up"""


@app.command()
def up(
    venue: Venue = None,
    data_dir: DataDir = None,
    duration: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Stop after this time of detection. Default: run until Ctrl-C."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="At the end, print one line of JSON on stdout; all else goes to stderr.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only problems and the summary.")] = False,
    flower: Annotated[bool, typer.Option("--flower/--no-flower", help="Run Flower, which shows the tasks.")] = True,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Run the live page.")] = True,
    rate: Annotated[float | None, typer.Option(min=0.1, max=100, help="Signals per second, if simulated.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed and rate simulate the same prices.")] = None,
    from_file: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", exists=True, dir_okay=False, help="Simulate markets of a saved frame."),
    ] = None,
    faults: Annotated[
        list[str] | None,
        typer.Option(
            "--fault", metavar="FAULT", help="Break the simulated venue: NAME[:COIN|DEX][@START[-END]], or list."
        ),
    ] = None,
) -> int:
    """Run the whole system: Redis server, simulated venue, feed, workers, live page, Flower. Ctrl-C stops it."""
    from hip3_tasks import services, settings
    from hip3_tasks.up.command import up as run_up
    from hip3_tasks.up.plan import UpOptions, runs_venue

    if duration is not None and not 0 < duration < float("inf"):
        raise typer.BadParameter(f"expected a number of seconds above 0, was {duration:g}", param_hint="--duration")
    services.require("`hip3 up`")
    if "list" in (faults or ()):
        _exec_service("simulator", "--fault", "list", command="up")
    chosen = settings.load(venue=venue, data_dir=data_dir)
    simulated = {"--rate": rate, "--seed": seed, "--from": from_file}
    arguments = [(name, str(value)) for name, value in simulated.items() if value is not None]
    arguments += [("--fault", fault) for fault in faults or ()]
    if arguments and not runs_venue(chosen):
        raise typer.BadParameter(f"only the simulated venue has this, not {chosen.venue}", param_hint=arguments[0][0])
    words = tuple(word for argument in arguments for word in argument)
    if faults:
        _check_venue_options(words)
    options = UpOptions(
        duration_s=duration, as_json=as_json, quiet=quiet, flower=flower, page=page, venue_arguments=words
    )
    return run_up(chosen, options)


@app.command()
def page(venue: Venue = None, data_dir: DataDir = None) -> int:
    """Serve only the live page, for the system in a data directory. Its settings are HIP3_PAGE_*."""
    from hip3_tasks import settings
    from hip3_tasks.web.command import page_command

    return page_command(settings.load(venue=venue, data_dir=data_dir))


@app.command()
def feed() -> None:
    """Run only the feed, with the settings HIP3_*. It needs Redis, a venue and workers."""
    _exec_service("feed", command="feed")


@app.command()
def record(
    venue: Venue = None,
    data_dir: DataDir = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Hear the venue, and keep its frames as received. It needs no Redis.")
    ] = False,
) -> int:
    """Run only the recorder, which keeps the tape on disk for HIP3_TAPE_DAYS. It needs Redis."""
    if raw:
        given = {"HIP3_VENUE": venue, "HIP3_DATA_DIR": data_dir}
        chosen = {name: str(value) for name, value in given.items() if value is not None}
        _exec_service("feed.raw_recorder", command="record --raw", **chosen)
    from hip3_tasks import settings
    from hip3_tasks.recording.service import record_command

    return record_command(settings.load(venue=venue, data_dir=data_dir))


@app.command(context_settings=PASS_ALL)
def simulate(context: typer.Context) -> None:
    """Run only the simulated venue. Its own options: hip3 simulate --help"""
    _exec_service("simulator", *context.args, command="simulate")


@app.command()
def probe(
    venue: Venue = None,
    minutes: Annotated[float, typer.Option(help="How long to listen.")] = 10.0,
    coins: Annotated[
        str | None, typer.Option(metavar="N|COIN", help="The N busiest markets, or xyz:TSLA,xyz:NVDA. [default: 40]")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file to write. [default: probe_DAY.json]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a venue, and say which of this project's assumptions do not hold there. It needs no Redis."""
    if not 0.01 <= minutes <= 24 * 60:
        raise typer.BadParameter(f"expected 0.01 to 1440, was {minutes:g}", param_hint="--minutes")
    options = {"--venue": venue, "--minutes": minutes, "--coins": coins, "--out": out}
    words = [f"{name}={value}" for name, value in options.items() if value is not None]
    _exec_service("feed.probe", *words, *(["--json"] if as_json else []), command="probe")


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Frames as JSON lines, or rows.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="New directory for the tape.")],
    fee_bps: Annotated[
        float | None, typer.Option(metavar="BPS", help="Taker fee of a market that --fees does not name. [default: 9]")
    ] = None,
    fees: Annotated[Path | None, typer.Option(metavar="FILE", help='Taker fees in bps: {"xyz:TSLA": 0.9}')] = None,
    as_json: AsJson = False,
) -> None:
    """Turn recordings by others into a kept tape, for: hip3 replay. It needs no Redis."""
    if fee_bps is not None and not 0 <= fee_bps < float("inf"):
        raise typer.BadParameter(f"expected a number from 0 up, was {fee_bps:g}", param_hint="--fee-bps")
    options = {"--out": out, "--fee-bps": fee_bps, "--fees": fees}
    words = [f"{name}={value}" for name, value in options.items() if value is not None]
    _exec_service("feed.importer", *words, *(["--json"] if as_json else []), "--", *map(str, files), command="import")


def _check_venue_options(words: Sequence[str]) -> None:
    """Let the simulated venue check its own options before anything starts: only it knows its faults and markets."""
    import subprocess

    from hip3_tasks import services, settings
    from hip3_tasks.errors import BadSetting

    command = services.command("simulator", "--check", *words)
    environment = services.environment(settings.inherited())
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if finished.returncode:
        lines = finished.stderr.strip().splitlines() or ["the simulated venue does not start"]
        raise BadSetting(lines[-1].removeprefix("simulator: "))


def _exec_service(module: str, *arguments: str, command: str, **chosen: str) -> NoReturn:
    from hip3_tasks import services, settings

    services.require(f"`hip3 {command}`")
    words = services.command(module, *arguments)
    os.execve(words[0], words, services.environment(settings.inherited() | chosen))


@app.command()
def audit(
    dirs: DataDirs = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Replay the kept tape instead, and name each difference from the files.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Check the files: each follow-up of each signal exactly once, and all numbers right."""
    from hip3_tasks import settings

    chosen = dirs or [settings.load().data_dir]
    if replay:
        from hip3_tasks.recording.command import compare_command

        return compare_command(chosen, as_json=as_json)
    from hip3_tasks.audit.audit import audit_command

    return audit_command(chosen, as_json)


@app.command()
def bundle(
    directory: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Data directory. [HIP3_DATA_DIR]", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File to write. [default: hip3-bundle_DAY.tar.gz]")
    ] = None,
    with_data: Annotated[bool, typer.Option("--data", help="Add the data files: all signals and prices.")] = False,
) -> int:
    """Pack status, settings without secrets, logs, an audit and versions into one file, for a report."""
    from hip3_tasks import settings
    from hip3_tasks.bundle.command import bundle_command

    if directory is not None and not directory.is_dir():
        raise typer.BadParameter(f"{directory}: no such directory", param_hint="DIR")
    return bundle_command(settings.load(data_dir=directory), out=out, with_data=with_data)


@app.command()
def compact(
    dirs: DataDirs = None,
    date: Day = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the JSONL files of compacted days.")] = False,
    as_json: AsJson = False,
) -> int:
    """Convert finished days to Parquet, about a tenth of the size. A day with faults is reported and stays."""
    from hip3_tasks import settings
    from hip3_tasks.analysis.compact.command import compact_command
    from hip3_tasks.analysis.reporting.plan import Trader

    mine = settings.load()
    return compact_command(
        dirs or [mine.data_dir], day=date, delete=delete, trader=Trader.from_settings(mine), as_json=as_json
    )


@app.command()
def recapture(
    signal_ids: Annotated[list[str] | None, typer.Argument(metavar="[SIGNAL_ID...]", help="IDs of signals.")] = None,
    open_ones: Annotated[bool, typer.Option("--open", help="All captures that are due and have no line.")] = False,
    since_hours: Annotated[
        float | None, typer.Option(min=0, max=100_000, help="With --open: only signals of the last hours.")
    ] = None,
    venue: Venue = None,
    data_dir: DataDir = None,
) -> int:
    """Publish captures of signals again. A capture that has a line in the files is not written twice."""
    from hip3_tasks import settings
    from hip3_tasks.recapture.command import recapture_open_command, recapture_signals_command

    if bool(signal_ids) == open_ones or (since_hours is not None and not open_ones):
        raise typer.BadParameter("expected either SIGNAL_ID... or --open [--since-hours HOURS]")
    chosen = settings.load(venue=venue, data_dir=data_dir)
    if open_ones:
        return recapture_open_command(chosen, since_hours=since_hours)
    return recapture_signals_command(chosen, signal_ids or [])


@app.command()
def quarantine(
    action: Annotated[Literal["list", "show", "retry", "drop"], typer.Argument(help="What to do with them.")],
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="IDs of the list.")] = None,
    all_of_them: Annotated[bool, typer.Option("--all", help="With retry and drop: every message.")] = False,
    venue: Venue = None,
    data_dir: DataDir = None,
) -> int:
    """List, show, queue again or delete the messages that no worker could handle."""
    from hip3_tasks import settings
    from hip3_tasks.quarantine import quarantine_command

    if action in ("retry", "drop") and bool(ids) == all_of_them:
        raise typer.BadParameter(f"{action}: expected either ID... or --all")
    return quarantine_command(settings.load(venue=venue, data_dir=data_dir), action, ids or [])


@app.command()
def replay(
    data_dir: Annotated[Path, typer.Argument(metavar="DIR", help="Data directory with a kept tape.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="New directory for the files of the replay.")],
    since: Since = None,
    until: Until = None,
    coin: Coin = None,
    offsets: Annotated[
        str | None, typer.Option(metavar="MS,...", help="Follow-ups after these times. [default: as recorded]")
    ] = None,
    min_edge: Annotated[
        float | None,
        typer.Option(metavar="BPS", min=0, help="Threshold: fee + slippage + this. [default: as recorded]"),
    ] = None,
    thresholds: Annotated[Path | None, typer.Option(metavar="FILE", help="Thresholds as in HIP3_THRESHOLDS.")] = None,
    cooldown: Annotated[
        int | None, typer.Option(metavar="MS", min=0, help="Between two signals of a side. [default: as recorded]")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Run detection and follow-ups again over the kept tape, under other rules if you like."""
    from hip3_tasks.analysis.loading.selection import Selection
    from hip3_tasks.clock import wall_ms
    from hip3_tasks.recording.command import replay_command
    from hip3_tasks.recording.other_rules import other_rules

    if min_edge is not None and thresholds is not None:
        raise typer.BadParameter("expected either --min-edge or --thresholds", param_hint="--thresholds")
    chosen = Selection.from_options(since=since, until=until, coins=coin or (), at_ms=wall_ms())
    other = other_rules(min_edge_bps=min_edge, thresholds=thresholds, cooldown_ms=cooldown, offsets_ms=offsets)
    return replay_command(data_dir, out, chosen, other, as_json=as_json)


@app.command(cls=JsonCommand)
def report(
    dirs: DataDirs = None,
    date: Day = None,
    since: Since = None,
    until: Until = None,
    coin: Coin = None,
    by: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            help="Group by market, side, session, edge, hour, oracle-age, spread, trigger, lag, size; or by two: A,B.",
        ),
    ] = "market",
    cost_bps: Annotated[
        float | None,
        typer.Option(metavar="BPS", help="Whole cost of a trade. Default: fees and slippage as recorded."),
    ] = None,
    min_notional: Annotated[
        float, typer.Option(metavar="USD", min=0, help="Leave out orders that are worth less.")
    ] = LEAST_ORDER_USD,
    latency: Annotated[
        str, typer.Option(metavar="MS,...", help="Show orders that arrive so long after T0, where a tape is kept.")
    ] = ",".join(map(str, LATENCIES_MS)),
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with figures.")] = None,
    as_json: AsJson = False,
    json_out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all numbers as JSON.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the groups by horizon as CSV.")] = None,
    thresholds: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the validated thresholds, for HIP3_THRESHOLDS.")
    ] = None,
) -> int:
    """Report whether the signals were right. Also works while the files are written."""
    from hip3_tasks import settings
    from hip3_tasks.analysis.loading.selection import Selection
    from hip3_tasks.analysis.measure.by import parse_by
    from hip3_tasks.analysis.orders.by_tape import parse_latencies
    from hip3_tasks.analysis.reporting.command import ReportOutputs, report_command
    from hip3_tasks.analysis.reporting.plan import Trader
    from hip3_tasks.clock import wall_ms

    if cost_bps is not None and not 0 <= cost_bps < float("inf"):
        raise typer.BadParameter(f"expected a number from 0 up, was {cost_bps:g}", param_hint="--cost-bps")
    chosen = Selection.from_options(date=date, since=since, until=until, coins=coin or (), at_ms=wall_ms())
    outputs = ReportOutputs(html=html, json=json_out, csv=csv, thresholds=thresholds)
    mine = settings.load()
    trader = Trader.from_settings(
        mine, cost_bps=cost_bps, min_notional_usd=min_notional, latencies_ms=parse_latencies(latency)
    )
    return report_command(
        dirs or [mine.data_dir], chosen, by=parse_by(by), trader=trader, outputs=outputs, json_only=as_json
    )


@app.command()
def schema(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help="Kinds of files, or commands.")] = None,
) -> int:
    """Print the JSON schemas of the lines of the files, and of what commands print with --json."""
    from hip3_tasks.cli.schema import schema_command

    return schema_command(names or ())


@app.command()
def status(
    venue: Venue = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 if health is red, and print why.")] = False,
) -> int:
    """Show the state of the system in a data directory: the last 15 minutes, and problems."""
    from hip3_tasks import settings
    from hip3_tasks.status.command import status_command

    return status_command(settings.load(venue=venue, data_dir=data_dir), as_json=as_json, check=check)


@app.command()
def tail(
    signals: Annotated[bool, typer.Option("--signals", help="Only signals, and what else is named.")] = False,
    followups: Annotated[bool, typer.Option("--followups", help="Only follow-ups, and what else is named.")] = False,
    missed: Annotated[bool, typer.Option("--missed", help="Only missed ones, and what else is named.")] = False,
    coin: Annotated[list[str] | None, typer.Option(metavar="COIN", help="Only xyz:TSLA or xyz:TSLA,xyz:NVDA.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Signals from 2026-01-20T14:30 (UTC) on, or of the last 90m, 3d.")
    ] = None,
    venue: Venue = None,
    data_dir: DataDir = None,
) -> int:
    """Print signals and their outcomes as JSON lines, as they are written. Ctrl-C ends it."""
    from hip3_tasks import settings
    from hip3_tasks.client.command import tail_command
    from hip3_tasks.files.day_files import KINDS

    since_ms, coins = None, None
    if since or coin:
        from hip3_tasks.analysis.loading.selection import Selection
        from hip3_tasks.clock import wall_ms

        chosen = Selection.from_options(since=since, coins=coin or (), at_ms=wall_ms())
        since_ms, coins = chosen.since_ms, chosen.coins
    asked = [kind for kind, is_asked in zip(KINDS, (signals, followups, missed), strict=True) if is_asked]
    directory = settings.load(venue=venue, data_dir=data_dir).data_dir
    tail_command(directory, kinds=asked or KINDS, coins=coins, since_ms=since_ms)
