"""`hip3 up`: the whole system in one command."""

import json
import signal
from collections.abc import Callable
from types import FrameType

from pydantic import BaseModel
from rich.console import Console

from hip3_tasks.run_file import RunFile
from hip3_tasks.settings import Settings
from hip3_tasks.status.next_steps import has_data, report_command, shown
from hip3_tasks.status.terminal import Display
from hip3_tasks.status.view import summary
from hip3_tasks.terminal_text import counted
from hip3_tasks.up.plan import Plan, UpOptions, make_plan
from hip3_tasks.up.run import Run
from hip3_tasks.up.supervisor import Supervisor

STOP_TIMEOUT_S = 5.0


def up(chosen: Settings, options: UpOptions, *, make_plan: Callable[[Settings, UpOptions], Plan] = make_plan) -> int:
    """Run until the duration is over or a signal stops it, and return the exit status. Raises Unavailable."""
    stop = StopRequest()
    supervisor = Supervisor(chosen.data_dir)
    try:
        try:
            with Display(Console(stderr=options.as_json), is_quiet=options.quiet) as display:
                run = Run(chosen, make_plan(chosen, options), supervisor=supervisor, display=display)
                run.run_until(lambda: stop.is_set, duration_s=options.duration_s)
        finally:
            supervisor.stop_all(timeout_s=STOP_TIMEOUT_S)
        return _print_summary(run, display, chosen, as_json=options.as_json)
    except KeyboardInterrupt:
        supervisor.stop_all(timeout_s=0)
        return 130
    finally:
        RunFile.path(chosen.data_dir).unlink(missing_ok=True)
        supervisor.close()


class StopRequest:
    """Ctrl-C, SIGTERM or a closed terminal sets it; a second Ctrl-C raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self.is_set = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self.is_set and number == signal.SIGINT:
            # A third Ctrl-C must not interrupt the immediate stop.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            raise KeyboardInterrupt
        self.is_set = True


class UpSummary(BaseModel):
    """The JSON of a run that has ended."""

    signals: int
    followups: int
    missed: int
    pending: int | None
    """Captures without a line; None where Redis did not answer."""
    lateness_ms: dict[str, int | None]


def _print_summary(run: Run, display: Display, chosen: Settings, *, as_json: bool) -> int:
    tally = run.monitor.tally
    display.say("\n".join(summary(run.monitor.summary(left_open=run.left_open), width=display.width)))
    display.note(f"data in {shown(chosen.data_dir)}")
    if has_data(chosen.data_dir):
        display.note(f"next: {report_command(chosen.data_dir, '--html', 'report.html')}")
    if as_json:
        counts = {"signals": tally.signals, "followups": tally.followups, "missed": tally.missed}
        document = UpSummary(**counts, pending=run.left_open, lateness_ms=tally.lateness.summary())
        print(json.dumps(document.model_dump()), flush=True)
    if run.left_open:
        display.say(f"{counted(run.left_open, 'capture is', 'captures are')} left open for the next `hip3 up` here")
    elif run.fault:
        display.say(run.fault)
    return 1 if run.left_open or run.fault else 0
