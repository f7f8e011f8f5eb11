"""Requests to an ASGI app, without a server."""

import asyncio
from typing import Any, NamedTuple


class AsgiAnswer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def ask(app: Any, path: str = "/", *, method: str = "GET", **headers: str) -> AsgiAnswer:
    """Send a request; `headers` have underscores for hyphens, and a default Host."""
    given = {"host": "127.0.0.1:8700", **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return AsgiAnswer(sent[0]["status"], answered, b"".join(message.get("body", b"") for message in sent[1:]))
