"""A Redis-compatible server of a test's own, as `hip3 up` starts one."""

from pathlib import Path
from typing import Self

from hip3_tasks.store.keys import connect
from hip3_tasks.up.embedded_redis import command, find_server, free_port, is_ready
from tests.support.process import ProcessUnderTest
from tests.support.waiting import eventually


class RedisServer(ProcessUnderTest):
    """Keeps its data in `folder` over a restart, unless `options` forbid it. `user` is `NAME:PASSWORD@` in its URL."""

    def __init__(self, folder: Path, *options: str, log: Path | None = None, user: str = "") -> None:
        folder.mkdir(exist_ok=True)
        self.port = free_port()
        self.url = f"redis://{user}127.0.0.1:{self.port}/0"
        server = command(find_server(), port=self.port, directory=folder)
        super().__init__(*server, *options, log=log or folder / "redis.log")

    def start(self) -> Self:
        """Start it, and wait until it has read its data and answers."""
        super().start()
        with connect(self.url, timeout_s=1.0) as client:
            eventually("the server answers", lambda: is_ready(client) or not self.is_running, details=lambda: self.log)
        assert self.is_running, self.log
        return self
