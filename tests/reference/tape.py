"""A taker's orders by the kept tape for the slow report: a walk over all rows for each price."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from tests.reference.rows import Row, product

LATENCIES_MS = (200, 600, 900)
JUDGED_MS = 600


class SlowTape:
    """The pieces of a directory as plain rows, and the spans of time that they cover."""

    def __init__(self, data_dir: Path) -> None:
        paths = sorted((data_dir / "tape").glob("*/*.parquet"))
        infos = [json.loads(pl.read_parquet_metadata(path)["hip3"]) for path in paths]
        self.rows = [row for path in paths for row in pl.read_parquet(path).rows(named=True)]
        self.spans: list[list[int]] = []
        for info in infos:
            if self.spans and self.spans[-1][1] + 1 == info["from_ms"]:
                self.spans[-1][1] = info["until_ms"]
            else:
                self.spans.append([info["from_ms"], info["until_ms"]])

    def span(self, from_ms: int, until_ms: int) -> list[int] | None:
        return next((span for span in self.spans if span[0] <= from_ms and until_ms <= span[1]), None)

    def as_of(self, coin: str, at_ms: int, span: list[int]) -> Row | None:
        """The newest row of a span at or before an instant; None in a gap, and where there is none."""
        rows = [row for row in self.rows if row["coin"] == coin and span[0] <= row["at_ms"] <= at_ms]
        last = max(rows, key=lambda row: (row["at_ms"], row["seq"]), default=None)
        return None if last is None or last["gap"] is not None else last


def covered(signals: Sequence[Row], dirs: Sequence[Path], helds_ms: Sequence[int]) -> Iterator[tuple[Row, SlowTape]]:
    """The signals that a tape covers to the last way out, each with the first such tape."""
    tapes = [SlowTape(path) for path in sorted({path.resolve() for path in dirs})]
    length_ms = max(LATENCIES_MS) + max(helds_ms, default=0)
    for signal in signals:
        fitting = [tape for tape in tapes if tape.span(signal["t0_ms"], signal["t0_ms"] + length_ms)]
        if fitting and signal["t0_px"] is not None:
            yield signal, fitting[0]


def orders_by_tape(signal: Row, tape: SlowTape, helds_ms: Sequence[int]) -> Iterator[Row]:
    """The orders of a signal whose way in is known."""
    span = tape.span(signal["t0_ms"], signal["t0_ms"])
    assert span is not None
    way_in, way_out = ("ask", "bid") if signal["side"] == "buy" else ("bid", "ask")
    for latency_ms in LATENCIES_MS:
        arrival = tape.as_of(signal["market"], signal["t0_ms"] + latency_ms, span)
        for held_ms in helds_ms if arrival else ():
            assert arrival is not None
            leaving = tape.as_of(signal["market"], signal["t0_ms"] + latency_ms + held_ms, span) or {}
            yield {
                "latency_ms": latency_ms,
                "held_ms": held_ms,
                "entry_px": arrival[f"{way_in}_px"],
                "entry_usd": product(arrival[f"{way_in}_px"], arrival[f"{way_in}_sz"]),
                "exit_px": leaving.get(f"{way_out}_px"),
                "exit_usd": product(leaving.get(f"{way_out}_px"), leaving.get(f"{way_out}_sz")),
                "signal": signal,
            }
