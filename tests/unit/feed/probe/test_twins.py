"""Two sockets with the same subscriptions."""

from hypothesis import given
from hypothesis import strategies as st

from feed.probe.sockets import STRAY_MS, Twins
from feed.wire import Bbo, Level

COIN, T0_MS = "xyz:TSLA", 1_795_338_700_000


def book(number: int) -> Bbo:
    return Bbo(COIN, T0_MS + number, Level(100.0 + number, 1.0), None)


def twins() -> Twins:
    both = Twins()
    for socket in (0, 1):
        both.hear(socket, book(0), T0_MS, is_first=True)
    return both


def hear(both: Twins, socket: int, number: int, at_ms: int) -> None:
    both.hear(socket, book(number), T0_MS + at_ms, is_first=False)


@given(st.lists(st.sampled_from([0, 1]), max_size=60), st.data())
def test_two_sockets_with_the_same_books_in_order_have_no_strays(turns: list[int], data: st.DataObject) -> None:
    both, heard = twins(), [0, 0]
    for at_ms, socket in enumerate(turns, 1):
        heard[socket] += 1
        hear(both, socket, heard[socket], at_ms)
    for socket in (0, 1):
        for number in range(heard[socket] + 1, max(heard) + 1):
            hear(both, socket, number, 100)
    both.finish(T0_MS + 10 * STRAY_MS)
    assert both.strays == [0, 0] and both.disordered == 0
    assert both.skew_ms.total() == max(heard)


def test_the_skew_is_the_time_between_the_two_arrivals() -> None:
    both = twins()
    hear(both, 0, 1, 10)
    hear(both, 1, 1, 17)
    assert both.skew_ms.quantile(1) == 7


def test_a_book_that_one_socket_alone_brought_is_a_stray_of_it() -> None:
    both = twins()
    hear(both, 0, 1, 10)
    both.finish(T0_MS + STRAY_MS)
    assert both.strays == [0, 0]  # it may still come
    both.finish(T0_MS + 2 * STRAY_MS)
    assert both.strays == [1, 0]


def test_books_in_another_order_are_counted() -> None:
    both = twins()
    for socket, number in ((0, 1), (0, 2), (1, 2), (1, 1)):
        hear(both, socket, number, 10)
    assert both.disordered == 1 and both.skew_ms.total() == 2


def test_nothing_is_compared_while_the_other_socket_may_not_listen() -> None:
    both = Twins()
    both.hear(0, book(0), T0_MS, is_first=True)
    hear(both, 0, 1, 10)
    both.hear(1, book(1), T0_MS + 11, is_first=True)
    hear(both, 0, 2, 20)
    both.lose(1)
    hear(both, 0, 3, 30)
    both.finish(T0_MS + 10 * STRAY_MS)
    assert both.strays == [0, 0] and both.skew_ms.total() == 0


def test_a_book_that_overtakes_the_other_sockets_first_one_is_no_stray() -> None:
    both = Twins()
    both.hear(0, book(0), T0_MS, is_first=True)
    hear(both, 0, 2, 5)
    both.hear(1, book(1), T0_MS + 6, is_first=True)
    hear(both, 1, 2, 7)
    both.finish(T0_MS + 10 * STRAY_MS)
    assert both.strays == [0, 0]
