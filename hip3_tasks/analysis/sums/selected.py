"""The choice of the days that a report takes from their kept sums; it reads all others row by row."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from hip3_tasks.analysis.loading.jsonl import Advance
from hip3_tasks.analysis.loading.load import Data, Unread, read
from hip3_tasks.analysis.loading.schemas import SCHEMAS
from hip3_tasks.analysis.loading.selection import Selection
from hip3_tasks.analysis.loading.sources import SourceFile
from hip3_tasks.analysis.measure.by import By
from hip3_tasks.analysis.measure.cluster_sums import cluster_ms
from hip3_tasks.analysis.measure.facts import Facts
from hip3_tasks.analysis.measure.grouping import SLOT_MS
from hip3_tasks.analysis.reporting.plan import Trader
from hip3_tasks.analysis.sums.day_sums import SERVED, DaySums
from hip3_tasks.analysis.sums.make import FinishedDay, kept_sums
from hip3_tasks.domain.capture import DAY_MS, day_start_ms
from hip3_tasks.terminal_text import counted


@dataclass(frozen=True, slots=True)
class Selected:
    """The records and sums of the selected days."""

    data: Data
    days: Sequence[DaySums] = ()
    why_not: str | None = None
    """The reason why finished days were read row by row although there are many; None without such days."""


def read_selected(
    sources: Sequence[SourceFile], selection: Selection, by: Sequence[By], trader: Trader, advance: Advance
) -> Selected:
    """Read listed files, but for finished days that their sums can stand for, which are kept or made now.

    Raises Unavailable when a file cannot be read.
    """
    finished = _finished(sources, selection)
    if not finished or not _are_many(sources):
        return Selected(read(sources, selection, advance=advance))
    if why_not := _objection(by, trader):
        data = read(sources, selection, advance=advance)
        return Selected(data, why_not=_read_by_row(len(finished), why_not))
    kept = [(files, kept_sums(files, trader, by[0], advance)) for files in finished]
    days = [(files, sums) for files, sums in kept if sums is not None]
    data = read(sources, selection, unread=_unread(days), advance=advance)
    facts = Facts.united([Facts.from_data(data), *(sums.about.facts for _, sums in days)])
    if facts.first_ms is None or facts.last_ms is None or cluster_ms(facts.first_ms, facts.last_ms) < SLOT_MS:
        return Selected(read(sources, selection, advance=advance))
    fit = [(files, sums) for files, sums in days if sums.about.fits(facts)]
    if len(fit) == len(days):
        return Selected(data, [sums for _, sums in days])
    data = read(sources, selection, unread=_unread(fit), advance=advance)
    why_not = _read_by_row(len(days) - len(fit), "their thresholds or offsets are others")
    return Selected(data, [sums for _, sums in fit], why_not)


def _finished(sources: Sequence[SourceFile], selection: Selection) -> list[FinishedDay]:
    """The finished days that are selected whole, and whose records no other file repeats."""
    days: dict[str, dict[str, SourceFile]] = defaultdict(dict)
    for source in sources:
        if source.is_only_copy and selection.is_whole_day(day_start_ms(source.day)):
            days[source.day][source.kind] = source
    return [files for files in days.values() if len(files) == len(SCHEMAS)]


def _are_many(sources: Sequence[SourceFile]) -> bool:
    """Whether clusters may be as long as the half hours of kept sums."""
    days = [source.day for source in sources]
    return cluster_ms(day_start_ms(min(days)), day_start_ms(max(days)) + DAY_MS) == SLOT_MS


def _objection(by: Sequence[By], trader: Trader) -> str | None:
    """The reason why kept sums cannot serve; None if they can."""
    if len(by) > 1 or by[0] not in SERVED:
        return f"sums are kept for one of {', '.join(SERVED)}"
    if trader != Trader(fees=trader.fees, slippage_bps=trader.slippage_bps, latency_ms=trader.latency_ms):
        return "sums are kept for the costs and the latency of the settings, and the usual least order"
    return None


def _read_by_row(days: int, why: str) -> str:
    return f"read row by row: {counted(days, 'finished day')}, since {why}"


def _unread(days: Sequence[tuple[FinishedDay, DaySums]]) -> Unread:
    rows = {files[kind].path: rows for files, sums in days for kind, rows in sums.about.rows.items()}
    return Unread(rows, frozenset(coin for _, sums in days for coin in sums.about.facts.thresholds_bps))
