"""Why the venue could not be reached or did not answer, in words an operator can act on."""

import os
import re
import ssl
from http import HTTPStatus

import aiohttp
from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus

from hip3_tasks.terminal_text import printable

MAX_LENGTH = 160
ERRNO = re.compile(r"\[Errno (\d+)\]")


def in_words(error: BaseException, *, within_s: float) -> str:
    """One line for any failure to connect or to be answered; `within_s` is how long was waited at most."""
    return printable(_words(error, within_s))[:MAX_LENGTH]


def answered(status: int) -> str:
    """An answer of HTTP that is no success, as in `the venue answered 503 Service Unavailable`."""
    name = HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else ""
    return f"the venue answered {status} {name}".rstrip()


def _words(error: BaseException, within_s: float) -> str:
    match error:
        case InvalidStatus():
            return answered(error.response.status_code)
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
            return _words(error.__cause__, within_s)  # aiohttp says what it was about to do
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
    """What the system says; several addresses that were tried make one error without a number of its own."""
    if error.errno is not None and error.errno < 0:
        return f"its name has no address: {(error.strerror or '').lower()}"  # the resolver counts its errors below 0
    numbers = {error.errno} if error.errno is not None else {int(found) for found in ERRNO.findall(str(error))}
    return ", ".join(os.strerror(number).lower() for number in sorted(numbers)) or str(error) or type(error).__name__
