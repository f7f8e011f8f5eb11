"""The probe as a document: the JSON of its file, and a summary of that for a terminal."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import orjson

from feed.probe.assumptions import assumptions
from feed.probe.measurement import Measurement
from feed.probe.proposals import proposals
from hip3_tasks.settings import Settings
from hip3_tasks.terminal_text import counted

FORMAT = 1
MAX_SHOWN = 3
"""Names behind an assumption on the terminal; the file has more."""


def document(
    measurement: Measurement, settings: Settings, *, began_at_ms: int, ended_at_ms: int, is_complete: bool
) -> dict[str, Any]:
    """All numbers of a probe. `is_complete` is False for one that was ended before its time."""
    best = measurement.best
    return {
        "format": FORMAT,
        "version": version("hip3-tasks"),
        "venue": settings.base_url,
        "began_at_ms": began_at_ms,
        "ended_at_ms": ended_at_ms,
        "heard_s": measurement.elapsed_ms / 1000,
        "is_complete": is_complete,
        "universe": measurement.lists.summary(),
        "dexes": measurement.by_dex(),
        "sockets": [notes.summary() for notes in measurement.sockets],
        "twins": measurement.twins.summary(),
        "assumptions": [asdict(claim) | {"named": list(claim.named)} for claim in assumptions(measurement)],
        "settings": [asdict(proposal) for proposal in proposals(measurement, settings)],
        "markets": {coin: best.markets[coin].summary() for coin in sorted(best.markets)},
    }


def encoded(probe: Mapping[str, Any]) -> bytes:
    return orjson.dumps(probe, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def holds(probe: Mapping[str, Any]) -> bool:
    """Whether no assumption was contradicted."""
    return all(assumption["holds"] is not False for assumption in probe["assumptions"])


def summary(probe: Mapping[str, Any]) -> Iterable[str]:
    """The lines for a terminal."""
    universe, twins = probe["universe"], probe["twins"]
    frames = sum(sum(socket["frames"].values()) for socket in probe["sockets"])
    ended = "" if probe["is_complete"] else ", ended early"
    markets = counted(len(probe["markets"]), "market")
    yield f"{probe['venue']}: {markets}, 2 sockets, {probe['heard_s']:.0f} s{ended}, {counted(frames, 'frame')}"
    yield (
        f"universe    {counted(universe['dexes'], 'dex', 'dexes')}, {universe['live_markets']} live markets, "
        f"{universe['delisted_markets']} delisted; {universe['subscriptions_needed']} of "
        f"{universe['subscriptions_allowed']:,} subscriptions for all"
    )
    for name, dex in probe["dexes"].items():
        yield (
            f"{name:<11} book every {_pair(dex['book_pause_ms'])}, context every {_pair(dex['ctx_pause_ms'])}, "
            f"lag {_pair(dex['lag_ms'])}, oracle every {_pair(dex['oracle_round_ms'], 'max')} (p50, p99 or max, ms)"
        )
        share = dex["contradictions"] / dex["samples"] if dex["samples"] else 0
        yield f"            {share:.2%} of contexts contradict the book, {dex['lasting_contradictions']} times for long"
    strays = " and ".join(map(str, twins["strays"]))
    yield f"two sockets {twins['compared']:,} books on both, {_pair(twins['skew_ms'])} ms apart; {strays} on one alone"
    yield from _verdicts(probe["assumptions"])
    for proposal in probe["settings"]:
        yield f"propose     {proposal['name']}={proposal['value']}: {proposal['why']}"


def _verdicts(claims: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    confirmed = sum(claim["holds"] is True for claim in claims)
    yield f"holds       {confirmed} of {len(claims)} assumptions of this project"
    for holds, word in ((None, "not known"), (False, "DOES NOT")):
        for claim in claims:
            if claim["holds"] is holds:
                named = claim["named"][:MAX_SHOWN] + (["..."] if len(claim["named"]) > MAX_SHOWN else [])
                yield f"{word:<11} {claim['sentence']}: {claim['observed']}" + ": " * bool(named) + "; ".join(named)


def _pair(numbers: Mapping[str, int | None], last: str = "p99") -> str:
    return "–" if numbers["p50"] is None else f"{numbers['p50']:,}/{numbers[last]:,}"
