"""The runs as a Markdown page: ratios first, then all figures, then configurations and load of the machine."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from statistics import median

from benchmarks.figures import LATE_MS, Figures
from benchmarks.peers import OURS_WITH_EVENTS, PEERS
from benchmarks.schedule import rate_of, sustained
from benchmarks.trial import QUIET_CORES

OURS = "ours"

NOTES = f"""\
Lateness of a capture is measured **when the market state has been read**, or, in the columns *start*, when its job
starts; medians over the repeats, with the range in brackets. `x` is the ratio to `ours` in the same round. CPU is µs
per capture (publish / workers / server), less the CPU of an idle system. A rate is sustained when, in every try, p99 is
at most {LATE_MS:.0f} ms and nothing is lost, early or wrong. Publisher, server and workers share the cores. Only ratios
carry over to other machines.
"""


def markdown(runs: Sequence[Figures], machine: dict[str, str]) -> str:
    """The whole page."""
    return "\n".join(_page(runs, machine)) + "\n"


def _page(runs: Sequence[Figures], machine: dict[str, str]) -> Iterator[str]:
    yield "# Benchmark results\n"
    yield f"{_date(min(run.at_ms for run in runs))}, {len(runs)} runs, by `make bench`.\n"
    yield from (f"- {name}: {value}" for name, value in machine.items())
    yield "\n![p99 lateness by workload, and by rate](results.svg)\n"
    yield NOTES
    everyday = [name for name in _ordered(run.workload for run in runs) if rate_of(name) is None]
    yield "## Side by side\n"
    yield from _overview(runs, everyday)
    for name in everyday:
        yield f"\n## {name[0].upper()}{name[1:]}\n"
        yield from _details([run for run in runs if run.workload == name])
    if any(rate_of(run.workload) for run in runs):
        yield "\n## Ramp: p99 in ms of each try, by signals/s\n"
        yield from _ramp(runs)
    yield "\n## How each was run\n"
    for peer in (*PEERS.values(), OURS_WITH_EVENTS):
        if any(run.peer == peer.name for run in runs):
            yield f"- **{peer.name}**: {peer.configuration()}"
    yield "\n## What else the machine did\n"
    yield from _noise(runs)


def _overview(runs: Sequence[Figures], workloads: Sequence[str]) -> Iterator[str]:
    """The p99 of each peer, its ratio to `ours`, and the rate that it sustains."""
    yield from _head("", *(f"{name}, p99 ms" for name in workloads), "sustained signals/s")
    for peer in _ordered(run.peer for run in runs):
        cells = []
        for name in workloads:
            of_peer = [run for run in runs if (run.peer, run.workload) == (peer, name)]
            late = _range(run.outcome.read_ms.p99 for run in of_peer)
            ratio = _ratio(runs, of_peer) if peer != OURS else ""
            cells.append(f"{late} {ratio}".strip())
        climbed = any(rate_of(run.workload) for run in runs if run.peer == peer)
        yield _row(peer, *cells, str(sustained(runs, peer) or f"< {_lowest(runs)}") if climbed else "")


def _details(runs: Sequence[Figures]) -> Iterator[str]:
    yield from _head(
        *("", "start p50", "p99", "read p50", "p90", "p99", "max"),
        *("early", "wrong", "lost", "twice", "CPU", "idle cores", "workers MB", "server MB", "call begun / done p99"),
    )
    for peer in _ordered(run.peer for run in runs):
        of_peer = [run for run in runs if run.peer == peer]

        def mid(figure: Callable[[Figures], float], of_peer: Sequence[Figures] = of_peer) -> float:
            return median(map(figure, of_peer))

        cpu = [mid(lambda r: r.cost.publish_us), mid(lambda r: r.cost.worker_us), mid(lambda r: r.cost.server_us)]
        flower = [run.cost.flower_us for run in of_peer if run.cost.flower_us is not None]
        late = (
            mid(lambda r: r.outcome.start_ms.p50),
            mid(lambda r: r.outcome.start_ms.p99),
            mid(lambda r: r.outcome.read_ms.p50),
            mid(lambda r: r.outcome.read_ms.p90),
        )
        yield _row(
            peer,
            *(f"{ms:.1f}" for ms in late),
            _range(run.outcome.read_ms.p99 for run in of_peer),
            f"{max(run.outcome.read_ms.max for run in of_peer):.1f}",
            *(str(sum(number)) for number in zip(*(_wrongs(run) for run in of_peer), strict=True)),
            " / ".join(f"{us:.0f}" for us in cpu) + (f" + Flower {median(flower):.0f}" if flower else ""),
            f"{mid(lambda r: r.cost.idle_cores):.2f}",
            f"{mid(lambda r: r.cost.worker_mb):.0f}, unique {mid(lambda r: r.cost.worker_unique_mb):.0f}",
            f"{mid(lambda r: r.cost.server_mb):.0f}",
            f"{mid(lambda r: r.publish_begun_ms.p99):.1f} / {mid(lambda r: r.publish_done_ms.p99):.1f}",
        )
    for run in runs:
        yield from _memory(run)


def _memory(run: Figures) -> Iterator[str]:
    """Memory per pending capture, and memory by minute, for the runs that have them."""
    if "pending" in run.workload:
        grown = run.cost.worker_mb - run.cost.worker_before_mb, run.cost.server_mb - run.cost.server_before_mb
        each = (round(mb * 1e6 / run.outcome.captures) for mb in grown)
        yield "\nMemory a pending capture, bytes: workers {}, server {}.".format(*each)
    if run.memory_by_minute:
        minutes = ", ".join(f"{worker:.0f} + {server:.0f}" for worker, server in run.memory_by_minute)
        yield f"\n{run.peer}: memory by minute, MB, workers + server: {minutes}."


def _ramp(runs: Sequence[Figures]) -> Iterator[str]:
    rates = sorted({rate for run in runs if (rate := rate_of(run.workload))})
    yield from _head("", *map(str, rates))
    for peer in _ordered(run.peer for run in runs if rate_of(run.workload)):
        tries = {rate: [run for run in runs if run.peer == peer and rate_of(run.workload) == rate] for rate in rates}
        yield _row(peer, *(", ".join(_try(run) for run in tries[rate]) for rate in rates))


def _try(run: Figures) -> str:
    late = f"{run.outcome.read_ms.p99:.0f}"
    if run.passes:
        return f"**{late}**"
    return late if run.outcome.is_right else f"{late} (not right)"


def _noise(runs: Sequence[Figures]) -> Iterator[str]:
    before, during = [run.machine.stray_before for run in runs], [run.machine.stray_during for run in runs]
    loud = sum(stray > QUIET_CORES for stray in before)
    load = [run.machine.load_average for run in runs]
    yield f"Cores used by others: before the runs median {median(before):.2f}, most {max(before):.2f};"
    yield f"during them median {median(during):.2f}, most {max(during):.2f} (this includes the work of the kernel)."
    yield f"Load average before the runs, raised by earlier runs: median {median(load):.2f}, most {max(load):.2f}."
    yield f"{loud or 'No'} run{'' if loud == 1 else 's'} began while others used more than {QUIET_CORES} cores."


def _ratio(runs: Sequence[Figures], of_peer: Sequence[Figures]) -> str:
    ours = {(run.workload, run.repeat): run.outcome.read_ms.p99 for run in runs if run.peer == OURS}
    pairs = [(run.outcome.read_ms.p99, ours.get((run.workload, run.repeat))) for run in of_peer]
    ratios = [theirs / mine for theirs, mine in pairs if mine]
    return f"**x {median(ratios):.1f}**" if ratios else ""


def _wrongs(run: Figures) -> tuple[int, ...]:
    outcome = run.outcome
    return outcome.early, outcome.wrong_states, outcome.lost, outcome.duplicates


def _lowest(runs: Sequence[Figures]) -> int:
    return min(rate for run in runs if (rate := rate_of(run.workload)))


def _range(values: Iterable[float]) -> str:
    ordered = sorted(values)
    if len(ordered) < 2:
        return f"{ordered[0]:.1f}" if ordered else ""
    return f"{median(ordered):.1f} ({ordered[0]:.1f}-{ordered[-1]:.1f})"


def _head(*cells: str) -> Iterator[str]:
    yield _row(*cells)
    yield _row("---", *("---:" for _ in cells[1:]))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _ordered(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _date(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d")
