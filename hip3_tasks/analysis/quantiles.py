"""Quantiles of groups of rows, exactly, and in one ordering of them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from hip3_tasks.analysis.bootstrap import Array

Found = dict[str, list[float | None]]


def quantiles(rows: pl.DataFrame, wanted: Mapping[str, Sequence[float]]) -> dict[Any, Found]:
    """Of columns, at some shares, by `group` and, under None, of all rows.

    Between two values a quantile lies on the straight line; what is null does not count; None where nothing is known.
    polars' own take twice the time, and ten times that of rows in many pieces.
    """
    codes = rows["group"].to_physical().to_numpy()
    # Of 16 bits numpy sorts by digits, in a fifth of the time.
    order = np.argsort(codes.astype(np.uint16) if codes.max(initial=0) < 1 << 16 else codes, kind="stable")
    labels = rows["group"].unique()
    ends = np.cumsum(np.bincount(codes))
    spans = {label: slice(ends[code - 1] if code else 0, ends[code]) for label, code in _coded(labels)}
    found: dict[Any, Found] = {label: {} for label in (None, *spans)}
    for name, shares in wanted.items():
        values = rows[name].to_numpy()[order]
        for label, span in {None: slice(None), **spans}.items():
            found[label][name] = _at(values[span], shares)
    return found


def _coded(labels: pl.Series) -> Iterator[tuple[Any, int]]:
    return zip(labels.to_list(), labels.to_physical().to_list(), strict=True)


def _at(values: Array, shares: Sequence[float]) -> list[float | None]:
    known = values[~np.isnan(values)]
    return np.quantile(known, shares).tolist() if len(known) else [None] * len(shares)
