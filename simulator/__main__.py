"""`python -m simulator`: run a simulated venue on a local port until SIGINT or SIGTERM."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from random import Random
from typing import Annotated

import structlog
import typer

from simulator.catalogue import default_listings, with_spare_markets
from simulator.faults.spec import FORM, FaultSpecError
from simulator.faults.table import lines
from simulator.listing import MarketListing, universe
from simulator.model import VenueModel
from simulator.pacing import play
from simulator.server import VenueServer
from simulator.snapshot import SnapshotError, listings_from_frame

PARENT_CHECK_INTERVAL_S = 0.5
LIST = "list"

app = typer.Typer(add_completion=False)


@app.command()
def main(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8701,
    rate: Annotated[float, typer.Option(min=0.1, max=100, help="Signals per second, all markets together.")] = 3.0,
    seed: Annotated[int, typer.Option(help="The same seed and rate give the same market.")] = 7,
    from_file: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Start from the xyz markets of a recorded allDexsAssetCtxs frame."),
    ] = None,
    expire_every: Annotated[
        float,
        typer.Option(min=0, metavar="SECONDS", help="Close each socket as Expired at this age; 0: never."),
    ] = 150.0,
    faults: Annotated[
        list[str] | None,
        typer.Option("--fault", metavar="FAULT", help=f"Switch on a fault: {FORM}. May be repeated; list prints all."),
    ] = None,
    parent_pid: Annotated[
        int | None, typer.Option(metavar="PID", help="Stop when this process is no longer the parent.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Check the options, and run nothing.")] = False,
) -> None:
    """Run a simulated venue with Hyperliquid's protocol: BASE/info answers POST, BASE/ws is the websocket.

    Prints its base URL once it listens. Ctrl-C and SIGTERM stop it.
    """
    if LIST in (faults or ()):
        print(*lines(), sep="\n")
        return
    listings = _listings(from_file, rate_per_s=rate, seed=seed)
    model = VenueModel(listings, rate_per_s=rate, seed=seed)
    venue = VenueServer(universe(listings), host=host, port=port, expire_after_s=expire_every or None)
    _switch_on(venue, faults or [])
    if check:
        return
    # Logs go to stderr, so that stdout holds only the base URL.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(_serve(venue, model, parent_pid=parent_pid))


def _switch_on(venue: VenueServer, faults: list[str]) -> None:
    for text in faults:
        try:
            venue.switch_on(text)
        except FaultSpecError as error:
            raise typer.BadParameter(str(error), param_hint="--fault") from error


def _listings(from_file: Path | None, *, rate_per_s: float, seed: int) -> list[MarketListing]:
    if from_file is None:
        return default_listings(rate_per_s=rate_per_s, seed=seed)
    try:
        listings = listings_from_frame(from_file, seed=seed)
    except SnapshotError as error:
        raise typer.BadParameter(str(error), param_hint="--from") from error
    return with_spare_markets(listings, rate_per_s=rate_per_s, rng=Random(seed))  # nosec B311  # no secret, a market


async def _serve(venue: VenueServer, model: VenueModel, *, parent_pid: int | None) -> None:
    """Play the model until a signal arrives or the parent ends. Raises the exception of the first task that fails."""
    try:
        await venue.start()
    except OSError as error:
        raise typer.TyperException(f"cannot listen: {error.strerror or error}") from error
    stop_requested = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop_requested.set)
    print(venue.base_url, flush=True)
    coroutines = [play(model.pushes(), venue), stop_requested.wait()]
    if parent_pid is not None:
        coroutines.append(_parent_gone(parent_pid))
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await venue.stop()
    for task in done:
        task.result()


async def _parent_gone(parent_pid: int) -> None:
    while True:
        if os.getppid() != parent_pid:
            return
        await asyncio.sleep(PARENT_CHECK_INTERVAL_S)


def run() -> int:
    """Run the command and return its exit status. An error is one line on stderr, without the usage text."""
    try:
        return int(app(standalone_mode=False) or 0)
    except typer.TyperException as error:
        print(f"simulator: {error.format_message()}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(run())
