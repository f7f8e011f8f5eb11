"""What all viewers see, written once for all of them: server-sent events, a whole snapshot first, then what changed."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson

from hip3_tasks.web.recent_signals import SignalRow
from hip3_tasks.web.snapshot import PageState

RETRY_MS = 1_000
"""How long a browser waits before it asks again for a stream that ended."""
MAX_VIEWERS = 200
FULL_RETRY_MS = 10_000
MAX_AGE_S = 5.0
"""A broadcast that shows nothing newer is as good as none."""


class Broadcast:
    """Belongs to the event loop. A viewer who fell behind gets the whole again, and nothing is kept for anybody."""

    def __init__(self) -> None:
        self.state: PageState | None = None
        self.viewers = 0
        self._figures: dict[str, Any] = {}
        self._tick = 0
        self._whole: bytes | None = None
        self._change = b""
        self._news = asyncio.Event()
        self._is_closed = False
        self._published_s = 0.0

    @property
    def is_live(self) -> bool:
        """Whether something was published lately."""
        return self.state is not None and time.monotonic() - self._published_s <= MAX_AGE_S

    @property
    def is_well(self) -> bool:
        """Whether it was, and health is not red."""
        return self.is_live and self.state is not None and self.state.ok

    def publish(self, state: PageState, *, changed: Sequence[SignalRow], figures: dict[str, Any]) -> None:
        """Show a state to everyone; `changed` are the signals that are not as they were, `figures` the new ones."""
        change = b"" if self.state is None else _event(_change(self.state, state, changed, figures))
        self._figures |= figures
        self.state, self._whole, self._change = state, None, change
        self._published_s = time.monotonic()
        self._tick += 1
        self._wake()

    def document(self) -> bytes:
        """The snapshot as JSON; empty before the first."""
        return orjson.dumps(self.state.document(), option=orjson.OPT_NON_STR_KEYS) if self.state else b"{}"

    async def events(self) -> AsyncIterator[bytes]:
        """One viewer's stream, until the broadcast is closed or the viewer goes; one too many is told so."""
        if self.viewers >= MAX_VIEWERS:
            yield b"retry: %d\nevent: full\ndata: %d\n\n" % (FULL_RETRY_MS, MAX_VIEWERS)
            return
        self.viewers += 1
        try:
            yield b"retry: %d\n\n" % RETRY_MS
            seen = 0
            while not self._is_closed:
                news = self._news
                if seen != self._tick:
                    is_next, seen = seen and seen == self._tick - 1, self._tick
                    yield self._change if is_next else self._whole_event()
                if news is self._news:
                    await news.wait()
        finally:
            self.viewers -= 1

    def close(self) -> None:
        """Let every viewer's stream end."""
        self._is_closed = True
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _whole_event(self) -> bytes:
        if self._whole is None:
            assert self.state is not None
            self._whole = _event({"whole": True, **self.state.document(), "figures": self._figures})
        return self._whole


def _change(before: PageState, now: PageState, changed: Sequence[SignalRow], figures: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = now.head()
    known = {row.coin: row for row in before.markets}
    if rows := [row for row in now.markets if known.get(row.coin) != row]:
        document["markets"] = rows
    if known.keys() != {row.coin for row in now.markets}:
        document["coins"] = [row.coin for row in now.markets]
    if changed:
        document |= {"signals": changed, "verdicts": now.verdicts}
    if now.pipeline is not before.pipeline:
        document["pipeline"] = now.pipeline.model_dump() if now.pipeline else None
    if now.flower_url != before.flower_url:
        document["flower_url"] = now.flower_url
    if figures:
        document["figures"] = figures
    return document


def _event(document: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS) + b"\n\n"
