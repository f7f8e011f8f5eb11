"""A sender's text about its task goes into Celery's log, but cannot begin a line there."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.message import Message

from hip3_tasks.transport.validate import IDS, check_task
from tests.support.malformed_messages import changed

TWO_LINES = "x\n[2026-11-22 00:00:00,000: ERROR/MainProcess] forged \x1b[2J"


def received(header: str, value: str) -> Message:
    payload = json.loads(changed("q", (f"headers.{header}", value)))
    body = base64.b64decode(payload["body"])
    return Message(body=body, headers=payload["headers"], content_type="application/json", content_encoding="utf-8")


@pytest.mark.parametrize("header", [*IDS, "task", "shadow", "origin", "eta", "expires"])
def test_a_name_of_two_lines_is_refused(header: str) -> None:
    with pytest.raises(ValueError, match=f"{header}: not printable"):
        check_task(received(header, TWO_LINES))


@pytest.mark.parametrize("header", ["argsrepr", "kwargsrepr"])
@given(text=st.text() | st.just(TWO_LINES))
def test_arguments_are_shown_on_one_line(header: str, text: str) -> None:
    message = received(header, text)
    check_task(message)
    assert message.headers[header].isprintable()
