"""The transport under the name of its URL scheme, and its client per connection pool."""

import kombu
import pytest
from kombu.transport import TRANSPORT_ALIASES

from tests.support.receiver import PRODUCT, Receiver


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_a_transport_named_as_the_url_scheme_keeps_tls_and_the_url(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TRANSPORT_ALIASES, scheme, PRODUCT)
    monkeypatch.setattr("kombu.transport._transport_cache", {})
    connection = kombu.Connection(f"{scheme}://:secret@127.0.0.1:1/3")
    assert type(connection.transport).__module__ == "hip3_tasks.transport.channel"
    assert connection.as_uri() == f"{scheme}://:**@127.0.0.1:1/3"
    assert bool(connection.ssl) is (scheme == "rediss")


def test_one_client_serves_a_pool_until_the_pool_is_gone(redis_url: str, name: str) -> None:
    with Receiver(redis_url, name) as receiver:
        first = receiver.channel._create_client()
        assert receiver.channel._create_client() is first
        receiver.channel._disconnect_pools()
        assert receiver.channel._create_client() is not first
        assert receiver.channel._create_client().ping()
