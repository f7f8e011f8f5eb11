"""Evidence for the state of a tape entry: the columns that signals and follow-ups share."""

from typing import Any

from hip3_tasks.domain.conditions import Conditions
from hip3_tasks.domain.market import Entry, Market


def evidence(entry: Entry, *, at_ms: int) -> dict[str, Any]:
    """The columns for a state that is read as of an instant, at or after its entry; None where it is not known."""
    market, conditions = entry.value, entry.conditions or Conditions()
    assert isinstance(market, Market)
    witness, ctx_age_ms = conditions.witness, _sum(conditions.ctx_age_ms, at_ms - entry.at_ms)
    return {
        # The block time of a first book tells when it last changed, not how late it came.
        "lag_ms": market.bbo_at_ms - market.bbo_time_ms if conditions.has_lag else None,
        "ctx_age_ms": ctx_age_ms,
        "oracle_age_max_ms": _sum(ctx_age_ms, witness.period_ms),
        "ctx_mid_px": witness.mid_px,
        "impact_bid_px": witness.impact_bid_px,
        "impact_ask_px": witness.impact_ask_px,
    }


def _sum(one_ms: int | None, other_ms: int | None) -> int | None:
    return None if one_ms is None or other_ms is None else one_ms + other_ms
