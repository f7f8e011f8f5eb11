"""The feed's threads: its event loop waits for no disk, no lock and no answer of Redis."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Threads:
    """One thread writes to disk, one talks to Redis, and one reads files, which may wait for a worker's lock."""

    def __init__(self) -> None:
        self._disk, self._redis, self._files = (ThreadPoolExecutor(1, name) for name in ("disk", "redis", "files"))

    async def on_disk(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work, *args)

    async def on_redis(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._redis, work, *args)

    async def on_files(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._files, work, *args)

    def close(self, *, at_once: bool) -> None:
        """End the threads after their work, or `at_once` without waiting for it."""
        for thread in (self._disk, self._redis, self._files):
            thread.shutdown(wait=not at_once, cancel_futures=at_once)
