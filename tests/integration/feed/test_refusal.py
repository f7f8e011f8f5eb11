"""Failures to reach a venue, each made by a real socket, as the words an operator reads."""

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
from feed.refusal import answered, in_words
from feed.universe import InfoClient, UniverseError

Answer = Callable[[socket.socket], None]
Place = Callable[[], AbstractContextManager[str]]

PATIENCE_S = 0.3


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
    """Where a server is that treats every connection so."""

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
def nobody() -> Iterator[str]:
    """An address that is taken, and on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield "{}:{}".format(*taken.getsockname())


async def why_no_websocket(url: str) -> str:
    with pytest.raises(Exception) as caught:  # noqa: PT011  # whichever it is, it is to be told in words
        async with connect(url, open_timeout=PATIENCE_S):
            pass
    return in_words(caught.value, within_s=PATIENCE_S)


async def why_no_markets(url: str) -> str:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(UniverseError) as caught:
            await InfoClient(session, url).live_markets(dexes=["xyz"], coins=())
    prefix, words = str(caught.value).split(": ", 1)
    assert (prefix, words.split(": ", 1)[0]) == (f"{url}/info", "perpDexs")
    return words.split(": ", 1)[1]


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feed.universe.TIMEOUT_S", PATIENCE_S)


@pytest.mark.parametrize(
    ("venue", "expected"),
    [
        (lambda: listening(answer("503 Service Unavailable")), "the venue answered 503 Service Unavailable"),
        (lambda: listening(answer("429 Slow Down")), "the venue answered 429 Too Many Requests"),
        (lambda: listening(answer("599 Odd")), "the venue answered 599"),
        (lambda: listening(stay_silent), "no answer within 0.3 s"),
        (nobody, "connection refused"),
    ],
)
def test_both_ways_to_a_venue_tell_the_same_failure_in_the_same_words(venue: Place, expected: str) -> None:
    async def script() -> tuple[str, str]:
        with venue() as place:
            return await why_no_websocket(f"ws://{place}/ws"), await why_no_markets(f"http://{place}")

    assert asyncio.run(script()) == (expected, expected)


def test_a_venue_that_hangs_up_and_one_without_tls_are_told() -> None:
    async def script() -> list[str]:
        with listening(hang_up) as place:
            told = [await why_no_websocket(f"ws://{place}/ws"), await why_no_markets(f"http://{place}")]
        with listening(answer("200 OK")) as place:
            return [*told, await why_no_websocket(f"ws://{place}/ws"), await why_no_markets(f"http://{place}")]

    hung_up_ws, hung_up_http, no_websocket, no_json = asyncio.run(script())
    # The system may notice first that nobody reads what was asked.
    endings = {"the venue hung up without an answer", "connection reset by peer", "broken pipe"}
    assert {hung_up_ws, hung_up_http} <= endings
    assert no_websocket == "the venue answered 200 OK"
    assert no_json == "the answer is no JSON"


def test_a_certificate_nobody_vouches_for_is_told() -> None:
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    error.verify_message = "self-signed certificate"
    assert in_words(error, within_s=1) == "its certificate is not trusted: self-signed certificate"


def test_a_venue_that_speaks_no_tls_is_told() -> None:
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
def test_no_failure_is_told_as_python_writes_it(error: Exception, expected: str) -> None:
    told = in_words(error, within_s=1)
    assert expected in told and "(" not in told and len(told) <= refusal.MAX_LENGTH


def test_every_status_has_a_name_or_goes_without() -> None:
    assert [answered(status) for status in (502, 299)] == [
        "the venue answered 502 Bad Gateway",
        "the venue answered 299",
    ]
