from feed.lag import Lag, LagWindow, lag_notice, lag_problem


def lagged(*lags_ms: int, at_ms: int = 50_000) -> LagWindow:
    window = LagWindow()
    for lag_ms in lags_ms:
        window.note(lag_ms, at_ms)
    return window


def test_the_lag_is_that_of_the_last_ten_seconds() -> None:
    window = lagged(250, 260, 270, at_ms=50_000)
    window.note(900, 59_000)
    assert window.lag(60_000) == Lag(265, 900)
    assert window.lag(60_001) == Lag(900, 900)
    assert window.lag(69_001) is None
    assert LagWindow().lag(0) is None


def test_one_late_book_is_no_problem_and_a_late_median_is() -> None:
    assert lag_problem(lagged(250, 250, 420_000).lag(50_000), max_lag_ms=5000) is None
    problem = lag_problem(lagged(250, 420_000, 420_000).lag(50_000), max_lag_ms=5000)
    assert problem == "books arrive 420.0 s after their block, at most 5.0 s are normal"
    assert lag_problem(Lag(5000, 9000), max_lag_ms=5000) is None
    assert lag_problem(None, max_lag_ms=5000) is None


def test_half_of_the_limit_is_a_notice() -> None:
    assert lag_notice(Lag(2500, 2500), max_lag_ms=5000) is None
    assert "2.5 s after their block" in (lag_notice(Lag(2501, 2501), max_lag_ms=5000) or "")
    assert lag_notice(Lag(5001, 5001), max_lag_ms=5000) is None
    assert lag_notice(None, max_lag_ms=5000) is None


def test_blocks_of_the_future_name_this_machines_clock() -> None:
    assert "this machine's clock is 60.0 s behind" in (lag_problem(Lag(-60_000, -59_000), max_lag_ms=5000) or "")
    assert lag_problem(Lag(-1000, 0), max_lag_ms=5000) is None
