"""The transport of one app: by TLS, socket and Sentinel, beside an app with kombu's own; and its client per pool."""

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kombu
import pytest
import redis
from celery import Celery
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as stock

from hip3_tasks.transport import AMQP, enable
from hip3_tasks.transport.channel import Channel, NotSupported, Transport
from hip3_tasks.up.embedded_redis import find_server, free_port
from tests.support.malformed_messages import task
from tests.support.process import ProcessUnderTest, run
from tests.support.proxy import Proxy, has_openssl, make_certificate, tls_context
from tests.support.receiver import Receiver, options
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


def an_app(url: str, name: str, *, is_enabled: bool = True, **changes: Any) -> Celery:
    app = Celery(name, broker=url, set_as_current=False)
    app.conf.update(broker_transport_options=options(name, **changes), task_default_queue=name)
    if is_enabled:
        enable(app)
    return app


def receive(app: Celery, queue: str) -> kombu.Connection:
    """Publish a message by the app, and receive it through its connection, which is returned open."""
    with app.producer_or_acquire() as producer:
        app.send_task("anything", producer=producer)
    received: list[kombu.Message] = []
    connection = app.connection_for_read()
    with connection.Consumer([app.amqp.queues[queue]], on_message=received.append, accept=["json"]):
        eventually("the message", lambda: (connection.drain_events(timeout=5), received)[-1])
    received[0].ack()
    return connection


@pytest.fixture
def tls_url(redis_url: str, tmp_path: Path) -> Iterator[str]:
    certificate = make_certificate(tmp_path)
    with Proxy(urlsplit(redis_url).port or 0, tls=tls_context(*certificate)) as proxy:
        yield f"rediss://127.0.0.1:{proxy.port}/0?ssl_cert_reqs=required&ssl_ca_certs={certificate[0]}"


@pytest.fixture
def socket_url(tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "s"
    with RedisServer(tmp_path / "server", "--unixsocket", str(path)):
        yield f"redis+socket://{path}"


def test_two_apps_of_a_process_have_each_its_own_transport(redis_url: str, name: str) -> None:
    aliases = dict(TRANSPORT_ALIASES)
    plain, ours = an_app(redis_url, f"{name}-plain", is_enabled=False), an_app(redis_url, name)
    with receive(ours, name) as mine, receive(plain, f"{name}-plain") as other:
        assert type(mine.transport) is Transport and type(mine.default_channel) is Channel
        assert type(other.transport) is stock.Transport and type(other.default_channel) is stock.Channel
        with mine.clone() as again:
            assert type(again.transport) is Transport
    assert aliases == TRANSPORT_ALIASES
    assert type(kombu.Connection(redis_url).transport) is stock.Transport
    for app in plain, ours:
        app.close()


def test_a_pickled_copy_of_the_app_keeps_its_transport(redis_url: str, name: str) -> None:
    # As a spawned pool process gets it.
    copy = pickle.loads(pickle.dumps(an_app(redis_url, name)))
    with copy.connection_for_read() as connection:
        assert type(connection.transport) is Transport


def test_enabling_is_done_at_any_time_and_imports_no_transport(redis_url: str, name: str) -> None:
    app = an_app(redis_url, name, is_enabled=False)
    assert type(app.amqp).__module__ == "celery.app.amqp"
    enable(app)
    enable(app)
    assert app.amqp.Connection.__module__ == "hip3_tasks.transport.connection"
    code = "import sys; from hip3_tasks.celery import app; print(*sys.modules)"
    assert "kombu.transport.redis" not in run(sys.executable, "-c", code).stdout.split()


def test_an_app_with_an_amqp_class_of_its_own_is_refused(name: str) -> None:
    app = Celery(name, amqp="elsewhere:Own", set_as_current=False)
    with pytest.raises(ValueError, match=f"elsewhere:Own; let it inherit {AMQP}"):
        enable(app)


def test_another_broker_than_redis_is_refused(name: str) -> None:
    app = an_app("amqp://127.0.0.1:1", name)
    with pytest.raises(NotSupported, match="broker amqp: this transport serves redis, rediss, sentinel"):
        app.connection_for_read().connect()


@pytest.mark.skipif(not has_openssl, reason="no openssl here to make a certificate")
def test_tls_is_kept_and_the_url_shown(tls_url: str, name: str) -> None:
    with receive(an_app(tls_url, name), name) as connection:
        assert type(connection.transport) is Transport
        assert connection.default_channel.client.connection_pool.connection_class.__mro__[1] is redis.SSLConnection
        assert connection.as_uri() == tls_url.partition("?")[0].replace("//", "//:**@")


def test_a_socket_path_works_and_is_shown(socket_url: str, name: str) -> None:
    with receive(an_app(socket_url, name), name) as connection:
        assert type(connection.transport) is Transport
        assert connection.as_uri() == socket_url


def test_the_password_of_a_url_is_not_shown(name: str) -> None:
    connection = an_app("redis://:secret@127.0.0.1:1/3", name).connection_for_read()
    assert connection.as_uri() == "redis://:**@127.0.0.1:1/3"


@pytest.fixture
def sentinel_url(own_server: RedisServer, tmp_path: Path) -> Iterator[str]:
    port, config = free_port(), tmp_path / "sentinel.conf"
    config.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\nsentinel monitor main 127.0.0.1 {own_server.port} 1\n"
    )
    with ProcessUnderTest(find_server(), config, "--sentinel", log=tmp_path / "sentinel.log") as process:
        process.wait_for("+monitor master main")
        yield f"sentinel://127.0.0.1:{port}/0"


def test_sentinel_names_the_server_and_loses_nothing_either(
    sentinel_url: str, own_server: RedisServer, name: str
) -> None:
    app = an_app(sentinel_url, name, master_name="main", dead_letter_key=f"{name}:dead")
    with receive(app, name) as connection, redis.Redis(port=own_server.port) as client:
        channel = connection.default_channel
        assert isinstance(channel, Channel) and isinstance(channel, stock.SentinelChannel)
        assert channel.dead_letter_key == f"{name}:dead"
        client.lpush(name, b"garbage", task(0, queue=name))
        with connection.Consumer([app.amqp.queues[name]], on_message=lambda message: None, accept=["json"]):
            eventually("a message", lambda: (connection.drain_events(timeout=5), client.hlen(f"{name}:unacked"))[-1])
        assert client.llen(f"{name}:dead") == 1
    app.close()


def test_one_client_serves_a_pool_until_the_pool_is_gone(redis_url: str, name: str) -> None:
    with Receiver(redis_url, name) as receiver:
        first = receiver.channel._create_client()
        assert receiver.channel._create_client() is first
        receiver.channel._disconnect_pools()
        assert receiver.channel._create_client() is not first
        assert receiver.channel._create_client().ping()
