"""Waiting for a condition in another process, which has no event to wait on."""

import time
from collections.abc import Callable
from typing import Any


def eventually(what: str, is_true: Callable[[], Any], *, within_s: float = 30.0, every_s: float = 0.02) -> Any:
    """Wait for a condition; its value, or an error that says what was waited for."""
    until_s = time.monotonic() + within_s
    while not (value := is_true()):
        if time.monotonic() > until_s:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        time.sleep(every_s)
    return value
