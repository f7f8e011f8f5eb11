"""Everything that `hip3 up` and `hip3 status` show at one moment, as named rows of text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hip3_tasks.domain.fees import LEAST_ORDER_USD
from hip3_tasks.domain.outcome import Outcome
from hip3_tasks.domain.records import Dark
from hip3_tasks.status.market_rows import MarketRow, dislocated
from hip3_tasks.status.outcome_sums import TripSummary
from hip3_tasks.status.system_status import SystemStatus
from hip3_tasks.status.wrapping import HANGING, MAX_LINE, listed, wrapped
from hip3_tasks.terminal_text import counted, utc_minute, utc_time

UNKNOWN = "?"
MINUS = "\N{MINUS SIGN}"
MAX_NAMED_MARKETS = 3
MAX_PROBLEMS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The state of a system at one moment."""

    title: str
    status: SystemStatus
    markets: Sequence[MarketRow] = ()
    problems: Sequence[str] = ()
    notices: Sequence[str] = ()
    """Texts that an operator should know although they are no problems."""
    places: Mapping[str, str] = field(default_factory=dict)
    """Addresses and directories by name."""
    next_steps: Sequence[str] = ()
    """Suggested commands or addresses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A name, empty if the row continues the one above, and the pieces of its text."""

    name: str
    pieces: Sequence[str]
    style: str = ""


def rows(view: View) -> list[Row]:
    """All rows: outcomes first, then the parts of the system, problems, and suggested next steps."""
    values = _outcomes(view.status) | _counts(view.status) | _system(view)
    return [
        *(Row(name=name, pieces=pieces) for name, pieces in values.items()),
        *([Row(name="dark", pieces=_dark(dark), style="yellow")] if (dark := view.status.dark) else []),
        *_repeated("red", [*view.problems[:MAX_PROBLEMS], *_more(view.problems, MAX_PROBLEMS)], style="red"),
        *_repeated("note", view.notices, style="yellow"),
        *(Row(name=name, pieces=[place], style="dim") for name, place in view.places.items()),
        *_repeated("next", view.next_steps),
    ]


def essence(view: View) -> list[str]:
    """One line for a log, or two if it is long."""
    now = view.status
    red = [f"RED: {counted(len(view.problems), 'problem')}"] if view.problems else []
    parts = [
        view.title,
        f"signals {now.signals:,}",
        *_outcomes_in_short(now),
        f"missed {now.missed:,}",
        f"late p99 {_or_unknown(now.lateness_ms['p99'], ' ms')}",
        f"pending {_or_unknown(now.pending)}",
        f"{_or_unknown(now.markets_live)} of {_or_unknown(now.markets_followed)} live",
        *red,
    ]
    return wrapped(listed(parts, separator=" |"), hanging=HANGING)


def summary(status: SystemStatus, *, width: int = MAX_LINE) -> list[str]:
    """The counts of a run, in lines."""
    values = _outcomes(status) | _counts(status) | {"pending": [_or_unknown(status.pending)]}
    pieces = [piece for name, texts in values.items() for piece in _run_on(name, texts)]
    pieces[-1] = pieces[-1].removesuffix(" |")
    return wrapped(["this run:", *pieces], width=width, hanging=HANGING)


def _outcomes(status: SystemStatus) -> dict[str, list[str]]:
    """Whether a taker had the signals and was paid, whether they were right, and how far the mid moved."""
    signals = {"signals": [f"{status.signals:,}"]}
    if status.decisive is None:
        return signals | {"right": ["none yet"]}
    offset_ms, outcomes = status.decisive
    taken = {"taken": _taken(status.taken)} if status.taken else {}
    after = f"after {offset_ms / 1000:g} s:"
    shares = [f"{name} came {_percent(outcomes.share(outcome))}" for name, outcome in CAME.items()]
    shares[-1] += f" of {outcomes.followups:,}"
    means = [f"{_bps(outcomes.markout_bps)} bps", f"net of cost {_bps(outcomes.net_bps)} bps"]
    return signals | taken | {"right": _after(after, shares), "markout": _after(after, means)}


def _taken(trip: TripSummary) -> list[str]:
    left_out = [f"{trip.too_small:,} below {LEAST_ORDER_USD:g} USD left out"] if trip.too_small else []
    if not trip.n:
        return left_out
    when = f"in after {trip.latency_ms / 1000:g} s, out {trip.held_ms / 1000:g} s later:"
    had = f"had {_percent(trip.had)} of {trip.n:,}"
    return _after(when, [f"a round trip when had {_bps(trip.round_trip_bps)} bps", had, *left_out])


CAME = {"the book": Outcome.BOOK_CAME, "the oracle": Outcome.ORACLE_CAME}


