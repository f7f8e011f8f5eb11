"""The command line `hip3`. Each command imports what it needs, so that help comes at once."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from hip3_tasks import streams
from hip3_tasks.errors import Hip3Error
from hip3_tasks.extras import EXTRAS, install_command
from hip3_tasks.json_option import JsonCommand
from hip3_tasks.terminal_text import printable_lines

app = typer.Typer(no_args_is_help=True)

HANDED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

Venue = Annotated[str | None, typer.Option(help="sim, mainnet, testnet or a base URL. [HIP3_VENUE, default sim]")]
DataDir = Annotated[Path | None, typer.Option(help="[HIP3_DATA_DIR, default data/VENUE/signals]")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def main() -> int:
    streams.encode_always()
    return exit_status(lambda: app(prog_name="hip3", standalone_mode=False))


def exit_status(command: Callable[[], int | None]) -> int:
    """What a command answers; an operator's mistake is one line on stderr and 2, never a stack trace."""
    try:
        status = command() or 0
        streams.flush_output()
        return status
    except typer.TyperException as error:
        _say(error.format_message())
        return error.exit_code
    except Hip3Error as error:
        _say(str(error))
        return 2
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        _say(f"{error.name} is not installed: {install_command(EXTRAS[error.name])}")
        return 2
    except BrokenPipeError:  # a reader that had enough, such as `head`
        streams.discard_output()
        return 1
    except OSError as error:
        streams.discard_output()
        _say(": ".join(str(part) for part in (error.filename, error.strerror or error) if part))
        return 2
    except (KeyboardInterrupt, typer.Abort):
        return 130


def _say(text: str) -> None:
    """One line on stderr for each line of the text; none where a command's help has said all."""
    if text:
        print(f"hip3: {printable_lines(text)}", file=sys.stderr)


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
    """Follow-ups to dislocations on HIP-3 markets."""


@app.command()
def up(
    venue: Venue = None,
    data_dir: DataDir = None,
    duration: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Counted from the first live market; default: for ever."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One last line of JSON on stdout, the rest on stderr.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Only problems, as they come and go, and the summary.")
    ] = False,
    flower: Annotated[bool, typer.Option("--flower/--no-flower", help="Flower, the page that shows the tasks.")] = True,
    page: Annotated[bool, typer.Option("--page/--no-page", help="The live page.")] = True,
    rate: Annotated[float | None, typer.Option(min=0.1, max=100, help="Simulated signals a second.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed and rate give the same simulated market.")] = None,
    from_file: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", exists=True, dir_okay=False, help="Simulate the markets of this frame."),
    ] = None,
) -> int:
    """Run everything: server, simulated venue, feed, workers, Flower. Ctrl-C ends it in order."""
    from hip3_tasks import services, settings
    from hip3_tasks.up.command import up as run_up
    from hip3_tasks.up.plan import UpOptions, runs_venue

    if duration is not None and not 0 < duration < float("inf"):
        raise typer.BadParameter(f"expected a number of seconds above 0, was {duration:g}", param_hint="--duration")
    services.require("`hip3 up`")
    chosen = settings.load(venue=venue, data_dir=data_dir)
    simulated = {"--rate": rate, "--seed": seed, "--from": from_file}
    arguments = [word for name, value in simulated.items() if value is not None for word in (name, str(value))]
    if arguments and not runs_venue(chosen):
        raise typer.BadParameter(f"only the simulated venue has that, not {chosen.venue}", param_hint=arguments[0])
    options = UpOptions(
        duration_s=duration,
        as_json=as_json,
        quiet=quiet,
        flower=flower,
        page=page,
        venue_arguments=tuple(arguments),
    )
    return run_up(chosen, options)


@app.command()
def page(venue: Venue = None, data_dir: DataDir = None) -> int:
    """Serve the live page alone, over the system in a data directory: settings HIP3_PAGE_*."""
    from hip3_tasks import settings
    from hip3_tasks.web.command import page_command

    return page_command(settings.load(venue=venue, data_dir=data_dir))


@app.command()
def feed() -> None:
    """Run the feed alone, as its settings say (HIP3_*): it needs Redis, a venue, and workers beside it."""
    _become("feed")


@app.command(context_settings=HANDED_ON)
def simulate(context: typer.Context) -> None:
    """Run the simulated venue alone; all arguments are its own, see `hip3 simulate --help`."""
    _become("simulator", *context.args)


def _become(service: str, *arguments: str) -> NoReturn:
    from hip3_tasks import services, settings

    services.require(f"`hip3 {'simulate' if service == 'simulator' else service}`")
    command = services.command(service, *arguments)
    os.execve(command[0], command, services.environment(settings.inherited()))


