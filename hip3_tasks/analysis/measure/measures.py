"""How a model declares measures: a field names the sums over clusters of which it is made, and how tables show it.

A new measure is one field and, if the pass lacks its sum, one new sum there. JSON, CSV, terminal and page follow from
the field.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel

from hip3_tasks.charts.number_format import Format, bps, level
from hip3_tasks.stats.bootstrap import Estimate
from hip3_tasks.stats.cluster_totals import SumSpec, Totals

T = TypeVar("T")


class Count(NamedTuple):
    """The measure is a sum over clusters."""

    sum: str


class Ratio(NamedTuple):
    """The measure is a sum over clusters divided by another one: an Estimate, or a plain float without `has_band`."""

    top: str
    bottom: str
    has_band: bool = True

    def value(self, totals: Totals) -> Estimate | float | None:
        return (totals.ratio if self.has_band else totals.share)(self.top, self.bottom)


@dataclass(frozen=True, slots=True)
class Shown:
    """How tables show a value. An empty title leaves it out of a table."""

    title: str
    """The title on the page, without unit."""
    format: Format
    row: str | None = None
    """The title in the terminal's table by horizon; None: the same."""
    column: str = ""
    """The title in the terminal's other tables."""
    wide: str = ""
    """The same, on a wide terminal only."""
    steps: tuple[int, ...] = ()
    """The steps to the value inside a list."""

    @property
    def page_title(self) -> str:
        return f"{self.title}, bps" if self.format in (bps, level) else self.title

    @property
    def row_title(self) -> str:
        return self.title if self.row is None else self.row


@cache
def declared(model: type[BaseModel], kind: type[T]) -> Mapping[str, T]:
    """The fields of a model that declare this kind of thing."""
    fields = model.model_fields.items()
    return {name: item for name, field in fields for item in field.metadata if isinstance(item, kind)}


def sums_of(model: type[BaseModel], *others: str) -> SumSpec:
    """The sums over clusters that the measures of a model need, and others; `n` is the number of rows."""
    ratios = declared(model, Ratio).values()
    with_band = tuple(dict.fromkeys(["n", *(name for ratio in ratios if ratio.has_band for name in ratio[:2])]))
    counts = [count.sum for count in declared(model, Count).values()]
    without = [name for ratio in ratios if not ratio.has_band for name in ratio[:2]]
    plain = dict.fromkeys([*others, *counts, *without])
    return SumSpec(bootstrapped=with_band, plain=tuple(name for name in plain if name not in with_band))


def values_of(model: type[BaseModel], totals: Totals) -> dict[str, Any]:
    """The measures of a model that sums alone determine."""
    counts = {name: round(totals[count.sum]) for name, count in declared(model, Count).items()}
    return {**counts, **{name: ratio.value(totals) for name, ratio in declared(model, Ratio).items()}}
