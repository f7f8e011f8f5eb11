"""The draws of a slow report: sums over clusters, their ratios, and bands."""

from collections.abc import Callable
from functools import lru_cache
from math import ceil, copysign, inf, lgamma, nan, pi, sqrt
from operator import mul
from statistics import NormalDist

from hip3_tasks.analysis.measure.cluster_sums import MAX_CLUSTERS
from hip3_tasks.domain.capture import MINUTE_MS
from hip3_tasks.stats.bootstrap import LEVEL, MIN_CLUSTERS, REPLICATES, weights
from tests.reference.rows import Row, Tree

Ratio = Callable[[Row], tuple[float, float] | None]
"""What a row adds above and below the line; None where it adds nothing."""


def cluster_ms_of(first_ms: int, last_ms: int) -> int:
    for minutes in (1, 2, 5, 10, 15):
        if last_ms - first_ms <= MAX_CLUSTERS * minutes * MINUTE_MS:
            return minutes * MINUTE_MS
    return 30 * MINUTE_MS


class Clusters:
    """Every dex's clusters, numbered in the order of time, and how often each is drawn."""

    def __init__(self, rows: list[Row], cluster_ms: int) -> None:
        self._ms = cluster_ms
        self._numbers: dict[str, dict[int, int]] = {}
        for dex in {_dex(row) for row in rows}:
            clusters = sorted({row["t0_ms"] // cluster_ms for row in rows if _dex(row) == dex})
            self._numbers[dex] = {cluster: number for number, cluster in enumerate(clusters)}
        self._weights = {dex: weights(dex, len(numbers)).tolist() for dex, numbers in self._numbers.items()}

    def number(self, rows: list[Row]) -> int:
        return len({(_dex(row), row["t0_ms"] // self._ms) for row in rows})

    def ratio(self, rows: list[Row], ratio: Ratio) -> tuple[float, list[float], int]:
        """Of sums: as it is, in each replicate, and how many clusters say anything of it; NaN: unknown."""
        added = [(row, of_row) for row in rows if (of_row := ratio(row)) is not None]
        upper, lower = (self._sums(added, end) for end in (0, 1))
        number = sum(cell != 0 for cells in lower.values() for cell in cells)
        value = _over(sum(map(sum, upper.values())), sum(map(sum, lower.values())))
        if number < MIN_CLUSTERS:
            return value, [nan] * REPLICATES, number
        return value, list(map(_over, self._drawn(upper), self._drawn(lower))), number

    def t_statistics(self, rows: list[Row], ratio: Ratio) -> tuple[float, list[float]]:
        """Of a ratio, and of each replicate's distance from it, by the standard error of each; NaN: it has none."""
        added = [(row, of_row) for row in rows if (of_row := ratio(row)) is not None]
        upper, lower = (self._sums(added, end) for end in (0, 1))
        value, error = _with_error([(1.0, *pair) for dex in upper for pair in zip(upper[dex], lower[dex], strict=True)])
        of_replicates = []
        for replicate in range(REPLICATES):
            drawn, of_drawn = _with_error(
                [
                    (often, *pair)
                    for dex in upper
                    for often, pair in zip(
                        self._weights[dex][replicate], zip(upper[dex], lower[dex], strict=True), strict=True
                    )
                ]
            )
            of_replicates.append((drawn - value) / of_drawn if of_drawn else nan)
        return (value / error if error else copysign(inf, value) if value else nan), of_replicates

    def _sums(self, added: list[tuple[Row, tuple[float, float]]], end: int) -> dict[str, list[float]]:
        """Of each dex, cluster by cluster."""
        sums = {dex: [0.0] * len(self._numbers[dex]) for dex in {_dex(row) for row, _ in added}}
        for row, of_row in added:
            sums[_dex(row)][self._numbers[_dex(row)][row["t0_ms"] // self._ms]] += of_row[end]
        return sums

    def _drawn(self, sums: dict[str, list[float]]) -> list[float]:
        """The whole, in each replicate."""
        of_dexes = [[sum(map(mul, often, cells)) for often in self._weights[dex]] for dex, cells in sums.items()]
        return list(map(sum, zip(*of_dexes, strict=True)))

    def estimate(self, rows: list[Row], ratio: Ratio) -> Tree:
        return estimate(*self.ratio(rows, ratio))


def _dex(row: Row) -> str:
    return str(row["market"]).split(":")[0]


def _with_error(clusters: list[tuple[float, float, float]]) -> tuple[float, float]:
    """A ratio of sums over clusters, each (how often, above, below), and its standard error; (NaN, 0): unknown."""
    below = sum(often * low for often, _, low in clusters)
    if not below:
        return nan, 0.0
    value = sum(often * up for often, up, _ in clusters) / below
    residuals = sum(often * (up - value * low) ** 2 for often, up, low in clusters)
    if residuals <= 1e-12 * sum(often * up**2 for often, up, _ in clusters):
        return value, 0.0
    return value, sqrt(residuals) / below


def _over(upper: float, lower: float) -> float:
    return upper / lower if lower else nan


def estimate(value: float, drawn: list[float], clusters: int) -> Tree:
    if value != value:
        return {"value": None, "low": None, "high": None}
    known = sorted(one for one in drawn if one == one)
    if clusters < MIN_CLUSTERS or len(known) < REPLICATES / 2:
        return {"value": value, "low": None, "high": None}
    level = widened_level(clusters)
    low, high = (known[ceil(part * len(known)) - 1] for part in (level, 1 - level))
    return {"value": value, "low": low, "high": high}


@lru_cache
def widened_level(clusters: int) -> float:
    """Hesterberg's expanded percentile: the normal's share below sqrt(n / (n - 1)) t, t of n - 1 degrees of freedom."""
    return NormalDist().cdf(sqrt(clusters / (clusters - 1)) * t_quantile((1 - LEVEL) / 2, clusters - 1))


@lru_cache
def t_quantile(level: float, freedom: int) -> float:
    """By bisection of the integral of the density, level < 1/2."""
    low, high = -50.0, 0.0
    while high - low > 1e-10:
        middle = (low + high) / 2
        if 0.5 - _t_share(-middle, freedom) < level:
            low = middle
        else:
            high = middle
    return low


def _t_share(end: float, freedom: int, steps: int = 2_000) -> float:
    """Of a t distribution between 0 and `end`, by Simpson's rule."""
    scale = lgamma((freedom + 1) / 2) - lgamma(freedom / 2)
    step = end / steps
    density = [(1 + (at * step) ** 2 / freedom) ** (-(freedom + 1) / 2) for at in range(steps + 1)]
    integral = step / 3 * (density[0] + 4 * sum(density[1:-1:2]) + 2 * sum(density[2:-1:2]) + density[-1])
    return 2.718281828459045**scale / sqrt(freedom * pi) * integral


def mean_of(name: str) -> Ratio:
    return lambda row: None if row[name] is None else (row[name], 1)
