"""Access to the page: host names, password, same-origin checks, and the security headers of every answer."""

import asyncio
import base64
import binascii
import hmac
import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PLOTLY_STYLES = (
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
    "'sha256-ji27qzEtxXZW+7dun6UwjHXJ18e6WAin1VvNtkzIE/o='",
)
"""Digests of the style sheets that plotly's script adds: an empty one, and one that changes with its version."""
HEADERS = {
    "content-security-policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            f"style-src 'self' {' '.join(PLOTLY_STYLES)}",
            "img-src 'self' data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
OPEN_TO_ALL = ("/livez", "/healthz")
WRONG_PASSWORD_PAUSE_S = 0.5


class AccessControl:
    """Refuses requests for a foreign host name, without the password, or with a change from another site's page."""

    def __init__(self, app: ASGIApp, *, password: str | None, hosts: Collection[str]) -> None:
        self._app, self._password, self._hosts = app, password, frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        refusal = await self._refusal(scope)
        await (refusal or self._app)(scope, receive, with_headers)

    async def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not self._is_own_host(headers.get("host", "")):
            # DNS rebinding: a foreign name that was made to point here.
            return PlainTextResponse("not a name of this page; see HIP3_PAGE_HOSTS\n", 421)
        if scope["method"] not in ("GET", "HEAD") and not _is_same_origin(headers):
            return PlainTextResponse("only the page itself may ask for that\n", 403)
        if self._password and scope["path"] not in OPEN_TO_ALL and not self._knows_password(headers):
            if "authorization" in headers:
                await asyncio.sleep(WRONG_PASSWORD_PAUSE_S)
            return PlainTextResponse(
                "a password is needed\n", 401, {"www-authenticate": 'Basic realm="hip3", charset="UTF-8"'}
            )
        return None

    def _is_own_host(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        return name == "localhost" or name in self._hosts or _is_address(name)

    def _knows_password(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        try:
            password = base64.b64decode(given, validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return False
        return scheme.lower() == "basic" and hmac.compare_digest(password, str(self._password).encode())


def _is_same_origin(headers: Headers) -> bool:
    """Whether the page itself sent it. A form cannot send JSON, and a script of another origin needs a preflight."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return False
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
