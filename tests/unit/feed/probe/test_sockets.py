"""One socket of the probe."""

import json

import pytest

from feed.probe.sockets import MAX_EXAMPLE, SocketNotes, Twins
from feed.wire import Bbo, Ctx
from hip3_tasks.errors import MalformedFrame

COIN, T0_MS = "xyz:TSLA", 1_795_338_700_000


@pytest.fixture
def notes() -> SocketNotes:
    notes = SocketNotes(0, Twins())
    notes.follow([COIN])
    return notes


def test_an_error_frame_that_names_a_subscription_is_its_answer(notes: SocketNotes) -> None:
    notes.on_refusal(f'Invalid subscription {{"type":"bbo","coin":"{COIN}"}}')
    notes.on_refusal("Internal error")
    assert notes.not_understood == {"error": "Internal error"}


def test_frames_that_are_not_understood_are_counted_by_kind_with_one_bounded_example(notes: SocketNotes) -> None:
    for error in (MalformedFrame("not_json", "{" * 10_000), MalformedFrame("bad_bbo", "x", channel="bbo", coin=COIN)):
        notes.on_malformed(error, T0_MS)
        notes.on_malformed(error, T0_MS)
    notes.on_frame("unknown_channel")
    assert notes.frames == {"not_json": 2, f"bad_bbo {COIN}": 2, "unknown_channel": 1}
    assert list(notes.not_understood) == [*notes.frames]
    assert len(notes.not_understood["not_json"]) == MAX_EXAMPLE


def test_a_silence_at_the_end_counts_as_a_pause(notes: SocketNotes) -> None:
    notes.on_data(Ctx(COIN, 1.0, 1.0), T0_MS)
    notes.on_data(Ctx(COIN, 1.0, 1.0), T0_MS + 900)
    notes.finish(T0_MS + 5_900, {})
    assert notes.pause_ms == {900: 1, 5_000: 1}


def test_a_loss_begins_every_market_anew_and_the_end_of_the_probe_is_none(notes: SocketNotes) -> None:
    book = Bbo(COIN, T0_MS, None, None)
    notes.on_data(book, T0_MS)
    notes.on_loss([COIN], last_data_at_ms=T0_MS, cause="closed")
    notes.on_trouble("closed")
    notes.on_data(book, T0_MS + 60_000)
    notes.finish(T0_MS + 60_000, {"para:X": "refused"})
    notes.on_trouble("stopped")
    assert (notes.losses, notes.unanswered) == ({"closed": 1}, {"para:X": "refused"})
    assert not notes.markets[COIN].samples["book_pause_ms"]
    json.dumps(notes.summary())


def test_a_frame_of_another_market_only_counts(notes: SocketNotes) -> None:
    notes.on_data(Bbo("para:X", T0_MS, None, None), T0_MS)
    assert notes.frames == {"bbo": 1} and list(notes.markets) == [COIN]
