"""`hip3 status`: the panel of `hip3 up`, for a system that runs elsewhere."""

import json
import sys

from rich.console import Console

from hip3_tasks.clock import wall_ms
from hip3_tasks.errors import Unavailable
from hip3_tasks.run_file import RunFile, located
from hip3_tasks.settings import Settings
from hip3_tasks.status.line_counts import WorkerStart, recent
from hip3_tasks.status.market_rows import MarketTable, markets_or_empty
from hip3_tasks.status.next_steps import has_data, report_command, shown
from hip3_tasks.status.redis_snapshot import RedisSnapshot, notices, problems
from hip3_tasks.status.system_status import FrameRate, SystemStatus
from hip3_tasks.status.terminal import panel, plain
from hip3_tasks.status.trips import Taker
from hip3_tasks.status.view import View
from hip3_tasks.store.store import Store
from hip3_tasks.terminal_text import printable
from hip3_tasks.venue import SIMULATED

LOOK_BACK_MS = 900_000
REDIS_TIMEOUT_S = 2.0


class StatusDocument(SystemStatus):
    """The JSON of the state of a system."""

    ok: bool
    problems: list[str]


def status_command(chosen: Settings, *, as_json: bool, check: bool) -> int:
    """Print the state of the system. With `check` print only problems, and return 1 if there is one."""
    view = read_view(chosen)
    if as_json:
        print(status_json(view))
    elif check:
        red = "\n".join(map(printable, view.problems))
        print(red or "all is well", file=sys.stderr if red else sys.stdout)
    elif (console := Console()).is_terminal:
        console.print(panel(view, width=console.width))
    else:
        print("\n".join(plain(view)))
    return 1 if check and view.problems else 0


def status_json(view: View) -> str:
    """The fields of `pipeline` in `/api/state`, with `ok` and `problems`."""
    problems = list(view.problems)
    document = StatusDocument(**view.status.model_dump(), ok=not problems, problems=problems)
    return json.dumps(document.model_dump())


def read_view(chosen: Settings) -> View:
    """The state of the system now; Redis that cannot be read is one of its problems."""
    now_ms, table = wall_ms(), MarketTable(None, [])
    try:
        chosen = located(chosen)
        store = Store.from_settings(chosen, timeout_s=REDIS_TIMEOUT_S)
        snapshot = RedisSnapshot.take(store)
        table = markets_or_empty(store, at_ms=snapshot.at_ms)
    except Unavailable as error:
        snapshot = RedisSnapshot(at_ms=now_ms, fault=str(error))
    counts = recent(
        chosen.data_dir,
        now_ms - LOOK_BACK_MS,
        until_ms=now_ms,
        start=WorkerStart(snapshot.feed.first_worker_at_ms if snapshot.feed else None),
        taker=Taker.from_settings(chosen),
    )
    run = RunFile.read(chosen.data_dir)
    places = {"flower": run and run.flower_url, "data": shown(chosen.data_dir)}
    page = [f"open {run.page_url}"] if run and run.page_url else []
    report = [report_command(chosen.data_dir)] if has_data(chosen.data_dir) else []
    return View(
        title=_title(chosen.feed_name, snapshot),
        status=SystemStatus.from_parts(counts, snapshot, data_dir=chosen.data_dir, rate=FrameRate(), dark=table.dark),
        markets=table.rows,
        problems=problems(snapshot, chosen),
        notices=notices(snapshot),
        places={name: place for name, place in places.items() if place},
        next_steps=page + report,
    )


def _title(name: str, snapshot: RedisSnapshot) -> str:
    """Numbers come first, since a narrow terminal cuts the end. The feed knows its venue; these settings may differ."""
    venue = [SIMULATED] if snapshot.feed and snapshot.feed.is_simulated else []
    return ", ".join([f"last {LOOK_BACK_MS // 60_000} minutes", *venue, name])
