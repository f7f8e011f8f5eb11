"""Redis behind TLS and a password: all parts use one URL, and no output contains the password."""

import json
import signal
import socket
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import redis

from hip3_tasks.run_file import RunFile
from hip3_tasks.up.embedded_redis import free_port
from tests.acceptance.test_up import OFFSETS_MS, assert_audit_is_clean, outcomes
from tests.support.process import CELERY, HIP3, ProcessUnderTest, environment, run
from tests.support.proxy import Proxy, has_openssl, make_certificate, tls_context
from tests.support.up_system import UpSystem
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.slow,
    pytest.mark.skipif(not has_openssl, reason="no openssl here to make a certificate"),
]

PASSWORD = "S3cret@W/rd;1"
ENCODED = "S3cret%40W%2Frd%3B1"
MARKS = ("S3cret", "W/rd", "W%2Frd")
CALL = [*CELERY, "call", "hip3_tasks.capture_followup", "--args"]


@pytest.fixture
def user(server_client: redis.Redis, name: str) -> Iterator[str]:
    """A user of the server, with a password."""
    server_client.acl_setuser(
        name, enabled=True, passwords=[f"+{PASSWORD}"], keys=["*"], channels=["*"], commands=["+@all"]
    )
    yield name
    server_client.acl_deluser(name)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    return make_certificate(tmp_path)


@pytest.fixture
def port(redis_url: str, certificate: tuple[Path, Path]) -> Iterator[int]:
    with Proxy(urlsplit(redis_url).port or 6379, tls=tls_context(*certificate)) as proxy:
        yield proxy.port


def assert_no_secret_in(*texts: str) -> None:
    for text in texts:
        assert not [mark for mark in MARKS if mark in text], text


def files(data_dir: Path) -> list[str]:
    """The content of all files in a directory, except the run file, which only its owner may read."""
    paths = [path for path in data_dir.rglob("*") if path.is_file()]
    return [path.read_text(errors="replace") for path in paths if path != RunFile.path(data_dir)]


def command_lines(system: UpSystem) -> list[str]:
    return [" ".join(process.cmdline()) for process in [psutil.Process(system.process.pid), *system.others()]]


def pages(url: str, worker: str) -> list[str]:
    """The pages that Flower shows without a login."""
    paths = ["/", "/broker", f"/worker/{worker}", "/tasks", "/api/workers?refresh=1", "/api/queues/length"]
    bodies = []
    for path in paths:
        with urllib.request.urlopen(url + path, timeout=20) as page:
            bodies.append(page.read().decode())
    return bodies


def test_capture_over_tls_never_shows_the_password(
    user: str, name: str, port: int, certificate: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWER_UNAUTHENTICATED_API", "true")
    url = f"rediss://{user}:{ENCODED}@127.0.0.1:{port}/0?ssl_ca_certs={certificate[0]}"
    where = {"HIP3_DATA_DIR": str(tmp_path / "data"), "HIP3_REDIS_URL": url, "HIP3_NAME": name}
    system = UpSystem(
        tmp_path / "data", "--rate", "5", **where, HIP3_LOG_LEVEL="debug", HIP3_OFFSETS_MS="500,1000,1500"
    )
    outputs = []
    try:
        eventually("a signal's outcomes", lambda: len(outcomes(system)) >= len(OFFSETS_MS), within_s=60)
        eventually("Flower answers", lambda: (note := RunFile.read(system.data_dir)) and answers(note.flower_url))
        signal_id = outcomes(system)[0]["signal_id"]
        commands = [
            [*HIP3, "status"],
            [*HIP3, "recapture", signal_id],
            [*CALL, json.dumps([signal_id, 1000])],
            [*CELERY, "inspect", "stats", "--json"],
            [*CELERY, "inspect", "conf", "--json"],
            [*CELERY, "report"],
        ]
        with ThreadPoolExecutor() as pool:  # two of them wait a second for answers
            for ended in pool.map(lambda command: run(*command, **where), commands):
                assert ended.returncode == 0, ended.stderr
                outputs += [ended.stdout, ended.stderr]
        note = RunFile.read(system.data_dir)
        assert note and note.flower_url
        shown = pages(note.flower_url, f"{name}@{socket.gethostname()}")
        assert f"{name}:captures" in shown[-1], "Flower does not see the queue"
        outputs += [*shown, *command_lines(system)]
        system.process.send_signal(signal.SIGTERM)
        code, out, err = system.wait()
        assert code == 0, err
        assert json.loads(out)["pending"] == 0
        assert_audit_is_clean(system.data_dir)
        assert_no_secret_in(out, err, *outputs, *files(system.data_dir))
    finally:
        system.process.kill()


def answers(url: str | None) -> bool:
    try:
        urllib.request.urlopen(f"{url}/healthcheck", timeout=5).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("what", "fault"),
    [
        ("password", "invalid username-password pair"),
        ("certificate", "certificate verify failed"),
        ("server", "connecting to 127.0.0.1"),
    ],
)
def test_a_server_that_cannot_be_used_is_a_line_without_the_password(
    what: str, fault: str, user: str, name: str, port: int, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    options = "" if what == "certificate" else f"?ssl_ca_certs={certificate[0]}"
    port = free_port() if what == "server" else port
    password = f"{ENCODED}x" if what == "password" else ENCODED
    where = {
        "HIP3_DATA_DIR": str(tmp_path / "data"),
        "HIP3_REDIS_URL": f"rediss://{user}:{password}@127.0.0.1:{port}/0{options}",
        "HIP3_NAME": name,
    }
    with processes_that_log(fault, tmp_path, where) as outputs:
        for command in ([*HIP3, "up", "--no-flower"], [*HIP3, "status", "--check"]):
            ended = run(*command, **where)
            assert ended.returncode in (1, 2)
            assert fault in ended.stderr or f"no Redis at 127.0.0.1:{port}" in ended.stderr
            outputs += [ended.stdout, ended.stderr]
    for text in outputs:
        assert "Traceback" not in text
    assert_no_secret_in(*outputs, *files(tmp_path / "data"))


@contextmanager
def processes_that_log(fault: str, tmp_path: Path, where: dict[str, str]) -> Iterator[list[str]]:
    """Run a feed and a worker until both have logged the fault; then add their logs to the list."""
    logs_at_end: list[str] = []
    commands = {
        "feed": [sys.executable, "-m", "feed"],
        "worker": [*CELERY, "worker", "--concurrency=1", "--loglevel=DEBUG"],
    }
    # A separate directory, because the feed's lock would stop `hip3 up`.
    env = environment(**where | {"HIP3_DATA_DIR": str(tmp_path / "other")})
    with ExitStack() as running:
        processes = [
            running.enter_context(ProcessUnderTest(*command, log=tmp_path / f"{part}.log", env=env))
            for part, command in commands.items()
        ]
        yield logs_at_end
        for process in processes:
            process.wait_for(fault)
    logs_at_end += [process.log for process in processes]
