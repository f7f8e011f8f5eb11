"""One URL for all clients of Redis: only URLs that every client reads alike are accepted."""

from pathlib import Path
from urllib.parse import quote

import pytest
from flower.utils.broker import Broker
from hypothesis import given
from hypothesis import strategies as st
from kombu import Connection
from redis.connection import SSLConnection, parse_url

from hip3_tasks.store import redis_url as redisurl

PASSWORD = "S3cretWord"
LOGINS = st.none() | st.tuples(st.text(max_size=8), st.text(min_size=1, max_size=20)).map(
    lambda login: tuple(quote(word, safe="") for word in login)
)


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1",
        "redis://127.0.0.1:6379/0",
        "redis://:pass@[::1]:6379/15",
        "rediss://user:p%40ss@cache.example.com/",
        "rediss://h/0?ssl_cert_reqs=none",
        "rediss://h/0?ssl_check_hostname=false&ssl_cert_reqs=required",
    ],
)
def test_a_url_that_every_client_understands_is_accepted(url: str) -> None:
    redisurl.check(url)


@pytest.mark.parametrize(
    "url",
    [
        f"default:{PASSWORD}@127.0.0.1:6379",
        f"REDIS://:{PASSWORD}@127.0.0.1:6379/0",
        f"unix://:{PASSWORD}@/run/redis.sock",
        f"http://:{PASSWORD}@127.0.0.1",
        f"redis://:{PASSWORD}/x@127.0.0.1:6379/0",
        f"redis://:{PASSWORD}#x@127.0.0.1:6379/0",
        f"redis://:{PASSWORD}?x@127.0.0.1:6379/0",
        f"redis://:{PASSWORD}?x=1@127.0.0.1:6379/0",
        f"redis://:[{PASSWORD}@127.0.0.1:6379/0",
        f"redis://127.0.0.1:{PASSWORD}/0",
        f"redis://127.0.0.1:6379/{PASSWORD}",
        f"redis://:{PASSWORD}@/0",
        f"redis://127.0.0.1/0?{PASSWORD}",
        f"redis://127.0.0.1/0?password={PASSWORD}",
        f"rediss://127.0.0.1/0?{PASSWORD}=1",
        f"redis://:{PASSWORD}@127.0.0.1/0?ssl_cert_reqs=none",
        f"rediss://:{PASSWORD}@127.0.0.1/0?ssl_cert_reqs=CERT_{PASSWORD}",
        f"rediss://:{PASSWORD}@127.0.0.1/0?ssl_ca_certs=/{PASSWORD}",
        "",
        "redis://",
    ],
)
def test_a_url_that_a_client_would_misread_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ValueError, match="expected") as refused:
        redisurl.check(url)
    assert PASSWORD not in str(refused.value)


@given(url=st.text() | st.tuples(st.sampled_from(["redis", "rediss"]), st.text()).map("://".join))
def test_any_text_is_either_refused_or_understood_by_all(url: str) -> None:
    try:
        redisurl.check(url)
    except ValueError:
        return
    assert parse_url(url)["host"]
    broker_url, use_ssl = redisurl.for_celery(url)
    assert Connection(broker_url, ssl=use_ssl).hostname
    assert Broker(broker_url, broker_use_ssl=use_ssl).host


@given(login=LOGINS, port=st.none() | st.integers(1, 65535), db=st.none() | st.integers(0, 99), is_tls=st.booleans())
def test_celery_and_flower_reach_the_place_that_the_feed_does(
    login: tuple[str, str] | None, port: int | None, db: int | None, is_tls: bool
) -> None:
    user = "" if login is None else ":".join(login) + "@"
    url = (
        f"redis{'s' if is_tls else ''}://{user}cache.example.com{f':{port}' if port else ''}/{'' if db is None else db}"
    )
    redisurl.check(url)
    broker_url, use_ssl = redisurl.for_celery(url)
    ours = parse_url(url)
    conn, page = Connection(broker_url, ssl=use_ssl), Broker(broker_url, broker_use_ssl=use_ssl)
    for name, theirs, shown in (
        ("username", conn.userid, page.username),
        ("password", conn.password, page.password),
        ("host", conn.hostname, page.host),
    ):
        assert (ours.get(name) or None) == (theirs or None) == (shown or None)
    assert ours.get("db", 0) == int(conn.virtual_host.strip("/") or 0) == page.vhost
    assert not conn.alt


def test_a_certificate_is_checked_unless_the_url_says_otherwise(tmp_path: Path) -> None:
    ca = tmp_path / "c%a.pem"
    ca.touch()
    asked = {
        "": {"ssl_cert_reqs": "required"},
        "?ssl_cert_reqs=none": {"ssl_cert_reqs": "none"},
        f"?ssl_ca_certs={quote(str(ca))}": {"ssl_cert_reqs": "required", "ssl_ca_certs": str(ca)},
        "?ssl_check_hostname=false": {"ssl_cert_reqs": "required", "ssl_check_hostname": False},
    }
    for options, expected in asked.items():
        url = f"rediss://127.0.0.1/0{options}"
        redisurl.check(url)
        bare, use_ssl = redisurl.for_celery(url)
        assert (bare, use_ssl) == ("rediss://127.0.0.1/0", expected)
        assert use_ssl is not None
        ours = SSLConnection(**{name: value for name, value in parse_url(url).items() if name.startswith("ssl_")})
        theirs = SSLConnection(**use_ssl)
        for name in ("cert_reqs", "check_hostname", "ca_certs"):
            assert getattr(ours, name) == getattr(theirs, name)


def test_a_server_is_shown_without_its_login() -> None:
    assert redisurl.place(f"rediss://user:{PASSWORD}@h:1/0?ssl_cert_reqs=none") == "h:1"
    assert redisurl.place("redis://h") == "h"
