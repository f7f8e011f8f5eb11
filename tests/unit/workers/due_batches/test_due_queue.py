import math

from hypothesis import given
from hypothesis import strategies as st

from workers.due_batches.due_queue import MAX_PAUSE_S, PAUSE_PER_MEMBER_S, DueQueue


def queue_of(*due_s: float) -> DueQueue[float]:
    queue: DueQueue[float] = DueQueue()
    for instant_s in due_s:
        queue.push(instant_s, due_s=instant_s)
    return queue


def test_all_that_is_due_comes_at_once_and_in_order() -> None:
    queue = queue_of(3.0, 1.0, 2.0)
    assert queue.pop_due(now_s=0.9) == []
    assert queue.pop_due(now_s=2.0) == [(1.0, 1.0), (2.0, 2.0)]
    assert list(queue) == [3.0]


def test_requests_for_one_instant_come_in_the_order_of_their_receipt() -> None:
    queue: DueQueue[str] = DueQueue()
    for name in ("b", "a", "c"):
        queue.push(name, due_s=1.0)
    assert [name for _, name in queue.pop_due(now_s=1.0)] == ["b", "a", "c"]


def test_it_wakes_for_the_earliest_and_never_when_empty() -> None:
    assert queue_of(3.0, 1.0).wake_at_s() == 1.0
    assert queue_of().wake_at_s() == math.inf


def test_a_pause_follows_each_batch_and_grows_with_it() -> None:
    queue = queue_of(1.0, 1.0, 1.001)
    queue.pop_due(now_s=1.0)
    assert queue.wake_at_s() == 1.0 + 2 * PAUSE_PER_MEMBER_S
    many = queue_of(*[1.0] * 500, 1.001)
    many.pop_due(now_s=1.0)
    assert many.wake_at_s() == 1.0 + MAX_PAUSE_S


def test_cleared_requests_are_gone() -> None:
    queue = queue_of(2.0, 1.0)
    assert sorted(queue) == [1.0, 2.0]
    queue.clear()
    assert list(queue) == []
    assert queue.wake_at_s() == math.inf


@given(st.lists(st.floats(0, 100), max_size=60))
def test_each_request_comes_once_never_early_and_no_later_than_a_pause_after_it_is_due(
    due_times_s: list[float],
) -> None:
    queue: DueQueue[int] = DueQueue()
    came: dict[int, float] = {}
    for number, due_s in enumerate(due_times_s):
        queue.push(number, due_s=due_s)
    while (wake_s := queue.wake_at_s()) < math.inf:
        for due_s, number in queue.pop_due(now_s=wake_s):
            assert number not in came
            came[number] = wake_s
            assert due_s == due_times_s[number]
    assert sorted(came) == list(range(len(due_times_s)))
    assert all(0 <= came[number] - due_s <= MAX_PAUSE_S for number, due_s in enumerate(due_times_s))
