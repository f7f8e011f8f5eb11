from structlog.testing import capture_logs

from feed.flood_log import MAX_LINES, PERIOD_MS, FloodLog


def test_each_event_has_ten_lines_in_any_minute_and_the_next_one_has_the_number_left_out() -> None:
    now_ms = 0
    flood_log = FloodLog(lambda: now_ms)
    with capture_logs() as lines:
        for now_ms in range(0, 3 * PERIOD_MS, 50):
            flood_log.warning("venue_error", text=f"{now_ms}")
        flood_log.warning("malformed_frame", kind="not_json")
    times_ms = [int(line["text"]) for line in lines if line["event"] == "venue_error"]
    assert len(times_ms) == 3 * MAX_LINES
    assert all(later - sooner >= PERIOD_MS for sooner, later in zip(times_ms, times_ms[MAX_LINES:], strict=False))
    assert sum(line.get("left_out", 0) for line in lines) == 2 * (PERIOD_MS // 50 - MAX_LINES)
    assert lines[-1]["event"] == "malformed_frame"