@app.command()
def audit(
    dirs: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Data directories.")],
    as_json: AsJson = False,
) -> int:
    """Check that every signal has each of its follow-ups exactly once, and that all numbers are right."""
    from hip3_tasks.audit.audit import audit_command

    return audit_command(dirs, as_json)


@app.command()
def compact(
    dirs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIR...]", help="Data directories. [HIP3_DATA_DIR]", show_default=False),
    ] = None,
    date: Annotated[str | None, typer.Option(metavar="DAY", help="One UTC day, as in 2026-01-20.")] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the lines that are in Parquet then.")] = False,
    as_json: AsJson = False,
) -> int:
    """Turn finished days into Parquet, about a tenth of the size; what is not wholly right stays as it is."""
    from hip3_tasks import settings
    from hip3_tasks.analysis.compact.command import compact_command

    return compact_command(dirs or [settings.load().data_dir], day=date, delete=delete, as_json=as_json)


@app.command()
def recapture(
    signal_ids: Annotated[list[str] | None, typer.Argument(metavar="[SIGNAL_ID...]", help="As in the files.")] = None,
    open_ones: Annotated[bool, typer.Option("--open", help="Every capture that is due and has no line.")] = False,
    since_hours: Annotated[
        float | None, typer.Option(min=0, max=100_000, help="With --open: of the signals since then.")
    ] = None,
    venue: Venue = None,
    data_dir: DataDir = None,
) -> int:
    """Publish the captures of signals again. What is on disk stays as it is."""
    from hip3_tasks import settings
    from hip3_tasks.recapture.command import recapture_open_command, recapture_signals_command

    if bool(signal_ids) == open_ones or (since_hours is not None and not open_ones):
        raise typer.BadParameter("expected either SIGNAL_ID... or --open [--since-hours HOURS]")
    chosen = settings.load(venue=venue, data_dir=data_dir)
    if open_ones:
        return recapture_open_command(chosen, since_hours=since_hours)
    return recapture_signals_command(chosen, signal_ids or [])


@app.command(cls=JsonCommand)
def report(
    dirs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIR...]", help="Data directories. [HIP3_DATA_DIR]", show_default=False),
    ] = None,
    date: Annotated[str | None, typer.Option(metavar="DAY", help="Signals of one UTC day, as in 2026-01-20.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="2026-01-20T14:30 (UTC), or 90m, 12h, 3d ago.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="Before this instant.")] = None,
    coin: Annotated[
        list[str] | None, typer.Option(metavar="COIN", help="Only xyz:TSLA, or several: xyz:TSLA,xyz:NVDA.")
    ] = None,
    by: Annotated[str, typer.Option(metavar="WHAT", help="market, side, session, edge or hour.")] = "market",
    cost_bps: Annotated[
        float | None, typer.Option(metavar="BPS", help="Cost of a trade; default: each market's fee and slippage.")
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Leave a page with figures.")] = None,
    as_json: AsJson = False,
    json_out: Annotated[Path | None, typer.Option(metavar="FILE", help="Leave every number.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Leave the groups by horizon.")] = None,
    thresholds: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Leave the thresholds that hold, for HIP3_THRESHOLDS.")
    ] = None,
) -> int:
    """Were the signals right? From JSONL, while it is being written too, and from compacted days."""
    from hip3_tasks import settings
    from hip3_tasks.analysis.loading.selection import Selection
    from hip3_tasks.analysis.measure.grouping import By
    from hip3_tasks.analysis.report.command import ReportOutputs, report_command
    from hip3_tasks.clock import wall_ms

    if by not in list(By):
        raise typer.BadParameter(f"expected {', '.join(By)}, was {by}", param_hint="--by")
    if cost_bps is not None and not 0 <= cost_bps < float("inf"):
        raise typer.BadParameter(f"expected a number from 0 up, was {cost_bps:g}", param_hint="--cost-bps")
    chosen = Selection.from_options(date=date, since=since, until=until, coins=coin or (), at_ms=wall_ms())
    outputs = ReportOutputs(html=html, json=json_out, csv=csv, thresholds=thresholds)
    return report_command(
        dirs or [settings.load().data_dir], chosen, by=By(by), cost_bps=cost_bps, outputs=outputs, json_only=as_json
    )


@app.command()
def status(
    venue: Venue = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 when health is red, saying why.")] = False,
) -> int:
    """Show how the system in a data directory stands: the last 15 minutes, and what is red."""
    from hip3_tasks import settings
    from hip3_tasks.status.command import status_command

    return status_command(settings.load(venue=venue, data_dir=data_dir), as_json=as_json, check=check)


if __name__ == "__main__":
    sys.exit(main())
