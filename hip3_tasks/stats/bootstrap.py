"""Bootstrap bands that respect clusters: complete clusters are drawn, with all of their rows.

Each replicate gives each cluster a weight, the number of times it was drawn, from a Poisson distribution of mean 1. For
ratios of sums this is as good as drawing with replacement, and the same weight serves every group, which keeps groups
dependent. A band is the middle 90 % of the replicates, widened as a t distribution is wider than a normal one, since
few clusters underestimate their own spread (Hesterberg 2015, "What teachers should know about the bootstrap", The
American Statistician 69, on expanded percentile intervals).
"""

import zlib
from math import ceil, exp, factorial, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

REPLICATES = 1000
LEVEL = 0.90
MIN_CLUSTERS = 20
"""Fewer clusters have no band, and so no claim."""
SEED = 1_795_338_701

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.integer[Any]]
_NORMAL = NormalDist()
_SHARES = np.cumsum([exp(-1) / factorial(often) for often in range(12)])
_QUANTILES = np.searchsorted(_SHARES, (np.arange(1 << 16) + 0.5) / (1 << 16)).astype(np.float64)
"""Quantiles of a Poisson distribution of mean 1; float64, (65536,)."""


class Estimate(BaseModel):
    """A value and its 90 % band. The value is None if unknown, the band if its clusters are too few."""

    value: float | None
    low: float | None = None
    high: float | None = None


def weights(dex: str, clusters: int) -> Array:
    """The number of times each cluster of a dex is drawn, always the same; float64, (REPLICATES, clusters).

    Taken from a table of quantiles, exact to a probability of 2^-17: numpy's own Poisson draws take ten times as long.
    """
    random = np.random.default_rng([SEED, zlib.crc32(dex.encode())])
    return _QUANTILES[random.integers(len(_QUANTILES), size=(REPLICATES, clusters), dtype=np.uint16)]


def has_band(clusters: int) -> bool:
    return clusters >= MIN_CLUSTERS


def estimate(value: float, replicates: Array, *, clusters: int) -> Estimate:
    """A value with its band, given its replicates: float64, (REPLICATES,). NaN is unknown."""
    if np.isnan(value):
        return Estimate(value=None)
    known = np.sort(replicates[~np.isnan(replicates)])
    if not has_band(clusters) or len(known) < REPLICATES / 2:
        return Estimate(value=value)
    level = widened_level((1 - LEVEL) / 2, clusters)
    low, high = (known[ceil(share * len(known)) - 1] for share in (level, 1 - level))
    return Estimate(value=value, low=low, high=high)


def widened_level(level: float, clusters: int) -> float:
    """The quantile of the replicates that stands for the quantile `level` of the value; level < 1/2."""
    return _NORMAL.cdf(sqrt(clusters / (clusters - 1)) * _t_quantile(level, clusters - 1))


def _t_quantile(level: float, freedom: int) -> float:
    """Quantile of the t distribution (Abramowitz & Stegun 26.7.5); exact to 1e-4 for 19 degrees of freedom or more."""
    z = _NORMAL.inv_cdf(level)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
