"""Describes failures to connect to the venue in words that an operator can act on."""

import os
import re
import ssl
from http import HTTPStatus
from urllib.parse import urlsplit

import aiohttp
from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidProxyStatus, InvalidStatus, ProxyError

from hip3_tasks.terminal_text import printable

MAX_LENGTH = 160
ERRNO = re.compile(r"\[Errno (\d+)\]")


def in_words(error: BaseException, *, within_s: float, proxy: str | None = None) -> str:
    """Describe a failure to connect or to get an answer in one line; `within_s` is the timeout that applied."""
    return through(proxy) + printable(_words(error, within_s))[:MAX_LENGTH]


def through(proxy: str | None) -> str:
    """The beginning of a failure's text that names the proxy, without its password; empty without a proxy."""
    return f"through the proxy {shown_proxy(proxy)}: " if proxy else ""


def shown_proxy(proxy: str) -> str:
    """Host and port of a proxy's URL, without its password."""
    return urlsplit(proxy).netloc.rpartition("@")[2]


def answered(status: int, *, by: str = "venue") -> str:
    """Describe an HTTP status that is no success, as in `the venue answered 503 Service Unavailable`."""
    name = HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else ""
    return f"the {by} answered {status} {name}".rstrip()


def _words(error: BaseException, within_s: float) -> str:
    match error:
        case InvalidStatus():
            return answered(error.response.status_code)
        case InvalidProxyStatus():
            return answered(error.response.status_code, by="proxy")
        case aiohttp.ClientHttpProxyError():
            return answered(error.status, by="proxy")
        case ProxyError():
            return "the proxy gave no answer that can be read"
        case InvalidMessage() if isinstance(error.__cause__, EOFError | ConnectionError):
            return _words(error.__cause__, within_s)
        case InvalidHandshake():
            return f"the venue answered, but opened no websocket: {error}"
        case aiohttp.ClientConnectorCertificateError():
            return _words(error.certificate_error, within_s)
        case aiohttp.ClientConnectorError():
            return _words(error.os_error, within_s)
        case TimeoutError():
            return f"no answer within {within_s:g} s"
        case OSError() if error.errno is None and error.__cause__ is not None:
            return _words(error.__cause__, within_s)  # the text of aiohttp only names its action
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted: {error.verify_message or error.reason}"
        case ssl.SSLError():
            return f"TLS failed: {error.reason or error}"
        case ConnectionError() | EOFError() | aiohttp.ServerDisconnectedError() if not getattr(error, "errno", None):
            return "the venue hung up without an answer"
        case OSError():
            return _system_words(error)
        case ValueError():
            return "the answer is no JSON"
    return f"{error}" or type(error).__name__


def _system_words(error: OSError) -> str:
    """The system's text for an error; one error for several addresses has their numbers only in its text."""
    if error.errno is not None and error.errno < 0:
        return f"its name has no address: {(error.strerror or '').lower()}"  # the resolver's errors are negative
    numbers = {error.errno} if error.errno is not None else set(map(int, ERRNO.findall(str(error))))
    return ", ".join(os.strerror(number).lower() for number in sorted(numbers)) or str(error) or type(error).__name__
