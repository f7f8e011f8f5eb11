"""Faults of asset contexts."""

from typing import Any

from simulator.faults.fault import FrameData, Moment, VenueFault

SLOW_S, SLOWER_S = 5.4, 13.6
BEAT_S = 1.05
"""A little longer than the pause between two contexts of one market, so that each market gets one a period."""


def _as_number(value: Any) -> Any:
    return float(value) if isinstance(value, str) else value


def _numbers(ctx: FrameData, _: Moment) -> FrameData:
    return {field: _as_number(value) for field, value in ctx.items()}


def _nothing(_: FrameData, __: Moment) -> None:
    return None


def _first(ctx: FrameData, moment: Moment) -> FrameData:
    return dict(moment.memory.setdefault(moment.coin, ctx))


def _zero_mark(ctx: FrameData, _: Moment) -> FrameData:
    return ctx | {"markPx": "0.0"}


def _without_mid(ctx: FrameData, _: Moment) -> FrameData:
    return ctx | {"midPx": None, "impactPxs": None, "premium": None}


def _slow(ctx: FrameData, moment: Moment) -> FrameData | None:
    return ctx if moment.at_s % SLOW_S < BEAT_S else None


def _slower(ctx: FrameData, moment: Moment) -> FrameData | None:
    return ctx if moment.at_s % SLOWER_S < BEAT_S else None


CONTEXT_FAULTS = (
    VenueFault(name="bad-ctx", text="contexts have numbers where the venue writes text", ctx=_numbers),
    VenueFault(name="no-ctx", text="no context comes any more", ctx=_nothing),
    VenueFault(name="frozen-ctx", text="contexts repeat their first values, while books go on", ctx=_first),
    VenueFault(name="slow-ctx", text=f"contexts come every {SLOW_S} s", ctx=_slow),
    VenueFault(name="slower-ctx", text=f"contexts come every {SLOWER_S} s", ctx=_slower),
    VenueFault(name="zero-mark", text="the mark price is 0.0", ctx=_zero_mark),
    VenueFault(name="null-mid", text="contexts have no mid and no impact prices", ctx=_without_mid),
)
