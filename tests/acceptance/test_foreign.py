"""`hip3 up` works in the directory of another Celery project, and does not use that project's app or files."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
from celery import Celery

from tests.support.process import CELERY, HIP3, ProcessUnderTest, environment, run
from tests.support.up_system import UpSystem
from tests.support.waiting import eventually

pytestmark = [pytest.mark.acceptance]

THEIRS = "theirs"
SOON = {"HIP3_OFFSETS_MS": "500,1000,1500"}
RAISES = "raise RuntimeError('imported a module of the working directory')\n"


class Foreign:
    """Another project with a `celeryconfig.py`, folders named like the services here, and three waiting tasks."""

    def __init__(self, folder: Path, url: str, queue: str) -> None:
        self.folder, self.queue, self.client = folder, queue, redis.Redis.from_url(url)
        folder.mkdir()
        (folder / "celeryconfig.py").write_text(f"broker_url = {url!r}\ntask_default_queue = {queue!r}\n")
        for name in ("feed", "workers", "simulator"):
            (folder / name).mkdir()
            (folder / name / "__init__.py").write_text(RAISES)
        app = Celery(THEIRS, broker=url, set_as_current=False)
        app.conf.task_default_queue = queue
        for number in range(3):
            app.send_task("theirs.task", args=[number])
        self.before = self.messages()
        assert len(self.before) == 3
        # Settings that a shell of the other project may have exported.
        self.environment = {"CELERY_BROKER_URL": url, "BROKER_URL": url, "CELERY_WORKER_QUEUES": queue}

    def messages(self) -> list[bytes]:
        return list(self.client.lrange(self.queue, 0, -1))


@pytest.fixture
def foreign(redis_url: str, name: str, tmp_path: Path) -> Foreign:
    return Foreign(tmp_path / "foreign", redis_url, f"{name}-theirs")


@pytest.fixture
def system(foreign: Foreign, tmp_path: Path) -> Iterator[UpSystem]:
    """`hip3 up`, started in the directory of the other project."""
    system = UpSystem(tmp_path / "data", "--rate", "5", cwd=foreign.folder, **foreign.environment, **SOON)
    yield system
    system.process.terminate()
    system.finish()
    system.wait_until_gone()


@pytest.mark.slow
def test_every_way_of_starting_uses_our_settings_modules_and_queue(foreign: Foreign, system: UpSystem) -> None:
    eventually("last follow-ups", lambda: any(line["offset_ms"] == 1500 for line in system.lines("followups")))
    where = {"HIP3_DATA_DIR": str(system.data_dir), "CELERY_BROKER_URL": foreign.environment["CELERY_BROKER_URL"]}
    our_queue = json.loads((system.data_dir / "run.json").read_bytes())["name"]

    def celery(*arguments: str) -> str:
        done = run(*CELERY, *arguments, cwd=foreign.folder, **where)
        assert done.returncode == 0, done.stderr
        return done.stdout

    signal_id = system.lines("signals")[0]["signal_id"]
    commands = [
        ("inspect", "active_queues"),
        ("status",),
        ("inspect", "stats", "--json"),
        ("call", "hip3_tasks.capture_followup", "--args", json.dumps([signal_id, 1000])),
    ]
    with ThreadPoolExecutor() as pool:  # each waits a second for answers
        queues, status, *others = pool.map(lambda command: celery(*command), commands)
    assert our_queue in queues
    assert "1 node online" in status
    assert all(others)
    started: dict[tuple[str, ...], ProcessUnderTest] = {}
    programs = {
        ("worker", "--concurrency=1", "--hostname=second@%h", "--loglevel=INFO"): ("second@", "ready."),
        ("flower", "--port=0"): ("Connected to redis://",),
    }
    with ExitStack() as running:
        for command in programs:
            log, env = foreign.folder / f"{command[0]}.log", environment(**where)
            program = ProcessUnderTest(*CELERY, *command, log=log, cwd=foreign.folder, env=env)
            started[command] = running.enter_context(program)
        for command, ready in programs.items():
            started[command].wait_for(*ready, within_s=30)
            assert THEIRS not in started[command].log and "Traceback" not in started[command].log
            started[command].terminate()
        for program in started.values():
            program.wait(30)
    assert foreign.messages() == foreign.before
    system.process.terminate()
    assert system.finish()["pending"] == 0
    audited = run(*HIP3, "audit", str(system.data_dir))
    assert audited.returncode == 0, audited.stdout
    assert foreign.messages() == foreign.before


IMPORTS_NOTHING_OF_OURS = """
import sys
from celery import current_app
print(current_app.conf.task_default_queue)
ours = [name for name in sys.modules if name.partition(".")[0] in ("hip3_tasks", "feed", "workers", "simulator")]
assert not ours, ours
"""


def test_other_programs_of_the_environment_are_left_alone(foreign: Foreign, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, queue in ((foreign.folder, foreign.queue), (tmp_path / "empty", "celery")):
        done = subprocess.run(
            [sys.executable, "-c", IMPORTS_NOTHING_OF_OURS],
            cwd=folder,
            env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stdout.strip()) == (0, queue), done.stderr


KEEPS_ITS_OWN = """
from celery import Celery, current_app
theirs = Celery("theirs", broker="memory://")
import hip3_tasks.celery
assert current_app.main == "theirs"
import workers
"""


def test_a_program_that_imports_our_app_keeps_its_own_and_its_packages(foreign: Foreign) -> None:
    done = run(sys.executable, "-c", KEEPS_ITS_OWN, cwd=foreign.folder)
    assert done.stderr.rstrip().endswith(RAISES.split("'")[1]), done.stderr


@pytest.mark.parametrize("command", ["worker", "status", "flower", "call x", "inspect ping"])
def test_a_configuration_error_is_one_line_and_exit_2(command: str, tmp_path: Path) -> None:
    done = run(*CELERY, *command.split(), cwd=tmp_path)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("[I ")]
    assert done.returncode == 2
    assert len(lines) == 1
    assert lines[0].startswith("Error: no Redis: HIP3_REDIS_URL is not set")


IMPORT_ALL = """
import pkgutil, sys
from collections import defaultdict
from importlib import import_module
from hip3_tasks import celery, services
celery.app.loader.init_worker()
sys.path.insert(0, str(services.ROOT))
for package in ("hip3_tasks", "feed", "workers", "simulator"):
    for module in pkgutil.walk_packages(import_module(package).__path__, package + "."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
names = defaultdict(set)
for name, module in sys.modules.copy().items():
    place = getattr(getattr(module, "__spec__", None), "origin", None)
    if place and place.startswith(str(services.ROOT)) and "site-packages" not in place:
        names[place].add(name)
twice = {place: found for place, found in names.items() if len(found) > 1}
assert len(names) > 150, len(names)
assert not twice, twice
"""


def test_each_module_has_one_name(redis_url: str, tmp_path: Path) -> None:
    done = run(sys.executable, "-P", "-c", IMPORT_ALL, cwd=tmp_path, HIP3_REDIS_URL=redis_url)
    assert done.returncode == 0, done.stderr
