"""`hip3 quarantine` on a real server: messages are listed, shown, queued again and deleted by their IDs."""

import json
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks import cli
from hip3_tasks.quarantine import Quarantined
from hip3_tasks.store.keys import Keys
from tests.support.malformed_messages import task

Hip3 = Callable[..., tuple[int, list[str], list[str]]]
HEADERS = st.sampled_from(["headers", "task", "id"])
FORGED = b"not a message\nforged\x1b[2J"


@pytest.fixture
def hip3(
    redis_url: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Hip3:
    """Run `hip3 quarantine`; its exit status, and the lines of stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    for key, value in {"HIP3_REDIS_URL": redis_url, "HIP3_NAME": name, "HIP3_DATA_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(key, value)

    def run(*arguments: str) -> tuple[int, list[str], list[str]]:
        monkeypatch.setattr("sys.argv", ["hip3", "quarantine", *arguments])
        status = cli.main()
        shown = capsys.readouterr()
        return status, shown.out.splitlines(), shown.err.splitlines()

    return run


def test_messages_are_listed_shown_queued_again_and_deleted(hip3: Hip3, server_client: redis.Redis, name: str) -> None:
    keys = Keys(name)
    capture = task(0, queue=keys.queue)
    unrestored = b"[" + capture + b',"","an exchange that is gone"]'
    server_client.rpush(keys.quarantine, FORGED, unrestored, capture, FORGED)
    forged, wrapped, plain = (Quarantined(raw).id for raw in (FORGED, unrestored, capture))

    status, listed, _ = hip3("list")
    title = f"hip3_tasks.capture_followup {orjson.loads(capture)['headers']['id']}"
    assert status == 0
    assert listed == [f"{forged} {FORGED!r}", f"{wrapped} {title}", f"{plain} {title}", "3 messages"]

    _, shown, _ = hip3("show", forged)
    assert shown == [f"{forged} not a message\\nforged\\x1b[2J", "1 message"]

    assert hip3("retry", wrapped)[0] == 0
    assert [orjson.loads(message) for message in server_client.lrange(keys.queue, 0, -1)] == [orjson.loads(capture)]
    assert server_client.lrange(keys.quarantine, 0, -1) == [FORGED, capture, FORGED]

    assert hip3("drop", forged)[1][-1] == "1 message deleted"
    assert server_client.lrange(keys.quarantine, 0, -1) == [capture]

    status, _, problems = hip3("drop", plain, forged)
    assert status != 0
    assert problems == [f"hip3: {forged}: not in the quarantine; `hip3 quarantine list` names what is"]
    assert server_client.lrange(keys.quarantine, 0, -1) == [capture]
    assert hip3("drop", "--all")[0] == 0
    assert hip3("list")[1] == ["0 messages"]


JSON = st.recursive(
    st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text() | HEADERS, inner)
)


@given(raw=st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_message_has_a_title_of_one_line_and_an_id(raw: bytes) -> None:
    message = Quarantined(raw)
    assert message.title.isprintable()
    assert len(message.id) == 8 and message.id == Quarantined(raw).id
    assert message.message == raw or isinstance(json.loads(raw), list)
