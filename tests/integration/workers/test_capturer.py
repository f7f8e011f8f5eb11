"""Captures in batches, on a real server or fakeredis and on real files: each gets its own result."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from structlog.testing import capture_logs

from hip3_tasks.domain.capture import Capture
from hip3_tasks.domain.capture_result import DAY_CLOSED, PENDING, CaptureResult, CaptureStatus
from hip3_tasks.domain.market import encode_entry
from hip3_tasks.domain.records import Followup
from hip3_tasks.errors import BadCapture, JournalError, MalformedEntry, UnknownSignal
from hip3_tasks.files.journal import Journal
from hip3_tasks.store.keys import Keys, connect
from hip3_tasks.store.pending import PendingCapture
from hip3_tasks.store.store import Store
from tests.support.factories import T0_MS, a_calm_market, a_market, a_signal, texts
from workers.capturer import Capturer

CAPTURED, ALREADY_CAPTURED = CaptureResult(CaptureStatus.CAPTURED), CaptureResult(CaptureStatus.ALREADY_CAPTURED)

COINS = [f"xyz:C{number}" for number in range(6)]
SIGNALS = [a_signal(coin) for coin in COINS]
CAPTURES = [capture for signal in SIGNALS for capture in signal.captures()]


class Scene:
    """Six signals at one instant with pending captures, each with a tape complete up to `watermark_ms`."""

    def __init__(self, client: redis.Redis, keys: Keys, data_dir: Path) -> None:
        self.client, self.keys, self.data_dir = client, keys, data_dir
        store = Store(client, keys)
        self.pending = store.pending
        self.pending.add(SIGNALS, [PendingCapture(capture, None) for capture in CAPTURES])
        for coin in COINS:
            self.put(coin, T0_MS, *encode_entry(a_market()))
            self.put(coin, T0_MS + 900, *encode_entry(a_calm_market(at_ms=T0_MS + 900)))
        self.complete_up_to(T0_MS + 5_000)
        self.reads: list[int] = []
        self.now_ms = T0_MS + 6_000
        self.journal = Journal(data_dir)
        self.capturer = Capturer(
            store,
            journal=self.journal,
            data_dir=data_dir,
            now_ms=self._now_ms,
        )

    def _now_ms(self) -> int:
        self.reads.append(self.now_ms + len(self.reads))
        return self.reads[-1]

    def put(self, coin: str, at_ms: int, field: bytes, value: bytes) -> None:
        self.client.xadd(self.keys.tape(coin), {field: value}, id=f"{at_ms}-0")

    def complete_up_to(self, at_ms: int) -> None:
        self.client.set(self.keys.watermark, at_ms)

    def followups(self) -> list[Followup]:
        paths = self.data_dir.glob("followups_*.jsonl")
        return [Followup.from_line(line) for path in paths for line in path.read_bytes().splitlines()]

    def is_pending(self, capture: Capture) -> bool:
        return self.client.zscore(self.keys.pending, capture.member) is not None


@pytest.fixture
def scene(client: redis.Redis, keys: Keys, tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(client, keys, tmp_path)
    yield scene
    scene.capturer.close()


def test_a_batch_is_read_and_stamped_once_and_answers_in_order(scene: Scene) -> None:
    mixed = CAPTURES[::2] + CAPTURES[1::2]
    assert texts(scene.capturer.capture_all(mixed)) == ["captured"] * 18
    assert len(scene.reads) == 1
    assert [record.captured_at_ms for record in scene.followups()] == [T0_MS + 6_000] * 18
    assert [(record.signal_id, record.offset_ms) for record in scene.followups()] == [
        (capture.signal_id, capture.offset_ms) for capture in mixed
    ]
    assert scene.pending.size() == 0
    assert texts(scene.capturer.capture_all(mixed)) == ["already captured"] * 18


def test_lines_that_are_new_are_streamed_and_no_others(scene: Scene) -> None:
    scene.capturer.capture_all(CAPTURES[:3])
    scene.pending.add([], [PendingCapture(CAPTURES[0], None)])
    assert scene.capturer.capture_all(CAPTURES[:4]) == [ALREADY_CAPTURED] * 3 + [CAPTURED]
    assert not scene.is_pending(CAPTURES[0])
    fields = [fields for _, fields in scene.client.xrange(scene.keys.outcome_stream)]
    assert fields == [{b"followup": record.line()} for record in scene.followups()]
    assert len(fields) == 4


def test_a_capture_twice_in_a_batch_has_one_line(scene: Scene) -> None:
    assert texts(scene.capturer.capture_all(CAPTURES[:2] * 3)) == ["captured"] * 6
    assert len(scene.followups()) == 2


def test_a_clock_behind_the_feeds_is_named_with_its_host_once_a_minute(scene: Scene) -> None:
    named = []
    for minutes, captures in enumerate((CAPTURES[:6], CAPTURES[6:12], CAPTURES[12:])):
        scene.now_ms = T0_MS - 3_000 + minutes * 31_000
        with capture_logs() as logs:
            assert texts(scene.capturer.capture_all(captures)) == ["captured"] * 6
        named.append([(line["event"], line["host"], line["early_ms"]) for line in logs])
    assert named == [[("captured_before_due", socket.gethostname(), 8_000)], [], []]


def test_an_empty_batch_does_nothing(scene: Scene) -> None:
    assert scene.capturer.capture_all([]) == []
    assert not list(scene.data_dir.iterdir())


def test_captures_beyond_the_watermark_stay_pending_and_the_others_are_captured(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.capturer.WATERMARK_TIMEOUT_MS", 20)
    scene.complete_up_to(T0_MS + 2_999)
    answers = scene.capturer.capture_all(CAPTURES)
    assert answers == [CAPTURED, PENDING, PENDING] * 6
    assert [scene.is_pending(capture) for capture in CAPTURES] == [False, True, True] * 6
    scene.complete_up_to(T0_MS + 3_000)
    assert scene.capturer.capture_all(CAPTURES) == [ALREADY_CAPTURED, CAPTURED, PENDING] * 6


def test_a_tape_that_becomes_complete_meanwhile_is_waited_for(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.complete_up_to(T0_MS + 1_000)
    monkeypatch.setattr("time.sleep", lambda _: scene.complete_up_to(T0_MS + 5_000))
    assert texts(scene.capturer.capture_all(CAPTURES)) == ["captured"] * 18
    assert len(scene.reads) == 2
    monkeypatch.undo()


def test_a_watermark_that_the_server_has_lost_is_not_relied_upon(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.capturer.WATERMARK_TIMEOUT_MS", 20)
    assert texts(scene.capturer.capture_all(CAPTURES[:9])) == ["captured"] * 9
    scene.client.delete(scene.keys.watermark)
    assert scene.capturer.capture_all(CAPTURES[9:]) == [PENDING] * 9
    scene.complete_up_to(T0_MS + 1_000)
    assert scene.capturer.capture_all(CAPTURES[9:]) == [CAPTURED, PENDING, PENDING] * 3


def test_a_tape_entry_that_does_not_decode_harms_only_its_own(scene: Scene) -> None:
    scene.put(COINS[2], T0_MS + 2_000, b"s", b"[1,2")
    answers = scene.capturer.capture_all(CAPTURES)
    bad = [capture for capture in CAPTURES if capture.market_key == COINS[2] and capture.offset_ms > 2_000]
    for capture, answer in zip(CAPTURES, answers, strict=True):
        assert isinstance(answer, MalformedEntry) if capture in bad else answer == CAPTURED
        assert scene.is_pending(capture) is (capture in bad)


def test_a_capture_that_no_signal_expects_is_an_error_and_is_removed(scene: Scene) -> None:
    unknown = a_signal("xyz:NONE").captures()[0]
    not_owed = Capture(SIGNALS[0].signal_id, 2_000, COINS[0], T0_MS)
    scene.pending.add([], [PendingCapture(unknown, None), PendingCapture(not_owed, None)])
    answers = scene.capturer.capture_all([CAPTURES[0], unknown, not_owed, CAPTURES[1]])
    assert [type(answer) for answer in answers] == [CaptureResult, UnknownSignal, BadCapture, CaptureResult]
    assert not scene.is_pending(unknown) and not scene.is_pending(not_owed)
    with pytest.raises(UnknownSignal, match="neither Redis nor signals_2026-11-22"):
        scene.capturer.capture(unknown)


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("is_complete", [True, False])
def test_a_closed_day_takes_nothing_whether_its_signals_are_known_or_deleted(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, is_known: bool, is_complete: bool
) -> None:
    monkeypatch.setattr("workers.capturer.WATERMARK_TIMEOUT_MS", 20)
    closing = scene.data_dir / "followups_2026-11-22.parquet"
    closing.touch()
    if not is_known:
        scene.client.delete(*(scene.keys.signal(signal.signal_id) for signal in SIGNALS))
    if not is_complete:
        scene.complete_up_to(T0_MS)
    assert scene.capturer.capture_all(CAPTURES) == [DAY_CLOSED] * 18
    assert list(scene.data_dir.iterdir()) == [closing]
    assert scene.pending.size() == 0


def test_a_signal_under_another_id_on_the_server_is_not_used(scene: Scene) -> None:
    scene.client.hset(scene.keys.signal(SIGNALS[0].signal_id), "record", SIGNALS[1].line())
    answers = scene.capturer.capture_all(CAPTURES[:6])
    assert [type(answer) for answer in answers] == [UnknownSignal] * 3 + [CaptureResult] * 3
    assert {followup.signal_id for followup in scene.followups()} == {SIGNALS[1].signal_id}


def test_a_disk_that_refuses_leaves_all_of_them_pending(scene: Scene) -> None:
    (scene.data_dir / "followups_2026-11-22.jsonl").mkdir()
    answers = scene.capturer.capture_all(CAPTURES)
    assert all(isinstance(answer, JournalError) for answer in answers)
    assert scene.pending.size() == 18


def test_a_server_that_is_gone_is_the_answer_to_each(keys: Keys, tmp_path: Path) -> None:
    gone = connect("redis://127.0.0.1:1/0")
    capturer = Capturer(Store(gone, keys), journal=Journal(tmp_path), data_dir=tmp_path)
    assert all(isinstance(answer, redis.ConnectionError) for answer in capturer.capture_all(CAPTURES))
