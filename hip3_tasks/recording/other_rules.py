"""The rules of a replay: those that were in force when the tape was recorded, or others in their place."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hip3_tasks.domain.detector import Rules
from hip3_tasks.domain.market import Entry
from hip3_tasks.errors import BadSetting
from hip3_tasks.settings import Settings
from hip3_tasks.thresholds_file import read_thresholds


@dataclass(frozen=True, slots=True)
class OtherRules:
    """Rules in place of those that were in force; None leaves one as it was."""

    min_edge_bps: float | None = None
    thresholds_bps: Mapping[str, float] | None = None
    cooldown_ms: int | None = None
    offsets_ms: tuple[int, ...] | None = None

    def over(self, rules: Rules) -> Rules:
        given = {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}
        return replace(rules, **given)

    @property
    def has_threshold(self) -> bool:
        return self.min_edge_bps is not None or self.thresholds_bps is not None

    @property
    def is_other_detector(self) -> bool:
        """Whether other signals than those of the recorded feed are wanted: then its memory does not count."""
        return self.has_threshold or self.cooldown_ms is not None

    def conditioned(self, entry: Entry, coin: str, rules: Rules) -> Entry:
        """The entry with the conditions that these rules would have given it; `rules` are those in force then."""
        how = entry.conditions
        if how is None or not self.is_other_detector:
            return entry
        threshold_bps = how.threshold_bps
        if self.has_threshold and how.taker_fee_bps is not None:
            threshold_bps = rules.threshold_bps(coin, how.taker_fee_bps)
        return replace(entry, conditions=replace(how, threshold_bps=threshold_bps, memory=None))


def other_rules(
    *,
    min_edge_bps: float | None = None,
    thresholds: Path | None = None,
    cooldown_ms: int | None = None,
    offsets_ms: str | None = None,
) -> OtherRules:
    """The rules of the options of `hip3 replay`. A minimal edge counts for all markets. Raises BadSetting."""
    given: dict[str, Any] = {"thresholds": thresholds, "offsets_ms": offsets_ms}
    try:
        checked = Settings.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0]).removesuffix("_ms")
        raise BadSetting(f"--{name}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
    thresholds_bps = read_thresholds(thresholds) if thresholds else None if min_edge_bps is None else {}
    return OtherRules(min_edge_bps, thresholds_bps, cooldown_ms, checked.offsets_ms if offsets_ms else None)