def _outcomes_in_short(status: SystemStatus) -> list[str]:
    if status.decisive is None:
        return ["right: none yet"]
    _, outcomes = status.decisive
    trip = status.taken
    taken = [f"trip {_bps(trip.round_trip_bps)} bps, had {_percent(trip.had)}"] if trip else []
    return [*taken, f"right {_percent(outcomes.share(Outcome.BOOK_CAME))}"]


def _after(after: str, parts: Sequence[str]) -> list[str]:
    return listed([f"{after} {parts[0]}", *parts[1:]])


def _counts(status: SystemStatus) -> dict[str, list[str]]:
    offsets = [f"{ms / 1000:g} s: {count:,}" for ms, count in status.followups_by_offset_ms.items()]
    reasons = [f"{reason}: {count:,}" for reason, count in status.missed_by_reason.items()]
    lateness = [f"{name} {_or_unknown(ms, ' ms')}" for name, ms in status.lateness_ms.items()]
    number = status.due_before_worker
    early = [f"without {number:,} that fell due before the first worker"] if number else []
    return {
        "follow-ups": _sum(status.followups, offsets),
        "missed": _sum(status.missed, reasons),
        "lateness": listed([*lateness, *early]),
    }


def _system(view: View) -> dict[str, list[str]]:
    now = view.status
    frames = UNKNOWN if now.frames_per_s is None else f"{now.frames_per_s:,.0f}"
    reconnects = f"{UNKNOWN} reconnects" if now.reconnects is None else counted(now.reconnects, "reconnect")
    workers = [f"{note.processes} of {counted(note.most_processes, 'process', 'processes')}" for note in now.workers]
    revoked = [f"{now.revoked:,} revoked, which `hip3 recapture` captures"] if now.revoked else []
    lag = [] if now.lag_p50_ms is None else [f"books {now.lag_p50_ms:,} ms after their block"]
    memory = UNKNOWN if now.server_bytes is None else f"{now.server_bytes / 1e6:,.1f} MB"
    return {
        "pending": listed([_or_unknown(now.pending), f"{_or_unknown(now.overdue)} of it overdue", *revoked]),
        "watermark": [f"{_or_unknown(now.watermark_age_ms, ' ms')} old"],
        "markets": [f"{_or_unknown(now.markets_live)} of {_or_unknown(now.markets_followed)} live"],
        "dislocated": _dislocated(view.markets),
        "feed": listed([f"{_or_unknown(now.sockets)} connected", reconnects, f"{frames} frames/s", *lag]),
        "workers": listed(workers) or [UNKNOWN],
        "memory": [f"{memory} in Redis"],
        **({} if now.tape_behind_ms is None else {"tape": _tape(now)}),
    }


def _tape(now: SystemStatus) -> list[str]:
    since = "nothing on disk yet" if now.tape_since_ms is None else f"kept since {utc_minute(now.tape_since_ms)}"
    return listed([since, f"{(now.tape_bytes or 0) / 1e6:,.1f} MB", f"{_or_unknown(now.tape_behind_ms, ' ms')} behind"])


def _dislocated(markets: Sequence[MarketRow]) -> list[str]:
    labels = [row.label for row in dislocated(markets)]
    return _named(f"{len(labels)}", labels) if labels else ["0"]


def _dark(dark: Sequence[Dark]) -> list[str]:
    texts = [f"{market.coin} ({market.cause}, since {utc_time(market.since_ms)})" for market in dark]
    return _named(counted(len(dark), "market"), texts)


def _named(number: str, texts: Sequence[str]) -> list[str]:
    """The number, and the first MAX_NAMED_MARKETS by name."""
    first, *others = [*listed(texts[:MAX_NAMED_MARKETS]), *_more(texts, MAX_NAMED_MARKETS)]
    return [f"{number}: {first}", *others]


def _more(texts: Sequence[str], limit: int) -> list[str]:
    return [f"and {len(texts) - limit} more"] if len(texts) > limit else []


def _repeated(name: str, texts: Sequence[str], *, style: str = "") -> list[Row]:
    return [Row(name="" if number else name, pieces=[text], style=style) for number, text in enumerate(texts)]


def _sum(total: int, parts: Sequence[str]) -> list[str]:
    if not parts:
        return [f"{total:,}"]
    first, *others = listed(parts)
    pieces = [f"{total:,} ({first}", *others]
    return [*pieces[:-1], f"{pieces[-1]})"]


def _percent(share: float | None) -> str:
    return UNKNOWN if share is None else f"{share * 100:.0f} %"


def _bps(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    text = f"{value:+,.2f}"
    return text.replace("-", MINUS) if text.strip("+-0.") else text[1:]


def _run_on(name: str, pieces: Sequence[str]) -> list[str]:
    """The pieces of a row within a line that continues with the next row."""
    named = [f"{name} {pieces[0]}", *pieces[1:]]
    return [*named[:-1], f"{named[-1]} |"]


def _or_unknown(value: int | None, unit: str = "") -> str:
    return UNKNOWN if value is None else f"{value:,}{unit}"
