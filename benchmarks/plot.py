"""The runs as a picture: p99 lateness by workload, and by rate."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from benchmarks.figures import LATE_MS, Figures
from benchmarks.schedule import rate_of

mpl.rcParams["svg.fonttype"] = "none"  # text as text: smaller, and searchable
mpl.rcParams["svg.hashsalt"] = "hip3"
COLOURS = {"ours": "black", "ours -E, Flower": "grey"}
OTHERS = "C0", "C1", "C2", "C3", "C4", "C5", "C6"


def plot(runs: Sequence[Figures], path: Path) -> None:
    """Write the picture as SVG."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    together, ramp = figure.subplots(1, 2)
    peers = dict.fromkeys(run.peer for run in runs)
    colours = dict(zip([peer for peer in peers if peer not in COLOURS], OTHERS, strict=False)) | COLOURS
    _bars(together, [run for run in runs if run.workload.startswith(("burst", "steady"))], colours)
    _lines(ramp, [run for run in runs if rate_of(run.workload)], colours)
    for axes in (together, ramp):
        axes.set(yscale="log", ylim=(1, None))
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    figure.savefig(path, metadata={"Date": None})


def _bars(axes: Axes, runs: Sequence[Figures], colours: dict[str, str]) -> None:
    peers = list(dict.fromkeys(run.peer for run in runs))
    workloads = list(dict.fromkeys(run.workload for run in runs))
    width = 0.8 / max(1, len(peers))
    for number, peer in enumerate(peers):
        late = {
            name: [r.outcome.read_ms.p99 for r in runs if (r.peer, r.workload) == (peer, name)] for name in workloads
        }
        position = [position for position, name in enumerate(workloads) if late[name]]
        heights = [median(late[workloads[position]]) for position in position]
        axes.bar([position + number * width for position in position], heights, width, label=peer, color=colours[peer])
    axes.set_xticks([position + 0.4 - width / 2 for position in range(len(workloads))], workloads)
    axes.set(ylabel="p99 lateness at read done, ms", title="Captures that fall due together, or one by one")
    axes.legend(fontsize="small")


def _lines(axes: Axes, runs: Sequence[Figures], colours: dict[str, str]) -> None:
    for peer in dict.fromkeys(run.peer for run in runs):
        rates = sorted({rate_of(run.workload) or 0 for run in runs if run.peer == peer})
        late = [
            median(run.outcome.read_ms.p99 for run in runs if run.peer == peer and rate_of(run.workload) == rate)
            for rate in rates
        ]
        axes.plot(rates, late, marker="o", markersize=4, label=peer, color=colours[peer])
    axes.axhline(LATE_MS, color="grey", linewidth=0.8, linestyle="--")
    axes.set(xscale="log", xlabel="signals/s, three captures each", title="Ramp")
    rates = sorted({rate_of(run.workload) or 0 for run in runs})
    axes.set_xticks(rates, [f"{rate:,}" for rate in rates], rotation=45)
    axes.xaxis.set_minor_formatter(NullFormatter())
    if runs:
        axes.legend(fontsize="small")
