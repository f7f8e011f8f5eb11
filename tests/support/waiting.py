"""Wait for a condition in another process, which has no event to wait on."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

TIMEOUT_S = 30.0
INTERVAL_S = 0.02


def no_details() -> str:
    return ""


def eventually(
    what: str,
    is_true: Callable[[], Any],
    *,
    within_s: float = TIMEOUT_S,
    interval_s: float = INTERVAL_S,
    details: Callable[[], str] = no_details,
) -> Any:
    """Wait until a condition is true, and return its value.

    Raises AssertionError that says what was not met within which time; `details` adds a log, for example.
    """
    until_s = time.monotonic() + within_s
    while not (value := is_true()):
        assert time.monotonic() < until_s, _not_met(what, within_s, details)
        time.sleep(interval_s)
    return value


async def eventually_async(
    what: str,
    is_true: Callable[[], Any],
    *,
    within_s: float = TIMEOUT_S,
    interval_s: float = INTERVAL_S,
    details: Callable[[], str] = no_details,
) -> Any:
    """Wait as `eventually` does, while the event loop goes on."""
    until_s = time.monotonic() + within_s
    while not (value := is_true()):
        assert time.monotonic() < until_s, _not_met(what, within_s, details)
        await asyncio.sleep(interval_s)
    return value


def _not_met(what: str, within_s: float, details: Callable[[], str]) -> str:
    return "\n".join(filter(None, [f"not within {within_s:g} s: {what}", details()]))
