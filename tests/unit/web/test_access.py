"""Access to the page: host names, origin, password, headers."""

import base64

import pytest
from starlette.responses import PlainTextResponse

from hip3_tasks.web import access
from hip3_tasks.web.access import AccessControl
from tests.support.asgi import ask

OPEN = AccessControl(PlainTextResponse("let in"), password=None, hosts=["page", "Hip3.Example"])
LOCKED = AccessControl(PlainTextResponse("let in"), password="pässword", hosts=[])
JSON = {"content_type": "application/json"}


def basic(credentials: str) -> str:
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8700", "localhost:8700", "[::1]:8700", "10.1.2.3", "LOCALHOST", "page:80", "hip3.example"]
)
def test_addresses_and_own_host_names_are_accepted(host: str) -> None:
    assert ask(OPEN, host=host).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8700", "127.0.0.1.evil.example", "", "[", "localhost.evil"]
)
def test_a_foreign_host_name_is_refused(host: str) -> None:
    assert ask(OPEN, host=host).status == 421
    assert ask(OPEN, host=host, method="POST", **JSON).status == 421


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content_type": "application/x-www-form-urlencoded"},
        {"content_type": "text/plain"},
        {**JSON, "origin": "https://evil.example"},
        {**JSON, "origin": "http://127.0.0.1:9999"},
        {**JSON, "origin": "null"},
        {**JSON, "sec_fetch_site": "cross-site"},
        {**JSON, "sec_fetch_site": "same-site"},
    ],
)
def test_another_site_can_change_nothing(headers: dict[str, str]) -> None:
    assert ask(OPEN, method="POST", **headers).status == 403


@pytest.mark.parametrize(
    "headers", [JSON, {**JSON, "origin": "http://127.0.0.1:8700"}, {**JSON, "sec_fetch_site": "same-origin"}]
)
def test_the_page_and_a_command_line_may_post(headers: dict[str, str]) -> None:
    assert ask(OPEN, method="POST", **headers).status == 200


@pytest.mark.parametrize(
    "authorization",
    ["", basic("hip3:wrong"), basic("pässword"), "Basic !!!", "Bearer pässword", basic("hip3:pässwor"), "Basic"],
)
def test_a_request_without_the_password_is_refused(authorization: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "WRONG_PASSWORD_PAUSE_S", 0)
    answer = ask(LOCKED, "/api/state", **({"authorization": authorization} if authorization else {}))
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert b"let in" not in answer.body


@pytest.mark.parametrize("user", ["hip3", "", "anyone"])
def test_the_password_is_enough_with_any_user_name(user: str) -> None:
    assert ask(LOCKED, authorization=basic(f"{user}:pässword")).status == 200


def test_health_needs_no_password() -> None:
    assert [ask(LOCKED, path).status for path in ("/healthz", "/livez")] == [200, 200]


def test_every_answer_has_the_security_headers() -> None:
    for answer in (ask(OPEN), ask(LOCKED), ask(OPEN, host="evil.example")):
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
