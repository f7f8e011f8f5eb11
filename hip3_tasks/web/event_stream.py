"""The server-sent events of all viewers: first the full state, then what changed. Each is encoded once."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
from pydantic import BaseModel

from hip3_tasks.web.recent_signals import SignalRow
from hip3_tasks.web.snapshot import PageState, diff

RETRY_MS = 1_000
"""A browser waits for so long before it asks again for a stream that ended."""
MAX_VIEWERS = 200
FULL_RETRY_MS = 10_000
MAX_AGE_S = 5.0
"""A state older than this is as good as none."""


class Broadcast:
    """Belongs to the event loop. It queues nothing: a viewer who fell behind gets the full state again."""

    def __init__(self) -> None:
        self.state: PageState | None = None
        self.viewers = 0
        self._figures: dict[str, Any] = {}
        self._tick = 0
        self._full: bytes | None = None
        self._change = b""
        self._news = asyncio.Event()
        self._is_closed = False
        self._published_s = 0.0

    @property
    def is_live(self) -> bool:
        """Whether a state was published within MAX_AGE_S."""
        return self.state is not None and time.monotonic() - self._published_s <= MAX_AGE_S

    @property
    def is_well(self) -> bool:
        """Whether the state is live and health is not red."""
        return self.is_live and self.state is not None and self.state.ok

    def publish(self, state: PageState, *, changed: Sequence[SignalRow], figures: dict[str, Any]) -> None:
        """Show a state to every viewer, with the signals that changed and the figures that are new."""
        extra = ({"signals": changed} if changed else {}) | ({"figures": figures} if figures else {})
        change = b"" if self.state is None else _event(diff(self.state, state) | extra)
        self._figures |= figures
        self.state, self._full, self._change = state, None, change
        self._published_s = time.monotonic()
        self._tick += 1
        self._wake()

    def document(self) -> bytes:
        """The state as JSON; empty before the first."""
        return to_json(vars(self.state)) if self.state else b"{}"

    async def events(self) -> AsyncIterator[bytes]:
        """One viewer's stream, until the broadcast is closed or the viewer goes. A viewer too many gets `full`."""
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
                    yield self._change if is_next else self._full_event()
                if news is self._news:
                    await news.wait()
        finally:
            self.viewers -= 1

    def close(self) -> None:
        """End the stream of every viewer."""
        self._is_closed = True
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _full_event(self) -> bytes:
        if self._full is None:
            self._full = _event({"whole": True, **vars(self.state), "figures": self._figures})
        return self._full


def to_json(document: Any) -> bytes:
    """JSON of plain values, dataclasses and pydantic models."""
    return orjson.dumps(document, default=BaseModel.model_dump, option=orjson.OPT_NON_STR_KEYS)


def _event(document: dict[str, Any]) -> bytes:
    return b"data: " + to_json(document) + b"\n\n"
