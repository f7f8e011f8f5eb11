"""The messages for failures to reach a venue, each caused by a real socket."""

import asyncio
import errno
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import aiohttp
import pytest
from websockets.asyncio.client import connect

from feed import refusal
from feed.info_requests import UniverseError
from feed.refusal import answered, in_words
from feed.universe import InfoClient

Answer = Callable[[socket.socket], None]
Place = Callable[[], AbstractContextManager[str]]

CONNECT_TIMEOUT_S = 0.3


def hang_up(_: socket.socket) -> None:
    pass


def stay_silent(connection: socket.socket) -> None:
    while connection.recv(1_000):
        pass


def answer(head: str) -> Answer:
    def answering(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(f"HTTP/1.1 {head}\r\nContent-Length: 4\r\nConnection: close\r\n\r\n{{no}}".encode())

    return answering


@contextmanager
def listening(treat: Answer) -> Iterator[str]:
    """The address of a server that handles every connection with this function."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(ConnectionError):
                treat(self.request)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield "{}:{}".format(*server.server_address)
        finally:
            server.shutdown()
            serving.join()


@contextmanager
def silent_port() -> Iterator[str]:
    """An address that is in use, but without a listener."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield "{}:{}".format(*taken.getsockname())


async def why_no_websocket(url: str) -> str:
    with pytest.raises(Exception) as caught:  # noqa: PT011  # any error is described in words
        async with connect(url, open_timeout=CONNECT_TIMEOUT_S):
            pass
    return in_words(caught.value, within_s=CONNECT_TIMEOUT_S)


async def why_no_markets(url: str) -> str:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(UniverseError) as caught:
            await InfoClient(session, url).book("xyz:TSLA")
    place, subject, words = str(caught.value).split(": ", 2)
    assert (place, subject) == (f"{url}/info", "l2Book of xyz:TSLA")
    assert words == caught.value.why
    return words


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feed.info_requests.TIMEOUT_S", CONNECT_TIMEOUT_S)


@pytest.mark.parametrize(
    ("venue", "expected"),
    [
        (lambda: listening(answer("503 Service Unavailable")), "the venue answered 503 Service Unavailable"),
        (lambda: listening(answer("418 Slow Down")), "the venue answered 418 I'm a Teapot"),
        (lambda: listening(answer("599 Odd")), "the venue answered 599"),
        (lambda: listening(stay_silent), "no answer within 0.3 s"),
        (silent_port, "connection refused"),
    ],
)
def test_websocket_and_http_failures_share_their_words(venue: Place, expected: str) -> None:
    async def script() -> tuple[str, str]:
        with venue() as place:
            return await why_no_websocket(f"ws://{place}/ws"), await why_no_markets(f"http://{place}")

    assert asyncio.run(script()) == (expected, expected)


def test_a_venue_that_closes_and_one_without_tls_are_described() -> None:
    async def script() -> list[str]:
        with listening(hang_up) as place:
            texts = [await why_no_websocket(f"ws://{place}/ws"), await why_no_markets(f"http://{place}")]
        with listening(answer("200 OK")) as place:
            return [*texts, await why_no_websocket(f"ws://{place}/ws"), await why_no_markets(f"http://{place}")]

    hung_up_ws, hung_up_http, no_websocket, no_json = asyncio.run(script())
    # The system may first report that the request was not read.
    endings = {"the venue hung up without an answer", "connection reset by peer", "broken pipe"}
    assert {hung_up_ws, hung_up_http} <= endings
    assert no_websocket == "the venue answered 200 OK"
    assert no_json == "the answer is no JSON"


def test_an_untrusted_certificate_is_described() -> None:
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    error.verify_message = "self-signed certificate"
    assert in_words(error, within_s=1) == "its certificate is not trusted: self-signed certificate"


def test_a_venue_without_tls_is_described() -> None:
    async def script() -> str:
        with listening(answer("400 Bad Request")) as place:
            return await why_no_websocket(f"wss://{place}/ws")

    assert asyncio.run(script()).startswith(("TLS failed: ", "no answer within"))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError("Multiple exceptions: [Errno 111] Connect call ('::1'), [Errno 111] Connect call"), "refused"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "network is unreachable"),
        (socket.gaierror(-2, "Name or service not known"), "its name has no address: name or service not known"),
        (ConnectionResetError(), "the venue hung up without an answer"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "connection reset by peer"),
        (RuntimeError("\x1b[2J"), "\\x1b[2J"),
        (RuntimeError("long " * 100), "long long"),
    ],
)
def test_no_failure_is_described_in_the_words_of_python(error: Exception, expected: str) -> None:
    text = in_words(error, within_s=1)
    assert expected in text and "(" not in text and len(text) <= refusal.MAX_LENGTH


def test_every_status_has_a_name_or_goes_without() -> None:
    assert [answered(status) for status in (502, 299)] == [
        "the venue answered 502 Bad Gateway",
        "the venue answered 299",
    ]
