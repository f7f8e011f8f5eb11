"""An app that has nothing to do with markets, as other projects would write it: examples/word_counts.py."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hip3_tasks.store.keys import connect
from tests.support.process import ProcessUnderTest, environment
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

TEXTS = [
    "to be or not to be",
    "or to be",
    "a sentence that is longer than twenty characters",
    "not a short one, not at all",
]
TEXTS = [f"{text} {number % 7}" for number, text in enumerate(TEXTS * 10)]
EXPECTED = Counter(" ".join(TEXTS).lower().split())
SLOW = """
import os, time
from celery.signals import task_prerun
from examples.word_counts import app

@task_prerun.connect(weak=False)
def _note(task_id, **_):
    with open(os.environ["NOTES"], "a") as file:
        file.write(task_id + "\\n")
    time.sleep(0.05)
"""


class Rig:
    def __init__(self, server: RedisServer, folder: Path) -> None:
        self.folder, self.notes = folder, folder / "notes"
        (folder / "slow_words.py").write_text(SLOW)
        self.environment = environment(
            CELERY_BROKER_URL=server.url,
            CELERY_RESULT_BACKEND=server.url,
            NOTES=str(self.notes),
            PYTHONPATH=str(folder),
        )

    @contextmanager
    def worker(self, app: str = "slow_words") -> Iterator[ProcessUnderTest]:
        command = [sys.executable, "-m", "celery", "-A", app, "worker", "--concurrency=2", "--queues=short,long"]
        log = self.folder / f"worker-{len(list(self.folder.glob('worker-*')))}.log"
        with ProcessUnderTest(*command, "--loglevel=INFO", log=log, env=self.environment) as process:
            eventually("the worker is ready", lambda: "ready." in process.log or not process.is_running)
            yield process

    def client(self) -> ProcessUnderTest:
        command = [sys.executable, "-m", "examples.word_counts", *TEXTS]
        return ProcessUnderTest(*command, log=self.folder / "client.log", env=self.environment)

    def ran(self) -> list[str]:
        return self.notes.read_text().split() if self.notes.exists() else []


@pytest.fixture
def rig(own_server: RedisServer, tmp_path: Path) -> Rig:
    return Rig(own_server, tmp_path)


def test_a_killed_worker_loses_no_message_of_two_queues_and_two_priorities(rig: Rig, own_server: RedisServer) -> None:
    with rig.worker() as first, rig.client() as client:
        eventually("some ran", lambda: len(rig.ran()) >= len(TEXTS) // 4, details=lambda: first.log)
        first.kill()
        with rig.worker() as second:
            assert client.wait() == 0, client.log + second.log[-3000:]
            lines = [line.split() for line in client.log.splitlines()]
            assert {word: int(times) for times, word in lines} == EXPECTED
            with connect(own_server.url) as redis_client:
                eventually("all is acknowledged", lambda: not redis_client.exists("unacked", "short", "long"))
            # The chord's last task, and those that the first worker did not finish once more.
            assert len(set(rig.ran())) == len(TEXTS) + 1


def test_a_consumer_that_cannot_be_served_ends_the_worker_with_one_line_that_says_why(rig: Rig) -> None:
    (rig.folder / "refused_words.py").write_text(
        "from kombu import Queue\nfrom examples.word_counts import app\n"
        "app.conf.task_queues = [Queue('short', no_ack=True), Queue('long')]\n"
    )
    with rig.worker("refused_words") as worker:
        assert worker.wait() != 0
        (line, *_) = [line for line in worker.log.splitlines() if "Unrecoverable error" in line]
        assert "cannot consume with acknowledgements from some queues and without from others" in line
        assert "use two connections" in line
