"""The report: every number that the terminal, the page and the JSON show, made in one place."""

from enum import StrEnum

from pydantic import BaseModel

from hip3_tasks.analysis.loading.quality import Notes
from hip3_tasks.analysis.measure.grouping import By
from hip3_tasks.analysis.measure.horizons import QUANTILES, HalfLife, Horizon
from hip3_tasks.analysis.measure.threshold_search import Search
from hip3_tasks.stats.bootstrap import LEVEL, Estimate

LATENESS_QUANTILES = (0.5, 0.9, 0.99, 0.999, 1.0)


class Headline(StrEnum):
    """The answer to `Were the signals right?`."""

    YES = "Yes"
    NO = "No"
    NOT_PROVEN = "Not proven"
    NO_CLAIM = "No claim"
    """There is no band."""


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
    notes: Notes
    coverage: Coverage
    lateness: list[Lateness]
    total: Group
    groups: list[Group]
    search: Search | None
    """Of thresholds; None where no follow-up has a markout."""

    @property
    def headline(self) -> Headline:
        """Whether the signals paid: the mean net at the longest horizon, if its band does not hold 0."""
        net_bps = self.total.horizons[-1].net_bps if self.total.horizons else Estimate(value=None)
        if net_bps.low is None or net_bps.high is None:
            return Headline.NO_CLAIM
        return Headline.YES if net_bps.low > 0 else Headline.NO if net_bps.high < 0 else Headline.NOT_PROVEN

    @property
    def longest_ms(self) -> int | None:
        """The longest offset of all."""
        return self.total.horizons[-1].offset_ms if self.total.horizons else None

    def at_longest(self, group: Group) -> Horizon | None:
        """The group's follow-ups at the longest offset of all, if it has any."""
        return next((horizon for horizon in group.horizons if horizon.offset_ms == self.longest_ms), None)

    def sentences(self) -> list[str]:
        """Warnings about the numbers, for their reader."""
        unowed = self.coverage.unowed
        of_which = f"{unowed:,} follow-ups or more are of signals that are not there: what is open is not known"
        return [*self.notes.sentences(), *([of_which] if unowed else [])]
