"""`hip3 replay` and `hip3 audit --replay`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from hip3_tasks.analysis.loading.selection import Selection
from hip3_tasks.domain.capture import MAX_OFFSET_MS, MINUTE_MS
from hip3_tasks.errors import BadSelection, Unavailable
from hip3_tasks.recording.compare import Comparison, compare
from hip3_tasks.recording.other_rules import OtherRules
from hip3_tasks.recording.replay import Replay
from hip3_tasks.recording.replay_files import REPLAYED, ReplayFiles, lines_by_file
from hip3_tasks.recording.workers import processes_for, workers
from hip3_tasks.tape.load import Recording
from hip3_tasks.terminal_text import counted, print_results, printable

MAX_NAMED = 20
KEYFRAME_MS = MINUTE_MS
"""In this time before the first wanted signal each market has a keyframe, at which detection may begin."""


class ReplayCounts(BaseModel):
    """The result of `hip3 replay`."""

    out: Path
    from_ms: int
    until_ms: int
    signals: int = 0
    followups: int = 0
    missed: int = 0
    damaged: list[str] = []


def replay_command(data_dir: Path, out: Path, chosen: Selection, other: OtherRules, *, as_json: bool) -> int:
    """Write what a replay gives to a new directory; 1 when a piece of the tape is damaged.

    Raises Unavailable without a tape and for a directory that holds data, BadSelection for an unknown coin.
    """
    require_new(out)
    recording = Recording(
        data_dir,
        since_ms=None if chosen.since_ms is None else chosen.since_ms - KEYFRAME_MS,
        until_ms=None if chosen.until_ms is None else chosen.until_ms + MAX_OFFSET_MS,
    )
    for coin in chosen.coins or ():
        if coin not in recording.coins:
            raise BadSelection(f"--coin: the tape of {data_dir} has no {coin}")
    replay = Replay(recording, coins=chosen.coins, since_ms=chosen.since_ms, until_ms=chosen.until_ms, other=other)
    counts = ReplayCounts(
        out=out,
        from_ms=recording.parts[0].info.from_ms,
        until_ms=recording.covered_until_ms,
        damaged=recording.damaged,
    )
    rows = sum(sum(some.values()) for some in recording.row_counts)
    with (
        new_directory(out) as part,
        progress("replaying", len(recording.parts)) as advance,
        ReplayFiles(part) as files,
        workers(processes_for(rows)) as mapped,
    ):
        for step in replay.steps(lines_by_file, mapped=mapped, advance=advance):
            files.write(step)
    counts.signals, counts.followups, counts.missed = (files.counts[kind] for kind in REPLAYED)
    _show_replay(counts, as_json=as_json)
    return 1 if counts.damaged else 0


def compare_command(dirs: Sequence[Path], *, as_json: bool) -> int:
    """Hold the files of directories against their tapes, and print the results; 0 when nothing differs."""
    results = []
    for data_dir in dirs:
        with progress("replaying", 1) as advance:
            results.append(compare(data_dir, advance=advance))
    return print_results(results, as_json=as_json, show=lambda: _show_comparisons(results, Console()))


def require_new(out: Path) -> None:
    """Raise Unavailable for a directory that holds data."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Unavailable(f"{out}: it holds data already; give a new directory")


@contextmanager
def new_directory(out: Path) -> Iterator[Path]:
    """A directory that gets its name when all is in it, and vanishes if that does not happen. Raises Unavailable."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part = Path(mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise Unavailable(f"{out}: {error.strerror}") from None
    try:
        yield part
        part.chmod(0o755)
        if out.exists():
            out.rmdir()
        part.rename(out)
    finally:
        rmtree(part, ignore_errors=True)


@contextmanager
def progress(title: str, total: float) -> Iterator[Callable[[float], object]]:
    """A bar on a terminal; the value is called with what was done since its last call."""
    console = Console(stderr=True)
    columns = TextColumn(title), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task("", total=total)
        yield lambda done: shown.advance(task, done)


def _show_replay(counts: ReplayCounts, *, as_json: bool) -> None:
    if as_json:
        print(counts.model_dump_json(indent=2))
        return
    console = Console()
    kinds = {"signal": counts.signals, "follow-up": counts.followups, "missed follow-up": counts.missed}
    console.print(Text(f"{counts.out}: {', '.join(counted(n, name, f'{name}s') for name, n in kinds.items())}"))
    for text in counts.damaged:
        console.print(Text(f"damaged: {printable(text)}", "red"))


def _show_comparisons(results: Sequence[Comparison], console: Console) -> None:
    for result in results:
        _show_comparison(result, console)


def _show_comparison(result: Comparison, console: Console) -> None:
    console.print(Text(str(result.data_dir), "bold"))
    lines = {
        "signals, follow-ups and missed that are the same": result.signals + result.outcomes,
        "signals that a replay cannot judge: not on the tape, or before a keyframe": result.not_covered,
        "signals of a time that the tape does not know: Redis was away": result.off_tape,
        "follow-ups of states that Redis lost before they were recorded": result.known_then,
        "better known now": sum(result.better_known.values()),
    }
    for text, count in lines.items():
        if count or text.startswith("signals, follow-ups"):
            console.print(Text(f"  {count:>9,}  {text}"))
    faults = {
        "damaged piece": result.damaged,
        "signal lost": result.lost,
        "signal invented": result.invented,
        "on file twice": result.twice,
        "open": result.open,
        "differs": [f"{name}: {', '.join(fields)}" for name, fields in result.differing.items()],
    }
    for title, names in faults.items():
        for name in names[:MAX_NAMED]:
            console.print(Text(f"  {title}: {printable(name)}", "red"))
        if len(names) > MAX_NAMED:
            console.print(Text(f"  {title}: {len(names) - MAX_NAMED:,} more", "red"))
    same = Text("  a replay gives the same", "green")
    console.print(same if result.ok else Text("  a replay gives something else", "red"))
