"""An event loop on virtual time: when every task waits, time jumps to the next timer. One thread, no real waiting."""

import asyncio
import selectors
from collections.abc import Mapping
from typing import Any

START_NS = 1_795_338_000_000_000_000
"""The wall clock when a universe begins: 2026-11-22, in ns since the epoch."""


class _Selector(selectors.BaseSelector):
    """Has no file that ever becomes ready; `select` moves the time instead of waiting."""

    def __init__(self) -> None:
        self.now_ns = 0
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        self._keys[fileobj] = selectors.SelectorKey(fileobj, fileobj, events, data)
        return self._keys[fileobj]

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("every task waits, and no timer is left")
        self.now_ns += max(0, round(timeout * 1e9))
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs tasks in the order of their timers; two runs of the same tasks are alike to the last step."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)
        self.wall_step_ms = 0
        """How far the wall clock was set forward (or, negative, back) since the start."""

    def time(self) -> float:
        return self._virtual.now_ns / 1e9

    def monotonic_ns(self) -> int:
        return self._virtual.now_ns

    def wall_ns(self) -> int:
        return START_NS + self._virtual.now_ns + self.wall_step_ms * 1_000_000

    def wall_ms(self) -> int:
        return self.wall_ns() // 1_000_000

    def true_ms(self) -> int:
        """The time of a clock that is never set, such as the venue's."""
        return (START_NS + self._virtual.now_ns) // 1_000_000

    def jump(self, seconds: float) -> None:
        """Let time pass while no task runs, as for a process that is stopped."""
        self._virtual.now_ns += round(seconds * 1e9)
