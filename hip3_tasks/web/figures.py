"""The page's charts in the style of the report, as dictionaries for plotly."""

from collections.abc import Sequence

from hip3_tasks.charts import plotly_parts as plot
from hip3_tasks.domain.market import Entry, Market
from hip3_tasks.status.rolling_window import RollingWindow
from hip3_tasks.web.decay import DecayRow, TripRow
from hip3_tasks.web.recent_signals import SignalRow

MEDIAN, P99 = 0.5, 0.99


def lateness_figure(window: RollingWindow) -> plot.Figure:
    """p50 and p99 by offset, over the last 15 minutes."""
    buckets = list(window.lateness())
    offsets_ms = sorted({offset_ms for _, by_offset in buckets for offset_ms in by_offset})
    traces: list[plot.Trace] = []
    for number, offset_ms in enumerate(offsets_ms):
        points = [(at_ms, by_offset[offset_ms]) for at_ms, by_offset in buckets if offset_ms in by_offset]
        for q, dash in ((MEDIAN, "dot"), (P99, "solid")):
            # 1 ms at least, since a logarithmic axis has no 0.
            late_ms = [max(1, late.quantile(q) or 0) for _, late in points]
            name, colour = f"T+{offset_ms / 1000:g}, p{q * 100:g}", plot.OFFSETS[number % len(plot.OFFSETS)]
            looks = {"mode": "lines", "line": {"color": colour, "width": 1.5, "dash": dash}}
            group = {"legendgroup": offset_ms, "showlegend": q == P99}
            traces.append(plot.line([at_ms for at_ms, _ in points], late_ms, colour, name, **looks, **group))
    scale = {"title": "ms late, p50 dotted", "type": "log", "dtick": 1}
    return plot.figure(traces, xaxis={"type": "date"}, yaxis=scale, hovermode="x unified")


def decay_figure(horizons: Sequence[DecayRow], trips: Sequence[TripRow]) -> plot.Figure:
    """Mean edge, markout and round trip by horizon, each with its band."""
    seconds = [horizon.offset_ms / 1000 for horizon in horizons]
    out_s = [(trip.latency_ms + trip.held_ms) / 1000 for trip in trips]
    round_trips = plot.estimates(out_s, [trip.round_trip_bps for trip in trips], plot.BLUE, "round trip when had")
    return plot.figure(
        [
            *plot.estimates(seconds, [horizon.edge_bps for horizon in horizons], plot.AMBER, "mean edge"),
            *plot.estimates(seconds, [horizon.markout_bps for horizon in horizons], plot.GREEN, "mid"),
            *(round_trips if trips else ()),
        ],
        xaxis={"title": "seconds since the signal", "tickvals": seconds, "zeroline": False},
        yaxis={"title": "bps"},
        hovermode="x unified",
    )


def signal_figure(row: SignalRow, entries: Sequence[Entry], *, from_ms: int, until_ms: int) -> plot.Figure:
    """Bid, ask and oracle around a signal, in seconds from it. Lines break where the state is not known."""
    instants_ms = [*(max(entry.at_ms, from_ms) for entry in entries), *([until_ms] if entries else [])]
    seconds = [(at_ms - row.at_ms) / 1000 for at_ms in instants_ms]
    states = [entry.value if isinstance(entry.value, Market) else None for entry in entries]
    states += states[-1:]
    instants = {0: "T0"} | {cell.offset_ms: f"T+{cell.offset_ms / 1000:g}" for cell in row.cells}
    return plot.figure(
        [
            _steps(seconds, [state.ask_px if state else None for state in states], plot.RED, "ask"),
            _steps(seconds, [state.bid_px if state else None for state in states], plot.GREEN, "bid"),
            _steps(seconds, [state.oracle_px if state else None for state in states], plot.BLUE, "oracle", dash="dash"),
        ],
        xaxis={"title": "seconds since the signal", "zeroline": False},
        yaxis={"zeroline": False},
        hovermode="x unified",
        shapes=[_mark(offset_ms) for offset_ms in instants],
        annotations=[_label(offset_ms, text) for offset_ms, text in instants.items()],
        # Above the labels of the instants.
        legend={"orientation": "h", "x": 0, "y": 1.1, "yanchor": "bottom"},
        margin={"t": 48},
    )


def _steps(
    seconds: Sequence[float], prices: Sequence[plot.Number], colour: str, name: str, *, dash: str = "solid"
) -> plot.Trace:
    looks = {"color": colour, "width": 1.5, "shape": "hv", "dash": dash}
    return plot.line(seconds, prices, colour, name, mode="lines", line=looks)


def _mark(offset_ms: int) -> plot.Trace:
    at_s = offset_ms / 1000
    looks = {"width": 1, "color": plot.GREY, "dash": "solid" if offset_ms == 0 else "dot"}
    return {"type": "line", "x0": at_s, "x1": at_s, "y0": 0, "y1": 1, "yref": "paper", "line": looks}


def _label(offset_ms: int, text: str) -> plot.Trace:
    return {"x": offset_ms / 1000, "y": 1, "yref": "paper", "yanchor": "bottom", "text": text, "showarrow": False}
