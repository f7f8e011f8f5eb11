"""`make peers`: kombu's and Celery's own integration tests, on this project's transport, consumer and autoscaler.

The suites come from the sdists of the locked versions; without a package index they are skipped. A test that fails is
tried twice more, since the suites retry as well, and then with the stock classes: where those fail too, it does not
count. The exit code is 1 when another test failed than those of EXCEPTIONS.
"""

import json
import os
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.process import ROOT, environment
from tests.support.redis_server import RedisServer

FOLDER = Path(__file__).parent
SDISTS = ROOT / "build" / "peers"
PROCESSES = 4
"""The tests mostly wait, so that there may be more processes than cores."""
RUN_TIMEOUT_S = 150
TRIES = 3

LOOKUPS = "t/integration/test_redis.py::test_RedisRestoreBindingLookupFailure::test_failed_"
EXCEPTIONS = {
    f"{LOOKUPS}{what}_keeps_message_unacked[{connection}]": "no lookup can fail: a message has its queue with it"
    for what in ("requeue", "restore_visible")
    for connection in ("None", "connection1")
}
"""Tests that cannot hold for our classes, and why: ten at most."""


@dataclass(frozen=True)
class Suite:
    """Test files of one peer, and the number of priorities of its channels: the stock "ten", or "one"."""

    package: str
    files: tuple[str, ...]
    priorities: str = "ten"
    options: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    """Tests that start what others need, and say so nowhere; run before tests that are tried again."""

    @property
    def name(self) -> str:
        return f"{self.package}, {self.priorities} " + ("priority" if self.priorities == "one" else "priorities")


KOMBU = ("t/integration/test_redis.py", "t/integration/test_redis_brpop_qos.py")
CELERY = ("t/integration/test_inspect.py", "t/integration/test_tasks.py")
STARTS_WORKER = "t/integration/test_inspect.py::test_Inspect::test_ping"
SUITES = (
    Suite("kombu", KOMBU),
    Suite("kombu", KOMBU, priorities="one"),
    Suite("celery", CELERY, options=("-p", "celery.contrib.pytest"), first=(STARTS_WORKER,)),
)


class NoIndex(Exception):
    """The package index cannot be reached."""


def main() -> int:
    try:
        folders = {package: sdist(package) for package in ("kombu", "celery")}
    except NoIndex as error:
        print(f"skipped: the peers' suites are in their sdists, and no package index answers: {error}")
        return 0
    print("running the suites of kombu and Celery, some two minutes", flush=True)
    with TemporaryDirectory() as folder, ThreadPoolExecutor(len(SUITES)) as threads:
        trials = [
            Trial(suite, folders[suite.package], Path(folder, str(number))) for number, suite in enumerate(SUITES)
        ]
        wrong = list(threads.map(Trial.run, trials))
    for trial in trials:
        trial.report()
    return int(any(wrong))


def sdist(package: str) -> Path:
    """Return the folder with the suite of a package, of the version and with the hashes in requirements.lock."""
    requirement, version = locked(package)
    folder = SDISTS / f"{package}-{version}"
    if not folder.exists():
        SDISTS.mkdir(parents=True, exist_ok=True)
        wanted = SDISTS / f"{package}.lock"
        wanted.write_text(requirement, encoding="utf-8")
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "-q", "download")
        options = ("--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes")
        done = subprocess.run(
            [*pip, *options, "--dest", SDISTS, "-r", wanted], capture_output=True, text=True, timeout=RUN_TIMEOUT_S
        )
        if done.returncode and "HASHES" in done.stderr:
            raise SystemExit(done.stderr)
        if done.returncode:
            raise NoIndex(done.stderr.strip().splitlines()[-1])
        with tarfile.open(SDISTS / f"{package}-{version}.tar.gz") as archive:
            suite = [member for member in archive if "/t/" in member.name]
            archive.extractall(SDISTS, members=suite, filter="data")
    return folder


