"""Answers of the info endpoint, as the venue gives them: JSON, or plain text for a request that it cannot read."""

from typing import Any, NamedTuple

import orjson

Question = dict[str, Any]


class InfoAnswer(NamedTuple):
    """Status and body; the body is JSON, except where the content type says otherwise."""

    status: int
    body: Any
    content_type: str = "application/json"

    def encoded(self) -> bytes:
        return orjson.dumps(self.body) if self.content_type == "application/json" else str(self.body).encode()


BAD_JSON = InfoAnswer(400, "Failed to parse the request body as JSON", "text/plain")
BAD_CONTENT_TYPE = InfoAnswer(415, "Expected request with `Content-Type: application/json`", "text/plain")
UNPROCESSABLE = InfoAnswer(422, "Failed to deserialize the JSON body into the target type", "text/plain")
# The venue documents no body for this status.
TOO_MANY_REQUESTS = InfoAnswer(429, None)
UNKNOWN_NAME = InfoAnswer(500, None)
"""The answer to a dex that the venue does not have, and to a coin where `l2Book` would say null."""


class Unprocessable(Exception):
    """A field of the request is missing or has the wrong type."""


class UnknownName(Exception):
    """The venue has no such dex or coin."""


def text(question: Question, field: str) -> str:
    """A field that must be text. Raises Unprocessable."""
    value = question.get(field)
    if not isinstance(value, str):
        raise Unprocessable(field)
    return value


def number(question: Question, field: str, default: int | None = None) -> int:
    """A field that must be a whole number; null counts as missing. Raises Unprocessable."""
    value = question.get(field)
    if value is None and default is not None:
        return default
    if type(value) is not int:
        raise Unprocessable(field)
    return value
