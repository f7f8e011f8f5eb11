"""The one state that the page, `/api/state` and `/metrics` show."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hip3_tasks.domain.fees import LEAST_ORDER_USD
from hip3_tasks.domain.sessions import Session
from hip3_tasks.stats.bootstrap import MIN_CLUSTERS
from hip3_tasks.status.market_rows import MarketRow
from hip3_tasks.status.system_status import SystemStatus
from hip3_tasks.web.decay import TripRow
from hip3_tasks.web.recent_signals import SignalRow

MAX_DECIDED_SIGNALS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentOutcomes:
    """The outcomes of the last signals at their last horizon."""

    signals: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    """The number of signals by outcome, `missed` included."""
    mean_markout_bps: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenToday:
    """The orders of a taker at today's signals, worked out from follow-ups alone."""

    since_ms: int
    """The start of the UTC day."""
    is_complete: bool
    """Whether the day so far is read."""
    judged: TripRow | None
    """The trips by which the signals are judged; None before the first order."""
    min_notional_usd: float = LEAST_ORDER_USD
    """Orders below it are left out."""
    clusters_needed: int = MIN_CLUSTERS
    """Below so many clusters there is no band, and so no claim."""


@dataclass(frozen=True, kw_only=True)
class PageState:
    """Everything at one moment. The JSON of `/api/state` has the same fields."""

    name: str
    """The feed's name."""
    venue: str
    at_ms: int
    """The time of the feed's clock."""
    session: Session
    ok: bool = False
    """Whether `hip3 status --check` succeeds."""
    problems: Sequence[str] = ()
    notices: Sequence[str] = ()
    """The feed's notices, such as coins in the settings that the venue does not list. They turn nothing red."""
    flower_url: str | None = None
    is_simulated: bool | None = None
    """Whether the venue's prices are made up, by the feed's last report; None before the first."""
    known_until_ms: int | None = None
    """The last watermark that was read: the whole market is known up to here."""
    late_now_ms: dict[str, int | None] = field(default_factory=dict)
    """p50, p99 and max of the captures that were due in the last two minutes."""
    taken: TakenToday | None = None
    """The headline, computed at most every 10 s."""
    verdicts: RecentOutcomes = RecentOutcomes()
    pipeline: SystemStatus | None = None
    markets: Sequence[MarketRow] = ()
    signals: Sequence[SignalRow] = ()
    """The last signals, newest first."""


def diff(before: PageState, now: PageState) -> dict[str, Any]:
    """The fields that changed: of the markets the changed rows, and all `coins` if markets came or went.

    `signals` is left out, because their rows change in place.
    """
    old = vars(before)
    changes = {name: value for name, value in vars(now).items() if name != "signals" and value != old[name]}
    rows = {row.coin: row for row in before.markets}
    if "markets" in changes:
        changes["markets"] = [row for row in now.markets if rows.get(row.coin) != row]
    coins = [row.coin for row in now.markets]
    return {"at_ms": now.at_ms} | changes | ({} if rows.keys() == {*coins} else {"coins": coins})


def recent_outcomes(newest_first: Sequence[SignalRow]) -> RecentOutcomes:
    """Sum up the last signals whose last horizon is captured or missed."""
    decided = [row.cells[-1] for row in newest_first if row.cells and row.cells[-1].outcome][:MAX_DECIDED_SIGNALS]
    markouts_bps = [cell.markout_bps for cell in decided if cell.markout_bps is not None]
    return RecentOutcomes(
        signals=len(decided),
        outcomes=dict(Counter(str(cell.outcome) for cell in decided)),
        mean_markout_bps=round(sum(markouts_bps) / len(markouts_bps), 2) if markouts_bps else None,
    )
