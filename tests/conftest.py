"""Fixtures for all tests: a Redis server per test process, and a feed name per test."""

import uuid
from collections.abc import Iterator

import pytest
import redis
import structlog
from hypothesis import settings

from hip3_tasks.store.keys import Keys, connect
from hip3_tasks.testing.fake import FakeServer
from tests.support.backends import Backend, RealServer
from tests.support.redis_server import RedisServer

# The time of an example depends more on the machine than on the code.
settings.register_profile("hip3", deadline=None)
settings.load_profile("hip3")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "fakeredis_differs(reason, raises): must fail on fakeredis, and on it alone")


@pytest.fixture(scope="session", autouse=True)
def default_logs() -> Iterator[None]:
    """A command that a test runs in this process sets up no log: it would be the log of every later test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structlog, "configure", lambda **_: None)
        yield


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis-compatible server of this test process; its data is removed at the end."""
    with RedisServer(tmp_path_factory.mktemp("redis"), "--appendonly", "no") as server:
        yield server.url


@pytest.fixture(params=["server", "fakeredis"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Run the test twice: on a real server, and in fakeredis."""
    if request.param == "server":
        return RealServer(request.getfixturevalue("redis_url"))
    for difference in request.node.iter_markers("fakeredis_differs"):
        request.applymarker(pytest.mark.xfail(strict=True, **difference.kwargs))
    return FakeServer()


@pytest.fixture
def client(backend: Backend) -> Iterator[redis.Redis]:
    with backend.connect() as client:
        yield client


@pytest.fixture
def server_client(redis_url: str) -> Iterator[redis.Redis]:
    """A client of the real server, for tests with other processes, sockets or a broker."""
    with connect(redis_url) as client:
        yield client


@pytest.fixture
def name() -> str:
    """A feed name that no other test has."""
    return f"test-{uuid.uuid4().hex[:16]}"


@pytest.fixture
def keys(name: str) -> Keys:
    return Keys(name)
