"""The report: every number that the terminal, the page and the JSON show, made in one place."""

from pydantic import BaseModel

from hip3_tasks.analysis.loading.quality import DataQuality
from hip3_tasks.analysis.measure.grouping import By
from hip3_tasks.analysis.measure.horizons import QUANTILES, HalfLife, Horizon
from hip3_tasks.analysis.measure.threshold_search import Search
from hip3_tasks.stats.bootstrap import LEVEL

LATENESS_QUANTILES = (0.5, 0.9, 0.99, 0.999, 1.0)


class Coverage(BaseModel):
    """due = captured + missed + open, unless some are unowed."""

    signals: int
    due: int
    due_is_assumed: bool
    """Foreign signals that do not say which follow-ups they are owed: one for each offset there is."""
    captured: int
    missed: dict[str, int]
    unowed: int
    """So many follow-ups, or more, are of signals that are not there."""
    open: int | None
    """Not known where some are unowed."""
    markets_with_signals: int
    markets_watched: int | None
    """None where it was not noted."""

    @property
    def captured_share(self) -> float | None:
        """Of what is due; not known where some of what was captured is not of it."""
        return self.captured / self.due if self.due and not self.unowed else None


class Lateness(BaseModel):
    """captured − due at one offset, over all follow-ups."""

    offset_ms: int
    n: int
    quantiles_ms: list[int]
    """At LATENESS_QUANTILES: the least lateness that so many did not exceed, as the live figures have it."""


class Group(BaseModel):
    """Some of the signals, or all."""

    name: str
    signals: int
    due: int
    captured: int
    cost_bps: float | None
    """Taker fee + slippage, the mean over its signals, or what was asked for."""
    one_sided: float | None
    """Share of its follow-ups that are of the side most are of."""
    half_life: HalfLife | None
    """None where what is left of the edge is not known at each horizon."""
    horizons: list[Horizon]
    """Empty where none of its signals has a follow-up."""


class Report(BaseModel):
    """What directories say of their signals. Bands hold the middle 90 % of a bootstrap over (dex, minute) clusters."""

    made_at_ms: int
    first_ms: int
    """The first signal's time."""
    last_ms: int
    by: By
    cost_bps: float | None
    """Asked for; None: of each market its own, taker fee + slippage as its signals have it."""
    level: float = LEVEL
    cluster_ms: int
    quantiles: tuple[float, ...] = QUANTILES
    lateness_quantiles: tuple[float, ...] = LATENESS_QUANTILES
    notes: DataQuality
    coverage: Coverage
    lateness: list[Lateness]
    total: Group
    groups: list[Group]
    search: Search | None
    """Of thresholds; None where no follow-up has a markout."""

    def at_longest(self, group: Group) -> Horizon | None:
        """The group's follow-ups at the longest horizon of all, if it has any."""
        longest_ms = max((of.offset_ms for of in self.total.horizons), default=None)
        return next((of for of in group.horizons if of.offset_ms == longest_ms), None)

    def sentences(self) -> list[str]:
        """What a reader of the figures must know, if anything."""
        unowed = self.coverage.unowed
        of_which = f"{unowed:,} follow-ups or more are of signals that are not there: what is open is not known"
        return [*self.notes.sentences(), *([of_which] if unowed else [])]
