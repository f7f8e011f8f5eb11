"""Runs the calls of one client, and prints for each whether its result was right."""

import asyncio
import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

CALL_TIMEOUT_S = 30


class Calls:
    """Names of calls with what was wrong; a result is right when the check on it returns something true."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def expect(self, name: str, call: Callable[[], Any], check: Callable[[Any], object]) -> None:
        """Make one call, and check its result."""
        try:
            self._note(name, call(), check)
        except Exception:  # noqa: BLE001  # a client's own error is the finding
            self._print(name, traceback.format_exc())

    async def expect_soon(self, name: str, call: Callable[[], Awaitable[Any]], check: Callable[[Any], object]) -> None:
        """Make one asynchronous call, and check its result."""
        try:
            self._note(name, await asyncio.wait_for(call(), CALL_TIMEOUT_S), check)
        except Exception:  # noqa: BLE001
            self._print(name, traceback.format_exc())

    def finish(self) -> None:
        """Print the sum and end the process."""
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        sys.exit(1 if self.failed else 0)

    def _note(self, name: str, result: Any, check: Callable[[Any], object]) -> None:
        self._print(name, "" if check(result) else f"returned {result!r:.600}")

    def _print(self, name: str, problem: str) -> None:
        self.passed += not problem
        self.failed += bool(problem)
        print(f"  {'WRONG' if problem else 'right'}  {name}{': ' if problem else ''}{problem}", flush=True)
