"""A worker without a feed, under the commands of an operator: Celery's own, signals, and log files."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import gethostname

import pytest

from hip3_tasks.clock import wall_ms
from hip3_tasks.store.keys import Keys, connect
from hip3_tasks.store.store import Store
from hip3_tasks.up.embedded_redis import free_port
from tests.support.malformed_messages import task
from tests.support.process import CELERY, HIP3, ProcessUnderTest, environment, run
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


class WorkerRig:
    """Workers of one feed name on a server, and Celery's command line for them."""

    def __init__(self, url: str, name: str, folder: Path) -> None:
        self.url, self.name, self.folder = url, name, folder
        self.settings = {"HIP3_REDIS_URL": url, "HIP3_NAME": name, "HIP3_DATA_DIR": str(folder / "data")}
        self._started = 0

    @contextmanager
    def worker(self, *options: str, **changes: str) -> Iterator[ProcessUnderTest]:
        self._started += 1
        log = self.folder / f"worker-{self._started}.log"
        quick = ("--without-gossip", "--without-mingle", "--loglevel=INFO", *(options or ["--concurrency=1"]))
        env = environment(**(self.settings | changes))
        with ProcessUnderTest(*CELERY, "worker", *quick, log=log, env=env) as process:
            eventually("a status", lambda: self._has_status(process.pid) or not process.is_running)
            assert process.is_running, process.log
            yield process

    def _has_status(self, pid: int) -> bool:
        with connect(self.url) as client:
            return pid in [worker.pid for worker in Store(client, Keys(self.name)).workers()]

    def nodes(self) -> int:
        """The number of workers that answer."""
        done = run(*CELERY, "status", **self.settings)
        return done.stdout.count(": OK")

    def celery(self, *arguments: str, **changes: str) -> str:
        done = run(*CELERY, *arguments, **(self.settings | changes))
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def rig(redis_url: str, name: str, tmp_path: Path) -> WorkerRig:
    return WorkerRig(redis_url, name, tmp_path)


def test_status_has_each_worker_and_the_size_that_an_operator_gave_its_pool(rig: WorkerRig) -> None:
    with connect(rig.url) as client:
        store = Store(client, Keys(rig.name))

        def sizes() -> list[tuple[int, int]]:
            return [(worker.processes, worker.most_processes) for worker in store.workers()]

        # Both have the default node name of this host.
        with rig.worker("--autoscale=4,1") as first, rig.worker("--concurrency=1") as second:
            eventually("both are shown", lambda: sorted(sizes()) == [(1, 1), (1, 4)])
            assert {worker.pid for worker in store.workers()} == {first.pid, second.pid}
            rig.celery("control", "autoscale", "3", "1")
            rig.celery("control", "pool_grow", "1")
            eventually("their new sizes", lambda: sorted(sizes()) == [(1, 3), (2, 2)])
            second.terminate()
            eventually("the one that ended is gone", lambda: sizes() == [(1, 3)])


def test_commands_reach_the_workers_of_their_control_name_alone(rig: WorkerRig, tmp_path: Path) -> None:
    other = WorkerRig(rig.url, f"{rig.name}-other", tmp_path)
    with rig.worker("--concurrency=1", "-n", "a@%h") as ours, other.worker("--concurrency=1", "-n", "b@%h") as theirs:
        assert (rig.nodes(), other.nodes()) == (1, 1)
        run(*CELERY, "control", "shutdown", **other.settings)
        assert theirs.wait() == 0
        assert ours.is_running and rig.nodes() == 1
        shared = {"HIP3_CONTROL_NAME": rig.name}
        with other.worker("--concurrency=1", "-n", "b@%h", **shared):
            assert (rig.nodes(), other.nodes()) == (2, 0)


def test_a_revoke_leaves_no_warning_in_the_log(rig: WorkerRig) -> None:
    with rig.worker() as process:
        rig.celery("control", "revoke", "xyz:TSLA-1795338701358:1000")
        assert "xyz:TSLA-1795338701358:1000" in rig.celery("inspect", "revoked")
        assert "WARNING" not in process.log


