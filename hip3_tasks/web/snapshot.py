"""The one snapshot that everything on the page, `/api/state` and `/metrics` is made of."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hip3_tasks.domain.sessions import Session
from hip3_tasks.status.market_rows import MarketRow
from hip3_tasks.status.system_status import SystemStatus
from hip3_tasks.web.recent_signals import SignalRow

VERDICTS_OF = 100
"""So many of the last signals whose last horizon is decided tell whether signals are right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentOutcomes:
    """Of the last signals at their last horizon."""

    signals: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    """How many by outcome: a verdict, or `missed`."""
    mean_markout_bps: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageState:
    """Everything at one moment. The JSON of `/api/state` is this, field by field."""

    name: str
    """Of the feed."""
    venue: str
    at_ms: int
    """On the feed's clock."""
    known_until_ms: int | None
    """The watermark, as far as it was ever seen: all of the market is known up to here."""
    ok: bool
    """As `hip3 status --check` has it."""
    problems: Sequence[str]
    session: Session
    flower_url: str | None
    late_now_ms: dict[str, int | None]
    """p50, p99 and max of the captures that fell due in the last two minutes."""
    verdicts: RecentOutcomes
    pipeline: SystemStatus | None
    markets: Sequence[MarketRow]
    signals: Sequence[SignalRow]
    """Newest first."""
    is_simulated: bool | None
    """Whether the venue's prices are made up, as the feed said last; None before it said so."""

    def head(self) -> dict[str, Any]:
        """What is so small that it is said each time."""
        return {
            "name": self.name,
            "at_ms": self.at_ms,
            "known_until_ms": self.known_until_ms,
            "ok": self.ok,
            "problems": list(self.problems),
            "session": self.session,
            "late_now_ms": self.late_now_ms,
            "is_simulated": self.is_simulated,
        }

    def document(self) -> dict[str, Any]:
        """For orjson, which writes dataclasses by itself."""
        return {
            "venue": self.venue,
            **self.head(),
            "flower_url": self.flower_url,
            "verdicts": self.verdicts,
            "pipeline": self.pipeline.model_dump() if self.pipeline else None,
            "markets": self.markets,
            "signals": self.signals,
        }


def recent_outcomes(newest_first: Sequence[SignalRow]) -> RecentOutcomes:
    """Were the last signals right? Those whose last horizon is still open say nothing yet."""
    decided = [row.cells[-1] for row in newest_first if row.cells and row.cells[-1].outcome][:VERDICTS_OF]
    markouts_bps = [cell.markout_bps for cell in decided if cell.markout_bps is not None]
    return RecentOutcomes(
        signals=len(decided),
        outcomes=dict(Counter(str(cell.outcome) for cell in decided)),
        mean_markout_bps=round(sum(markouts_bps) / len(markouts_bps), 2) if markouts_bps else None,
    )
