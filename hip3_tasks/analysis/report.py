"""The report: every number that the terminal, the page and the JSON show, made in one place."""

from pydantic import BaseModel

from hip3_tasks.analysis.bootstrap import LEVEL
from hip3_tasks.analysis.grouping import By
from hip3_tasks.analysis.measures import QUANTILES, HalfLife, Horizon
from hip3_tasks.analysis.notes import Notes
from hip3_tasks.analysis.thresholds import Search

LATENESS_QUANTILES = (0.5, 0.9, 0.99, 0.999, 1.0)


class Coverage(BaseModel):
    """due = captured + missed + open."""

    signals: int
    due: int
    due_is_assumed: bool
    """Foreign signals that do not say which follow-ups they are owed: one for each offset there is."""
    captured: int
    missed: dict[str, int]
    open: int
    markets_with_signals: int
    markets_watched: int | None
    """None where it was not noted."""


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
    one_sided: float
    """Share of its follow-ups that are of the side most are of."""
    half_life: HalfLife
    horizons: list[Horizon]


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