def test_a_lost_connection_is_named_without_advice_on_settings(name: str, tmp_path: Path) -> None:
    with (
        RedisServer(tmp_path / "server") as server,
        WorkerRig(server.url, name, tmp_path).worker() as process,
    ):
        server.terminate()
        server.wait()
        process.wait_for("Connection to broker lost")
        server.start()
        eventually("it is connected again", lambda: process.log.count("Connected to redis") == 2)
        assert "CPendingDeprecationWarning" not in process.log


def test_a_server_that_refuses_ends_no_worker_and_what_it_holds_runs_in_time(name: str, tmp_path: Path) -> None:
    queue = Keys(name).queue
    with (
        RedisServer(tmp_path / "server") as server,
        connect(server.url) as client,
        WorkerRig(server.url, name, tmp_path).worker() as process,
    ):
        due_ms = wall_ms() + 5_000
        # It fails when it runs, since its signal is not known.
        client.lpush(queue, task(1, queue=queue, eta_ms=due_ms))
        process.wait_for("received")
        client.replicaof("127.0.0.1", "1")
        process.wait_for("read only replica")
        client.replicaof("NO", "ONE")
        process.wait_for("followup_failed")
        assert wall_ms() - due_ms < 5_000, "it came back by its visibility timeout of 15 s"
        assert process.is_running
        assert "Traceback" not in process.log


def test_sighup_restarts_a_worker_with_its_command_line(rig: WorkerRig) -> None:
    with rig.worker("--concurrency=1", "-n", "a@%h") as process:
        process.send_signal(signal.SIGHUP)
        eventually("it is ready again", lambda: process.log.count(f"a@{gethostname()} ready.") == 2)
        assert process.is_running and rig.nodes() == 1


@pytest.mark.parametrize("command", ["inspect conf", "report"])
def test_celery_shows_settings_alone_with_the_names_of_keys_and_no_password(command: str, rig: WorkerRig) -> None:
    with connect(rig.url) as client:
        client.acl_setuser(rig.name, enabled=True, passwords=["+secret"], keys="*", channels="*", categories=["+@all"])
        rig.settings["HIP3_REDIS_URL"] = rig.url.replace("//", f"//{rig.name}:secret@")
        with rig.worker():
            shown = rig.celery(*command.split())
        client.acl_deluser(rig.name)
    keys = Keys(rig.name)
    assert all(name in shown for name in (keys.unacked, keys.quarantine, keys.queue))
    assert "secret" not in shown
    assert not [word for word in ("Hip3Error", "TRANSPORT_ALIASES", "Keys") if word in shown]


STARTS = """
import sys

if "worker" in sys.orig_argv:
    import billiard

    billiard.set_start_method({!r}, force=True)
"""
QUARANTINED = '"event": "message_quarantined"'


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_log_lines_go_where_celerys_log_goes_also_after_a_rotation(start_method: str, rig: WorkerRig) -> None:
    path, old = rig.folder / "celery.log", rig.folder / "celery.log.1"
    (rig.folder / "sitecustomize.py").write_text(STARTS.format(start_method))
    with connect(rig.url) as client:
        keys = Keys(rig.name)
        with rig.worker("--concurrency=1", f"--logfile={path}", PYTHONPATH=str(rig.folder)) as process:
            client.lpush(keys.queue, b"not a message", task(0, queue=keys.queue))
            eventually("both lines", lambda: QUARANTINED in path.read_text() and "followup_failed" in path.read_text())
            path.rename(old)
            client.lpush(keys.queue, b"not a message")
            eventually("the new file", lambda: path.exists() and QUARANTINED in path.read_text())
            assert old.read_text().count(QUARANTINED) == 1
            assert '"event"' not in process.log
            lines = [line for line in old.read_text().splitlines() if line.startswith("{")]
            assert {json.loads(line)["event"] for line in lines} == {"message_quarantined", "followup_failed"}


@pytest.mark.parametrize("command", [(*CELERY, "worker"), (sys.executable, "-m", "feed"), (*HIP3, "record")])
def test_a_server_in_cluster_mode_is_refused_in_one_line(command: tuple[str, ...], name: str, tmp_path: Path) -> None:
    # Otherwise its second port is the first + 10,000, which may be taken.
    cluster = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    with RedisServer(tmp_path / "server", *cluster) as server:
        done = run(*command, **WorkerRig(server.url, name, tmp_path).settings)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "the Redis is in cluster mode" in line and "HIP3_REDIS_URL" in line
