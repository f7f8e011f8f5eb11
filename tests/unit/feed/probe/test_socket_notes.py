"""One socket of the probe."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed.probe.socket_notes import MAX_EXAMPLE, SocketNotes
from feed.probe.twins import Twins

COIN, T0_MS = "xyz:TSLA", 1_795_338_700_000


def frame(channel: str, data: Any) -> str:
    return json.dumps({"channel": channel, "data": data})


def ack(channel: str, coin: str = COIN) -> str:
    subscription = {"type": channel, "coin": coin}
    return frame("subscriptionResponse", {"method": "subscribe", "subscription": subscription})


def bbo(time_ms: int = T0_MS) -> str:
    return frame("bbo", {"coin": COIN, "time": time_ms, "bbo": [{"px": "1.0", "sz": "1.0", "n": 1}, None]})


def ctx(oracle: str) -> str:
    return frame("activeAssetCtx", {"coin": COIN, "ctx": {"oraclePx": oracle, "markPx": "1.0"}})


@pytest.fixture
def notes() -> SocketNotes:
    notes = SocketNotes(0, Twins())
    notes.open(T0_MS)
    for channel in ("bbo", "activeAssetCtx"):
        notes.ask(channel, COIN, T0_MS)
    return notes


def test_the_time_to_an_answer_and_to_the_first_book_is_noted(notes: SocketNotes) -> None:
    notes.hear(ack("bbo"), T0_MS + 20)
    notes.hear(bbo(), T0_MS + 25)
    notes.finish(T0_MS + 60_000)
    assert notes.answer_ms.quantile(1) == 20 and notes.first_book_ms == {COIN: 5}
    assert notes.never_answered == [f"activeAssetCtx {COIN}"]


def test_an_error_frame_that_names_a_subscription_is_its_answer(notes: SocketNotes) -> None:
    notes.hear(frame("error", f'Invalid subscription {{"type":"bbo","coin":"{COIN}"}}'), T0_MS + 1)
    notes.hear(frame("error", "Internal error"), T0_MS + 2)
    assert list(notes.refused) == [f"bbo {COIN}"]
    assert (notes.errors.count, notes.errors.first) == (1, "Internal error")


def test_a_first_book_that_never_came_counts_until_the_end(notes: SocketNotes) -> None:
    notes.hear(ack("bbo"), T0_MS + 20)
    notes.lose(T0_MS + 5_020, "gone")
    assert notes.first_book_ms == {COIN: 5_000} and notes.losses == [{"at_ms": T0_MS + 5_020, "cause": "gone"}]


def test_frames_that_are_not_understood_are_kept_by_kind_with_a_bounded_example(notes: SocketNotes) -> None:
    for raw in ("{" * 10_000, b"\xff", frame("news", 1), frame("bbo", {"coin": COIN})):
        notes.hear(raw, T0_MS)
    kinds = {kind: example.count for kind, example in notes.not_understood.items()}
    assert kinds == {"not_json": 2, "unknown_channel": 1, "bad_bbo": 1}
    assert len(notes.not_understood["not_json"].first) == MAX_EXAMPLE
    assert notes.markets[COIN].counts["refused"] == 1


def test_the_oracle_prices_of_a_dex_change_in_rounds(notes: SocketNotes) -> None:
    for at_ms, oracle in ((0, "1"), (1_000, "2"), (1_900, "3"), (5_000, "4")):
        notes.hear(ctx(oracle), T0_MS + at_ms)
    assert notes.oracle_round_ms["xyz"].summary()["max"] == 4_000 and len(notes.oracle_round_ms["xyz"]) == 1


@given(st.lists(st.binary(max_size=60) | st.text(max_size=60), max_size=20))
def test_no_frame_can_stop_a_probe(frames: list[bytes | str]) -> None:
    notes = SocketNotes(1, Twins())
    for raw in frames:
        notes.hear(raw, T0_MS)
    assert notes.frames.total() == len(frames)
    json.dumps({**notes.summary(), "errors": None, "not_understood": None})