def locked(package: str) -> tuple[str, str]:
    """Return a package's lines in requirements.lock, and its version."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(f"{package}=="))
    last = next(number for number in range(first, len(lines)) if not lines[number].endswith("\\"))
    return "\n".join(lines[first : last + 1]) + "\n", lines[first].split("==")[1].split()[0]


class Trial:
    """One suite on our classes; what fails, again and with the stock classes."""

    def __init__(self, suite: Suite, sources: Path, folder: Path) -> None:
        self._suite, self._sources, self._folder = suite, sources, folder
        self._counts: Counter[str] = Counter()
        self._ours: list[str] = []
        self._both: list[str] = []
        self._problem = ""

    def run(self) -> bool:
        """Run the suite. Return whether a test fails that should not, or none could run."""
        self._folder.mkdir()
        with ExitStack() as stack:
            servers = [
                stack.enter_context(RedisServer(self._folder / str(number), "--save", ""))
                for number in range(PROCESSES)
            ]
            urls = " ".join(server.url for server in servers)
            outcomes = self._pytest("ours", urls, self._suite.files, processes=PROCESSES)
            self._counts.update(outcomes.values())
            failed = failures(outcomes)
            for _ in range(TRIES - 1):
                failed = self._retry("ours", urls, failed)
            self._both = self._retry("stock", urls, failed)
            self._ours = [test for test in failed if test not in self._both]
        return bool(not self._counts["passed"] or self._problem or set(self._ours) - set(EXCEPTIONS))

    def _retry(self, classes: str, urls: str, tests: Sequence[str]) -> list[str]:
        """Run tests one by one. Return those that fail."""
        return failures(self._pytest(classes, urls, (*self._suite.first, *tests))) if tests else []

    def _pytest(self, classes: str, urls: str, tests: Sequence[str], processes: int = 0) -> dict[str, str]:
        outcomes = self._folder / "outcomes.json"
        outcomes.unlink(missing_ok=True)
        plugins = ("-p", "tests.peers.plugin", "-p", "no:cacheprovider", *self._suite.options)
        options = ("-q", "--tb=short", "-c", str(FOLDER / "pytest.ini"), "--rootdir", ".", "-n", str(processes))
        variables = {
            "PEERS_SERVERS": urls,
            "PEERS_CLASSES": classes,
            "PEERS_PRIORITIES": self._suite.priorities,
            "PEERS_OUTCOMES": str(outcomes),
            "CELERY_CONFIG_MODULE": "tests.peers.plugin",
            "PYTHONPATH": f"{self._sources}{os.pathsep}{ROOT}",
        }
        with (self._folder / "pytest.log").open("ab") as log:
            try:
                subprocess.run(
                    [sys.executable, "-P", "-m", "pytest", *plugins, *options, *tests],
                    cwd=self._sources,
                    env=environment(**variables),
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    timeout=RUN_TIMEOUT_S,
                )
            except subprocess.TimeoutExpired:
                self._problem = f"did not end within {RUN_TIMEOUT_S} s"
        if not outcomes.exists():
            self._problem = self._problem or self._log_end()
            return {}
        return dict(json.loads(outcomes.read_text(encoding="utf-8")))

    def _log_end(self) -> str:
        return "\n".join((self._folder / "pytest.log").read_text(encoding="utf-8", errors="replace").splitlines()[-30:])

    def report(self) -> None:
        counts = ", ".join(f"{number} {outcome}" for outcome, number in sorted(self._counts.items()))
        print(f"{self._suite.name}: {counts or 'no test ran'}")
        for test in self._both:
            print(f"  stock  {test}: fails with the stock classes too")
        for test in self._ours:
            reason = EXCEPTIONS.get(test)
            print(f"  {'known' if reason else 'WRONG'}  {test}" + (f": {reason}" if reason else ""))
        if self._problem:
            print(f"  WRONG  {self._problem}")


def failures(outcomes: dict[str, str]) -> list[str]:
    return [test for test, outcome in outcomes.items() if outcome == "failed"]


if __name__ == "__main__":
    sys.exit(main())
