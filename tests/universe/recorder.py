"""The recorder of some universes: it dies, is away and starts again; in the end a replay must give the files again.

It has choices of its own, so that a universe takes the same course with it and without.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import redis

from hip3_tasks.recording.compare import compare
from hip3_tasks.recording.recorder import Recorder
from hip3_tasks.store.keys import Keys
from hip3_tasks.store.tape_log import TapeLog
from hip3_tasks.tape import pieces
from tests.universe.chance import Chance, Killed
from tests.universe.laws import Broken
from tests.universe.server import Server

PERIOD_S = 0.9
MAX_AWAY_S = 8.0


class _Client:
    """The server as the recorder reaches it: away when it is, and refusing or silent by its own chance."""

    def __init__(self, server: Server, chance: Chance) -> None:
        self._server, self._chance = server, chance

    def __getattr__(self, name: str) -> Any:
        command = getattr(self._server.direct, name)
        return lambda *args, **kwargs: self._call(lambda: command(*args, **kwargs))

    def register_script(self, script: str) -> Any:
        run = self._server.direct.register_script(script)
        return lambda keys=(), args=(): self._call(lambda: run(keys=keys, args=args))

    def pipeline(self, transaction: bool = True) -> Any:
        return self._server.direct.pipeline(transaction=transaction)

    def _call(self, execute: Any) -> Any:
        if self._chance.happens("recorder dies at a call", 0.004):
            raise Killed("recorder")
        if self._server.is_away or self._chance.happens("recorder: a call is refused", 0.02):
            raise redis.ConnectionError("the server is away")
        if "NOPERM" in self._server.refusal:
            raise redis.ResponseError(self._server.refusal)
        return execute()


class RecorderProcess:
    """One recorder after the other."""

    def __init__(self, seed: int, *, server: Server, keys: Keys, data_dir: Path) -> None:
        self._chance = Chance(seed)
        self._server, self._keys, self._data_dir = server, keys, data_dir
        self._recorder: Recorder | None = None
        self._starts_at_s = 0.0

    def run(self, at_s: float) -> None:
        """Read on and write, unless it is away."""
        if at_s < self._starts_at_s:
            return
        try:
            with self._dying_disk():
                self._work()
        except Killed:
            self._recorder = None
            self._starts_at_s = at_s + self._chance.choice([0.0, self._chance.uniform(0, MAX_AWAY_S)])
        except redis.RedisError:
            pass

    def end(self) -> None:
        """Lose what it has read and not written."""
        self._recorder = None

    def finish(self, *, is_clock_sound: bool) -> None:
        """Record the rest of the tape without a fault, and hold the files against its replay. Raises Broken.

        A server that lost data may have lost a signal's entry that was recorded, before the signal was on file; and the
        next feed, which knows nothing of it, may make a signal in its place. If the clock was set as well, one time may
        have two histories.
        """
        self._chance.is_calm = True
        recorder = self._recorder or self._start()
        with self._dying_disk():
            while recorder.read():
                pass
            recorder.write(is_ending=True)
        result = compare(self._data_dir)
        is_broken = result.twice or result.damaged or (is_clock_sound and result.differing)
        if not self._server.lost_data:
            is_broken = not result.ok or result.known_then or result.better_known
        if is_broken:
            raise Broken(f"the files are not those of a replay: {result.model_dump(exclude={'data_dir'})}")

    def _work(self) -> None:
        recorder = self._recorder = self._recorder or self._start()
        while recorder.read():
            pass
        is_restarted = self._chance.happens("recorder starts anew", 0.2)
        recorder.write(is_ending=is_restarted)
        if is_restarted:
            self._recorder = None

    def _start(self) -> Recorder:
        recorder = Recorder(TapeLog(_Client(self._server, self._chance), self._keys), self._data_dir)  # type: ignore[arg-type]
        recorder.resume()
        return recorder

    @contextmanager
    def _dying_disk(self) -> Iterator[None]:
        """Let it die before a piece has its name, or right after."""

        def die(*_: object) -> None:
            if self._chance.happens("recorder dies writing a piece", 0.1):
                raise Killed("recorder")

        with patch.object(pieces, "os", SimpleNamespace(fsync=die)), patch.object(pieces, "sync_names", die):
            yield
