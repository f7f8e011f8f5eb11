"""The pending set, on a real server and in fakeredis: a capture enters once and leaves when its line is on disk."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from hip3_tasks.domain.capture import Capture
from hip3_tasks.domain.records import Signal
from hip3_tasks.store import pending as module
from hip3_tasks.store.keys import Keys
from hip3_tasks.store.pending import FIRST_TRY_MS, MAX_QUEUE, Pending, PendingCapture
from tests.support.factories import T0_MS, a_followup, a_missed, a_signal

SIGNAL, OTHER = a_signal(), a_signal("xyz:AAPL", at_ms=T0_MS + 10)


@pytest.fixture
def pending(client: redis.Redis, keys: Keys) -> Pending:
    return Pending(client, keys, signal_ttl_s=900)


def wanted(*signals: Signal, message: bytes | None = b"task") -> list[PendingCapture]:
    return [PendingCapture(capture, message) for signal in signals for capture in signal.captures()]


def named(*signals: Signal) -> list[PendingCapture]:
    """Captures, each with a task that contains its number."""
    return [PendingCapture(capture, capture.member.encode()) for signal in signals for capture in signal.captures()]


def queued(client: redis.Redis, keys: Keys) -> list[bytes]:
    """Messages in the order in which a worker takes them."""
    return list(reversed(client.lrange(keys.queue, 0, -1)))


def members(*signals: Signal) -> list[str]:
    return [capture.member for signal in signals for capture in signal.captures()]


def test_a_burst_enters_with_its_signals_its_captures_and_its_tasks(
    pending: Pending, client: redis.Redis, keys: Keys
) -> None:
    assert pending.add([SIGNAL, OTHER], named(SIGNAL, OTHER)) == 6
    assert pending.size() == 6
    assert sorted(queued(client, keys)) == sorted(member.encode() for member in members(SIGNAL, OTHER))
    for signal in SIGNAL, OTHER:
        assert client.hget(keys.signal(signal.signal_id), "record") == signal.line()
        assert 890 < client.ttl(keys.signal(signal.signal_id)) <= 900
    due_ms = {member.decode(): at_ms for member, at_ms in client.zrange(keys.due, 0, -1, withscores=True)}
    assert due_ms == {capture.member: capture.due_at_ms for signal in (SIGNAL, OTHER) for capture in signal.captures()}


def test_a_server_that_lost_a_call_says_so_once(pending: Pending, client: redis.Redis, keys: Keys) -> None:
    assert not pending.has_lost_calls()
    pending.add([SIGNAL], wanted(SIGNAL))
    older = client.get(keys.added)
    pending.add([OTHER], wanted(OTHER))
    assert not pending.has_lost_calls()
    client.set(keys.added, older)
    assert pending.has_lost_calls()
    assert not pending.has_lost_calls()
    client.delete(keys.added)
    assert pending.has_lost_calls()
    pending.add([OTHER], wanted(OTHER))
    assert not pending.has_lost_calls()


def test_a_lost_call_is_noticed_though_others_were_counted_since(
    pending: Pending, client: redis.Redis, keys: Keys
) -> None:
    pending.add([SIGNAL], wanted(SIGNAL))
    client.set(keys.added, 0)
    pending.add([OTHER], wanted(OTHER))
    assert pending.has_lost_calls()
    assert not pending.has_lost_calls()


def test_a_call_without_a_reply_does_not_hide_a_lost_one(pending: Pending, client: redis.Redis, keys: Keys) -> None:
    pending.add([SIGNAL], wanted(SIGNAL), at_ms=T0_MS)
    older = client.get(keys.added)
    pending.add([OTHER], wanted(OTHER), at_ms=T0_MS + 5)
    known = pending._calls
    client.set(keys.added, older or b"")
    pending.add([OTHER], wanted(OTHER), at_ms=T0_MS + 6)
    pending._calls, pending._is_set_back = known, False  # as if its reply had been lost
    pending.add([OTHER], wanted(OTHER), at_ms=T0_MS + 7)
    assert pending.has_lost_calls()
    pending.add([OTHER], wanted(OTHER), at_ms=T0_MS + 8)
    assert not pending.has_lost_calls()


def test_an_older_server_with_as_many_calls_is_noticed(pending: Pending, client: redis.Redis, keys: Keys) -> None:
    pending.add([SIGNAL], wanted(SIGNAL), at_ms=T0_MS)
    older = client.get(keys.added)
    client.delete(keys.added)
    assert pending.has_lost_calls()
    pending.add([OTHER], wanted(OTHER), at_ms=T0_MS + 5)
    assert not pending.has_lost_calls()
    client.set(keys.added, older or b"")
    assert pending.has_lost_calls()


def test_a_process_that_starts_takes_the_count_of_the_server_as_it_is(
    pending: Pending, client: redis.Redis, keys: Keys
) -> None:
    pending.add([SIGNAL], wanted(SIGNAL))
    assert not Pending(client, keys).has_lost_calls()


def test_the_earliest_due_capture_is_queued_first(pending: Pending, client: redis.Redis, keys: Keys) -> None:
    burst = [a_signal(f"xyz:B{number}", at_ms=T0_MS + number % 7) for number in range(500)]
    pending.add(burst, named(*burst))
    due_ms = [Capture.from_member(message.decode()).due_at_ms for message in queued(client, keys)]
    assert len(due_ms) == 1500
    assert due_ms == sorted(due_ms)


def test_a_reader_sees_all_of_a_call_or_nothing(pending: Pending, client: redis.Redis, keys: Keys) -> None:
    bursts = [[a_signal(f"xyz:B{index}", at_ms=T0_MS + number) for index in range(20)] for number in range(50)]
    signal_keys = [keys.signal(signal.signal_id) for burst in bursts for signal in burst]
    seen: set[tuple[int, ...]] = set()

    def look() -> int:
        pipe = client.pipeline(transaction=True)
        pipe.zcard(keys.pending).zcard(keys.due).llen(keys.queue).exists(*signal_keys)
        captures, due, tasks, signals = pipe.execute()
        seen.add((captures, due, tasks, 3 * signals))
        return captures

    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(lambda: [pending.add(burst, named(*burst)) for burst in bursts])
        while look() < 3000 and not (done.done() and done.exception()):
            pass
        assert done.result() == [60] * 50
    assert len(seen) > 1
    assert all(len(set(counts)) == 1 and counts[0] % 60 == 0 for counts in seen)


def test_a_repeated_call_publishes_only_new_captures(pending: Pending, client: redis.Redis, keys: Keys) -> None:
    burst = [a_signal(f"xyz:B{number}") for number in range(1200)]
    pending.add(burst[::3], named(*burst[::3]))
    assert pending.add(burst, named(*burst)) == 2400
    assert pending.size() == client.zcard(keys.due) == 3600
    assert sorted(queued(client, keys)) == sorted(member.encode() for member in members(*burst))


def test_a_capture_that_a_call_names_twice_enters_once(pending: Pending, client: redis.Redis, keys: Keys) -> None:
    assert pending.add([SIGNAL], named(SIGNAL, SIGNAL)) == 3
    assert len(queued(client, keys)) == 3


def test_adding_a_known_capture_publishes_nothing(pending: Pending, client: redis.Redis, keys: Keys) -> None:
    assert pending.add([SIGNAL], wanted(SIGNAL)) == 3
    assert pending.add([SIGNAL, OTHER], wanted(SIGNAL, OTHER)) == 3
    assert len(queued(client, keys)) == 6
    assert pending.add([], []) == 0


def test_adding_a_known_capture_keeps_its_next_try(pending: Pending) -> None:
    pending.add([SIGNAL], wanted(SIGNAL))
    pending.publish_again([(capture, T0_MS + 60_000, b"again") for capture in SIGNAL.captures()])
    pending.add([SIGNAL], wanted(SIGNAL))
    assert pending.overdue(at_ms=T0_MS + 59_999, limit=10)[1] == []


def test_a_capture_without_a_message_is_left_to_the_sweeper(pending: Pending, client: redis.Redis, keys: Keys) -> None:
    assert pending.add([SIGNAL], wanted(SIGNAL, message=None)) == 3
    assert queued(client, keys) == []
    assert pending.size() == 3


def test_a_queue_without_consumers_stops_growing_and_no_capture_is_forgotten(
    pending: Pending, client: redis.Redis, keys: Keys
) -> None:
    client.rpush(keys.queue, *([b"task"] * (MAX_QUEUE - 1)))
    assert pending.add([SIGNAL], wanted(SIGNAL)) == 3
    length = client.llen(keys.queue)
    assert length == MAX_QUEUE + 2
    assert pending.add([OTHER], wanted(OTHER)) == 3
    assert client.llen(keys.queue) == length
    assert pending.size() == 6


def test_a_capture_is_overdue_two_seconds_after_its_due_time(pending: Pending) -> None:
    pending.add([SIGNAL], wanted(SIGNAL))
    first_ms = T0_MS + 1000 + FIRST_TRY_MS
    assert pending.overdue(at_ms=first_ms - 1, limit=10) == (3, [])
    assert pending.overdue(at_ms=first_ms, limit=10) == (3, members(SIGNAL)[:1])
    assert pending.overdue(at_ms=first_ms + 4000, limit=10) == (3, members(SIGNAL))


def test_the_longest_overdue_come_first_up_to_the_limit(pending: Pending) -> None:
    pending.add([OTHER], wanted(OTHER))
    pending.add([SIGNAL], wanted(SIGNAL))
    _, overdue = pending.overdue(at_ms=T0_MS + 60_000, limit=3)
    assert overdue == [f"{SIGNAL.signal_id}|1000", f"{OTHER.signal_id}|1000", f"{SIGNAL.signal_id}|3000"]


def test_a_capture_that_is_published_again_waits_for_its_next_try(
    pending: Pending, client: redis.Redis, keys: Keys
) -> None:
    pending.add([SIGNAL], wanted(SIGNAL, message=None))
    capture = SIGNAL.captures()[0]
    assert pending.publish_again([(capture, T0_MS + 9000, b"again")]) == 1
    assert queued(client, keys) == [b"again"]
    assert capture.member not in pending.overdue(at_ms=T0_MS + 8999, limit=10)[1]
    assert capture.member in pending.overdue(at_ms=T0_MS + 9000, limit=10)[1]


def test_a_capture_that_is_no_longer_pending_is_not_published_again(
    pending: Pending, client: redis.Redis, keys: Keys
) -> None:
    pending.add([SIGNAL], wanted(SIGNAL, message=None))
    pending.remove(members(SIGNAL)[:1])
    retries = [(capture, T0_MS + 9000, capture.member.encode()) for capture in SIGNAL.captures()]
    assert pending.publish_again(retries) == 2
    assert queued(client, keys) == [member.encode() for member in members(SIGNAL)[1:]]
    assert pending.size() == 2
    assert pending.publish_again([]) == 0


def test_a_removed_capture_may_enter_again(pending: Pending, client: redis.Redis, keys: Keys) -> None:
    pending.add([SIGNAL], wanted(SIGNAL))
    pending.remove(members(SIGNAL))
    assert pending.size() == 0
    assert pending.oldest_due_at_ms() is None
    assert not client.exists(keys.pending, keys.due)
    assert pending.add([SIGNAL], wanted(SIGNAL)) == 3


def test_removing_no_capture_or_an_unknown_one_changes_nothing(pending: Pending) -> None:
    pending.add([SIGNAL], wanted(SIGNAL))
    pending.remove([])
    pending.remove(["nonsense"])
    assert pending.size() == 3


def test_the_oldest_due_is_by_due_time_however_often_it_was_tried(pending: Pending) -> None:
    pending.add([SIGNAL, OTHER], wanted(SIGNAL, OTHER))
    pending.publish_again([(SIGNAL.captures()[0], T0_MS + 999_000, b"again")])
    assert pending.oldest_due_at_ms() == T0_MS + 1000


def test_a_member_that_is_no_capture_can_be_found_and_removed(
    pending: Pending, client: redis.Redis, keys: Keys
) -> None:
    client.zadd(keys.pending, {b"\xff|1": T0_MS, "nonsense": T0_MS})
    _, overdue = pending.overdue(at_ms=T0_MS, limit=10)
    assert len(overdue) == 2
    pending.remove(overdue)
    assert pending.size() == 0


def test_a_burst_of_thousands_is_one_call(pending: Pending) -> None:
    captures = [Capture.from_ids(f"xyz:A{number}-{T0_MS}", 1000) for number in range(5000)]
    assert pending.add([], [PendingCapture(capture, b"task") for capture in captures]) == 5000
    pending.remove(capture.member for capture in captures)
    assert pending.size() == 0


def test_hasten_only_reschedules_overdue_captures(pending: Pending, client: redis.Redis, keys: Keys) -> None:
    signal = a_signal()
    first, second, third = signal.captures()
    pending.add([signal], [PendingCapture(capture, None) for capture in signal.captures()])
    pending.publish_again([(first, T0_MS + 60_000, b"again")])
    assert pending.hasten(at_ms=T0_MS + 4000, limit=10) == 1
    assert pending.overdue(at_ms=T0_MS + 4000, limit=10)[1] == [first.member]
    assert client.zscore(keys.pending, second.member) == second.due_at_ms + FIRST_TRY_MS
    assert client.zscore(keys.pending, third.member) == third.due_at_ms + FIRST_TRY_MS


def test_a_revoked_capture_leaves_is_not_added_again_and_is_forgotten_with_its_line(
    pending: Pending, client: redis.Redis, keys: Keys
) -> None:
    pending.add([SIGNAL], wanted(SIGNAL))
    revoked = SIGNAL.captures()[0]
    assert pending.revoke(revoked) and not pending.revoke(revoked)
    assert (pending.size(), pending.revoked(), client.zcard(keys.due)) == (2, 1, 2)
    assert pending.add([SIGNAL], wanted(SIGNAL)) == 0
    pending.remove([revoked.member])
    assert (pending.size(), pending.revoked()) == (2, 0)
    assert not pending.revoke(revoked)


def streamed(client: redis.Redis, key: str) -> list[dict[bytes, bytes]]:
    return [fields for _, fields in client.xrange(key)]


def test_a_signal_enters_the_stream_with_its_tasks_and_once(pending: Pending, client: redis.Redis, keys: Keys) -> None:
    pending.add([SIGNAL, OTHER], wanted(SIGNAL, OTHER))
    pending.add([SIGNAL], wanted(SIGNAL))
    lines = [{b"signal": SIGNAL.line()}, {b"signal": OTHER.line()}]
    assert streamed(client, keys.signal_stream) == lines


def test_new_lines_of_captures_that_leave_the_pending_set_enter_the_stream_once(
    pending: Pending, client: redis.Redis, keys: Keys
) -> None:
    pending.add([SIGNAL], wanted(SIGNAL))
    first, second, third = members(SIGNAL)
    records = {first: a_followup(SIGNAL, 1000), third: a_missed(SIGNAL, 5000)}
    pending.remove([first, second, third], records)
    pending.remove([first, second, third], records)
    lines = [{b"followup": records[first].line()}, {b"missed": records[third].line()}]
    assert streamed(client, keys.outcome_stream) == lines
    assert pending.size() == 0 and not client.exists(keys.due)


def test_removing_in_several_calls_streams_all(
    pending: Pending, client: redis.Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_REMOVED", 2)
    pending.add([SIGNAL, OTHER], wanted(SIGNAL, OTHER))
    records = {
        f"{signal.signal_id}|{ms}": a_followup(signal, ms) for signal in (SIGNAL, OTHER) for ms in (1000, 3000, 5000)
    }
    pending.remove(members(SIGNAL, OTHER), records)
    assert streamed(client, keys.outcome_stream) == [{b"followup": record.line()} for record in records.values()]
    assert pending.size() == 0


def test_the_streams_keep_their_newest_entries(
    client: redis.Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ADD", "REMOVE"):
        monkeypatch.setattr(
            module, name, getattr(module, name).replace(f"'MAXLEN', {module.MAX_STREAMED}", "'MAXLEN', 2")
        )
    pending = Pending(client, keys)
    signals = [a_signal(at_ms=T0_MS + number) for number in range(4)]
    pending.add(signals, wanted(*signals))
    records = {f"{signal.signal_id}|1000": a_followup(signal, 1000) for signal in signals}
    pending.remove(records, records)
    assert streamed(client, keys.signal_stream) == [{b"signal": signal.line()} for signal in signals[2:]]
    assert streamed(client, keys.outcome_stream) == [{b"followup": line.line()} for line in list(records.values())[2:]]
