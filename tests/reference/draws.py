"""The bootstrap of the slow report: sums over clusters, their ratios, and bands."""

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
"""Function from a row to its terms (numerator, denominator); None when the row does not count."""


def cluster_ms_of(first_ms: int, last_ms: int) -> int:
    for minutes in (1, 2, 5, 10, 15):
        if last_ms - first_ms <= MAX_CLUSTERS * minutes * MINUTE_MS:
            return minutes * MINUTE_MS
    return 30 * MINUTE_MS


class Clusters:
    """The clusters of each dex, numbered in the order of time, and how often each is drawn."""

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
        """A ratio of sums: its value, the value in each replicate, and its number of clusters; NaN when unknown."""
        added = [(row, terms) for row in rows if (terms := ratio(row)) is not None]
        upper, lower = (self._sums(added, end) for end in (0, 1))
        number = sum(cell != 0 for cells in lower.values() for cell in cells)
        value = _over(sum(map(sum, upper.values())), sum(map(sum, lower.values())))
        if number < MIN_CLUSTERS:
            return value, [nan] * REPLICATES, number
        return value, list(map(_over, self._drawn(upper), self._drawn(lower))), number

    def t_statistics(self, rows: list[Row], ratio: Ratio) -> tuple[float, list[float]]:
        """The t statistics of a ratio and of each replicate's distance from it; NaN without a standard error."""
        added = [(row, terms) for row in rows if (terms := ratio(row)) is not None]
        upper, lower = (self._sums(added, end) for end in (0, 1))
        value, error = _with_error([(1.0, *pair) for dex in upper for pair in zip(upper[dex], lower[dex], strict=True)])
        t_drawn = []
        for replicate in range(REPLICATES):
            drawn, drawn_error = _with_error(
                [
                    (times, *pair)
                    for dex in upper
                    for times, pair in zip(
                        self._weights[dex][replicate], zip(upper[dex], lower[dex], strict=True), strict=True
                    )
                ]
            )
            t_drawn.append((drawn - value) / drawn_error if drawn_error else nan)
        return (value / error if error else copysign(inf, value) if value else nan), t_drawn

    def _sums(self, added: list[tuple[Row, tuple[float, float]]], end: int) -> dict[str, list[float]]:
        """Sums of one term for each dex, cluster by cluster."""
        sums = {dex: [0.0] * len(self._numbers[dex]) for dex in {_dex(row) for row, _ in added}}
        for row, terms in added:
            sums[_dex(row)][self._numbers[_dex(row)][row["t0_ms"] // self._ms]] += terms[end]
        return sums

    def _drawn(self, sums: dict[str, list[float]]) -> list[float]:
        """The total in each replicate."""
        sums_of_dexes = [[sum(map(mul, times, cells)) for times in self._weights[dex]] for dex, cells in sums.items()]
        return list(map(sum, zip(*sums_of_dexes, strict=True)))

    def estimate(self, rows: list[Row], ratio: Ratio) -> Tree:
        return estimate(*self.ratio(rows, ratio))


def _dex(row: Row) -> str:
    return str(row["market"]).split(":")[0]


def _with_error(clusters: list[tuple[float, float, float]]) -> tuple[float, float]:
    """A ratio of sums over clusters (times, numerator, denominator), and its standard error; (NaN, 0) when unknown."""
    below = sum(times * low for times, _, low in clusters)
    if not below:
        return nan, 0.0
    value = sum(times * up for times, up, _ in clusters) / below
    residuals = sum(times * (up - value * low) ** 2 for times, up, low in clusters)
    if residuals <= 1e-12 * sum(times * up**2 for times, up, _ in clusters):
        return value, 0.0
    return value, sqrt(residuals) / below


def _over(upper: float, lower: float) -> float:
    return upper / lower if lower else nan


def estimate(value: float, drawn: list[float], clusters: int) -> Tree:
    if value != value:
        return {"value": None, "low": None, "high": None}
    known = sorted(value for value in drawn if value == value)
    if clusters < MIN_CLUSTERS or len(known) < REPLICATES / 2:
        return {"value": value, "low": None, "high": None}
    level = widened_level(clusters)
    low, high = (known[ceil(part * len(known)) - 1] for part in (level, 1 - level))
    return {"value": value, "low": low, "high": high}


@lru_cache
def widened_level(clusters: int) -> float:
    """Hesterberg's expanded percentile: normal probability below sqrt(n / (n - 1)) t, with n - 1 degrees of freedom."""
    return NormalDist().cdf(sqrt(clusters / (clusters - 1)) * t_quantile((1 - LEVEL) / 2, clusters - 1))


@lru_cache
def t_quantile(level: float, freedom: int) -> float:
    """The t quantile, by bisection of the integral of the density; level < 1/2."""
    low, high = -50.0, 0.0
    while high - low > 1e-10:
        middle = (low + high) / 2
        if 0.5 - _t_share(-middle, freedom) < level:
            low = middle
        else:
            high = middle
    return low


def _t_share(end: float, freedom: int, steps: int = 2_000) -> float:
    """The probability of a t distribution between 0 and `end`, by Simpson's rule."""
    scale = lgamma((freedom + 1) / 2) - lgamma(freedom / 2)
    step = end / steps
    density = [(1 + (number * step) ** 2 / freedom) ** (-(freedom + 1) / 2) for number in range(steps + 1)]
    integral = step / 3 * (density[0] + 4 * sum(density[1:-1:2]) + 2 * sum(density[2:-1:2]) + density[-1])
    return 2.718281828459045**scale / sqrt(freedom * pi) * integral


def mean_of(name: str) -> Ratio:
    return lambda row: None if row[name] is None else (row[name], 1)


def share_of(name: str, is_counted: Callable[[float], bool]) -> Ratio:
    return lambda row: None if row[name] is None else (is_counted(row[name]), 1)
