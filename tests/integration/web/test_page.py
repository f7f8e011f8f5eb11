"""The page as a process: its answers, and its behaviour while other parts fail."""

import base64
import json
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from hip3_tasks.clock import wall_ms
from hip3_tasks.domain.capture import DAY_MS, MINUTE_MS
from hip3_tasks.domain.market import Gap
from hip3_tasks.domain.records import Dark, Record
from hip3_tasks.run_file import RunFile
from hip3_tasks.up.embedded_redis import free_port
from hip3_tasks.web.event_stream import MAX_VIEWERS
from tests.support.factories import a_followup, a_market, a_missed, a_signal
from tests.support.page import PageRig
from tests.support.waiting import eventually

Rigged = Callable[[], PageRig]


@pytest.fixture
def rig(redis_url: str, name: str, tmp_path: Path) -> PageRig:
    return PageRig(redis_url, name, tmp_path / "data")


@pytest.fixture(scope="module")
def served(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageRig]:
    """A page shared by the tests with default settings; each test has its own coins."""
    rig = PageRig(redis_url, f"test-{uuid.uuid4().hex[:16]}", tmp_path_factory.mktemp("page") / "data")
    rig.write_feed_status(frames={"bbo": 100, "ctx": 200}, reconnects=3)
    with rig.running(FLOWER_URL="http://127.0.0.1:5555"):
        yield rig


def rows_of(events: Iterator[Any], kind: str) -> list[Any]:
    """The next rows of a kind in a stream."""
    return next(rows for event in events if not event.get("whole") and (rows := event.get(kind)))


def until(what: str, is_so: Callable[[], Any]) -> Any:
    return eventually(what, is_so, within_s=10, interval_s=0.05)


def test_the_state_has_markets_signals_and_the_system(rig: PageRig) -> None:
    rig.write_feed_status(reconnects=2, notices=["xyz:NONE is not listed"])
    rig.markets(TSLA=a_market(), AAPL=Gap("stalled"))
    signal_ = a_signal(at_ms=wall_ms() - 4_000)
    rig.append(signal_, a_followup(signal_), a_missed(signal_, 3000))
    rig.write_worker_status(processes=2, held=7)
    with rig.running(FLOWER_URL="http://127.0.0.1:5555"):
        state = until("all is well", lambda: (state := rig.state())["ok"] and state)
        assert [(row["coin"], row["state"]) for row in state["markets"]] == [
            ("xyz:AAPL", "gap"),
            ("xyz:TSLA", "live"),
            ("xyz:OLD", "delisted"),
        ]
        (row,) = state["signals"]
        assert [cell["outcome"] for cell in row["cells"]] == ["book_came", "missed", None]
        assert state["notices"] == ["xyz:NONE is not listed"]
        pipeline = state["pipeline"]
        assert (pipeline["signals"], pipeline["followups"], pipeline["missed"]) == (1, 1, 1)
        assert pipeline["reconnects"] == 2
        assert [(worker["processes"], worker["held"]) for worker in pipeline["workers"]] == [(2, 7)]
        assert pipeline["server_bytes"] > 0
        assert [file["name"].split("_")[0] for file in pipeline["files_today"]] == ["signals", "followups", "missed"]
        assert state["flower_url"] == "http://127.0.0.1:5555"
        assert rig.ask("/healthz").status == 200


def test_the_venue_is_simulated_by_the_feeds_last_report(rig: PageRig) -> None:
    with rig.running():
        assert rig.state()["is_simulated"] is None
        for is_simulated in (True, False):
            rig.write_feed_status(is_simulated=is_simulated)
            until("it is shown", lambda expected=is_simulated: rig.state()["is_simulated"] is expected)
        rig.client.delete(rig.keys.status)
        until("the feed is gone", lambda: "no status of the feed" in "".join(rig.state()["problems"]))
        assert rig.state()["is_simulated"] is False
        assert b'id="simulated"' in rig.ask("/").body


def test_a_viewer_gets_the_full_state_and_then_changes(served: PageRig) -> None:
    served.markets(TSLA=a_market(), AAPL=a_market())
    until("both are there", lambda: len(served.state()["markets"]) == 3)
    with served.stream() as events:
        first = next(events)
        assert first["whole"] and {row["coin"] for row in first["markets"]} == {"xyz:TSLA", "xyz:AAPL", "xyz:OLD"}
        served.put("xyz:AAPL", a_market(ask_px=249.75), at_ms=wall_ms())
        assert [(row["coin"], row["ask_px"]) for row in rows_of(events, "markets")] == [("xyz:AAPL", 249.75)]


def test_a_signal_and_its_cells_are_sent_as_they_are_written(served: PageRig) -> None:
    signal_ = a_signal("xyz:CELLS", at_ms=wall_ms())
    with served.stream() as events:
        next(events)
        for record, outcomes in (
            (signal_, [None, None, None]),
            (a_followup(signal_, 1000), ["book_came", None, None]),
            (a_missed(signal_, 3000), ["book_came", "missed", None]),
        ):
            served.append(record)
            written_s = time.monotonic()
            (row,) = rows_of(events, "signals")
            assert [cell["outcome"] for cell in row["cells"]] == outcomes
            assert time.monotonic() - written_s < 2


def test_older_lines_are_counted_once_with_new_ones(rig: PageRig) -> None:
    now_ms = wall_ms()
    before = [a_signal(at_ms=now_ms - 100 * n) for n in range(50)]
    rig.append(*reversed(before), *[a_followup(signal_) for signal_ in reversed(before)])
    with rig.running():
        later = a_signal(at_ms=now_ms + 1)
        rig.append(later, a_followup(later))
        until("the later one", lambda: len(rig.state()["signals"]) == 51)
        until("its follow-up", lambda: rig.state()["pipeline"]["followups"] == 51)
        decay = rig.ask("/api/decay?coin=xyz:TSLA&side=buy").json()
        # Lines of yesterday, if midnight has just passed, are not counted.
        assert [row["n"] for row in decay["horizons"]] in ([51, 51], [1, 1])
        assert decay["is_complete"]
        assert rig.ask("/api/decay?coin=xyz:NONE").json()["horizons"] == []
        assert rig.ask("/api/decay?side=up").status == 400


def test_the_state_says_what_a_taker_had_today_and_of_each_signal(rig: PageRig) -> None:
    now_ms = wall_ms()
    today_ms = now_ms // DAY_MS * DAY_MS
    # The first one is of today, however early it is.
    signals = [a_signal(at_ms=at_ms) for at_ms in (today_ms + 1, max(now_ms - 5_000, today_ms + 2))]
    for signal_ in signals:
        rig.append(signal_, *(a_followup(signal_, ms, market_moved_bps=0.0, bid_px=250.0) for ms in (1000, 5000)))
    with rig.running():
        taken = rig.state()["taken"]
        clusters = len({signal_.timestamp_ms // MINUTE_MS for signal_ in signals})
        trip_bps = (250.0 / 249.5 - 1) * 1e4 - 19.0
        assert taken["judged"]["round_trip_bps"] == {"value": pytest.approx(trip_bps), "low": None, "high": None}
        assert (taken["judged"]["held_ms"], taken["judged"]["clusters"]) == (4000, clusters)
        assert taken["clusters_needed"] == 20
        assert (taken["since_ms"], taken["is_complete"]) == (today_ms, True)
        decay = rig.ask("/api/decay").json()
        assert [(trip["held_ms"], trip["n"], trip["trips"]) for trip in decay["trips"]] == [(2000, 2, 0), (4000, 2, 2)]
        (row, *_) = rig.state()["signals"]
        assert (row["order"], row["usd"]) == ("had", 499.0)
        assert [cell["round_trip_bps"] for cell in row["cells"]] == [None, None, round(trip_bps, 2)]


def test_the_takers_fees_are_those_of_the_settings(rig: PageRig) -> None:
    signal_ = a_signal(at_ms=wall_ms() - 4_000)
    rig.append(signal_, *(a_followup(signal_, ms, market_moved_bps=0.0, bid_px=249.5) for ms in (1000, 5000)))
    with rig.running(TAKER_TIER_BPS="2.25", PRIORITY_FEE_BPS="1"):
        (trip,) = until("its trip", lambda: [trip for trip in rig.state()["pipeline"]["trips"] if trip["trips"]])
        assert trip["round_trip_bps"] == -(2 * (4.5 + 1) + 1.0)


def test_a_signal_opens_with_the_prices_around_it(served: PageRig) -> None:
    at_ms = wall_ms() - 8_000
    signal_ = a_signal("xyz:OPEN", at_ms=at_ms)
    for n in range(-3, 7):
        served.put("xyz:OPEN", at_ms=at_ms + n * 1000)
    served.append(signal_)
    asked = f"/api/signal?id={signal_.signal_id}"
    detail = until("it is there", lambda: (answer := served.ask(asked)).status == 200 and answer.json())
    assert [line["name"] for line in detail["figure"]["data"]] == ["ask", "bid", "oracle"]
    assert detail["figure"]["data"][0]["x"] == [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    assert detail["links"][0].startswith("http://127.0.0.1:5555/task/xyz%3AOPEN-")
    assert served.ask("/api/signal?id=xyz:NONE-1").status == 404


def test_only_the_page_itself_can_queue_a_capture_again(served: PageRig) -> None:
    signal_ = a_signal("xyz:AGAIN", at_ms=wall_ms())
    served.append(signal_)
    asked = {"signal_id": signal_.signal_id}
    assert served.post("/api/recapture", asked, origin="http://evil.example").status == 403
    assert served.post("/api/recapture", asked, content_type="text/plain").status == 403
    assert served.post("/api/recapture", asked, host="evil.example").status == 421
    assert served.ask("/api/recapture").status == 405
    assert served.client.llen(served.keys.queue) == 0
    done = served.post("/api/recapture", asked, origin=f"http://127.0.0.1:{served.port}")
    assert (done.status, done.json()) == (200, {"queued_ms": [1000, 3000, 5000]})
    assert served.client.llen(served.keys.queue) == 3
    assert served.post("/api/recapture", {"signal_id": "xyz:NONE-1795338701358"}).status == 404
    for wrong in ({}, [], "x", {"signal_id": 3}, {"signal_id": "x" * 2000}):
        assert served.post("/api/recapture", wrong).status in (400, 404)
    assert served.client.llen(served.keys.queue) == 3


def test_a_page_with_a_password_shows_nothing_without_it(rig: PageRig) -> None:
    with rig.running(PAGE_PASSWORD="s3cret"):
        for path in ("/", "/events", "/api/state", "/metrics", "/static/page.js", "/api/decay", "/nowhere"):
            assert rig.ask(path).status == 401, path
        let_in = f"Basic {base64.b64encode(b'me:s3cret').decode()}"
        assert rig.ask("/api/state", authorization=let_in).status == 200
        assert rig.ask("/livez").status == 200
        assert "s3cret" not in rig.log


def test_metrics_are_in_the_format_of_prometheus(rig: PageRig) -> None:
    def metrics() -> dict[tuple[str, ...], float]:
        families = text_string_to_metric_families(rig.ask("/metrics").body.decode())
        samples = [sample for family in families for sample in family.samples]
        return {(sample.name, *sorted(sample.labels.values())): sample.value for sample in samples}

    rig.write_feed_status(frames={"bbo": 100, "ctx": 200}, reconnects=3, lag_p50_ms=250, lag_p99_ms=900)
    with rig.running():
        signal_ = a_signal(at_ms=wall_ms())
        rig.append(signal_, a_followup(signal_), a_missed(signal_, 3000))
        until("all is counted", lambda: metrics().get(("hip3_captures_total", "feed_gap")) == 1)
        values = metrics()
    assert values["hip3_signals_total",] == values["hip3_captures_total", "captured"] == 1
    assert values["hip3_lateness_seconds_count", "1000"] == values["hip3_lateness_seconds_bucket", "0.005", "1000"] == 1
    assert values["hip3_lateness_seconds_bucket", "0.002", "1000"] == 0
    assert (values["hip3_frames_total", "ctx"], values["hip3_reconnects_total",]) == (200, 3)
    assert (values["hip3_lag_p50_seconds",], values["hip3_lag_p99_seconds",]) == (0.25, 0.9)
    assert {"hip3_pending", "hip3_overdue", "hip3_watermark_age_seconds", "hip3_up"} <= {name for name, *_ in values}


def test_dark_markets_are_in_the_state_and_counted_by_kind(rig: PageRig) -> None:
    refused = [
        Dark(coin=coin, cause=f"subscription refused: {coin}", since_ms=wall_ms()) for coin in ("xyz:A", "xyz:B")
    ]
    rig.write_feed_status()
    rig.markets(*refused, Dark(coin="xyz:C", cause="gap: stalled", since_ms=wall_ms()), TSLA=a_market())
    with rig.running():
        dark = until("they are known", lambda: (state := rig.state())["pipeline"] and state["pipeline"]["dark"])
        assert [market["coin"] for market in dark] == ["xyz:A", "xyz:B", "xyz:C"]
        metrics = rig.ask("/metrics").body.decode()
        assert 'hip3_markets_dark{kind="subscription refused"} 2.0' in metrics
        assert 'hip3_markets_dark{kind="gap"} 1.0' in metrics


def test_a_viewer_who_does_not_read_delays_no_other(served: PageRig) -> None:
    sleepers = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(20)]
    for sleeper in sleepers:
        sleeper.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    with served.stream() as events:
        began_s = time.monotonic()
        for n, _ in zip(range(6), events, strict=False):
            served.markets(**{f"M{number}": a_market(ask_px=249.5 + n / 1000) for number in range(150)})
        assert time.monotonic() - began_s < 6
    for sleeper in sleepers:
        sleeper.close()


def test_the_page_stops_at_once_although_viewers_are_connected(rig: PageRig) -> None:
    with rig.running(), rig.stream() as events, rig.stream() as others:
        next(events), next(others)
        assert rig.process is not None
        rig.process.send_signal(signal.SIGTERM)
        began_s = time.monotonic()
        assert rig.process.wait(5) == 0
        assert time.monotonic() - began_s < 3
    assert "Traceback" not in rig.log


def test_a_page_without_a_system_is_red_and_finds_one_that_starts(rig: PageRig, redis_url: str) -> None:
    with rig.running(REDIS_URL="", NAME=""):
        state = rig.state()
        assert not state["ok"] and "no Redis" in state["problems"][0]
        assert rig.ask("/healthz").status == 503
        rig.write_feed_status()
        rig.markets(TSLA=a_market())
        name = rig.keys.prefix.split(":")[1]
        note = {"pid": rig.process.pid, "started_at_ms": 0, "name": name, "redis_url": redis_url, "venue_url": ""}  # type: ignore[union-attr]
        RunFile.model_validate(note).write(rig.data_dir)
        assert until("it is found", lambda: (state := rig.state())["ok"] and state)["name"] == name
        assert [row["coin"] for row in rig.state()["markets"]] == ["xyz:TSLA", "xyz:OLD"]


def test_a_missing_directory_is_logged_once_and_shown_until_it_exists(rig: PageRig, tmp_path: Path) -> None:
    rig.write_feed_status()
    absent = tmp_path / "absent"
    with rig.running(DATA_DIR=str(absent)):
        assert rig.state()["problems"] == [
            f"{absent}: there is no such directory; `hip3 up` or a feed makes it when it starts"
        ]
        assert [line["event"] for line in map(json.loads, rig.log.splitlines())] == ["no_data_dir"]
        absent.mkdir()
        until("it is well", lambda: rig.state()["ok"])
        rig.data_dir, log_dir = absent, rig.data_dir
        rig.append(a_signal("xyz:FIRST", at_ms=wall_ms()))
        until("its signals are shown", lambda: [row["coin"] for row in rig.state()["signals"]] == ["xyz:FIRST"])
        rig.data_dir = log_dir


def test_an_unreachable_server_is_a_problem(rig: PageRig) -> None:
    with rig.running(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0"):
        assert "Redis" in until("it is red", lambda: rig.state()["problems"])[0]
        assert rig.post("/api/recapture", {"signal_id": "xyz:TSLA-1795338701358"}).status == 503


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"PAGE_HOST": "0.0.0.0"}, "HIP3_PAGE_PASSWORD: expected one"),
        ({"PAGE_HOST": "nowhere.invalid", "PAGE_PASSWORD": "x"}, "the page cannot listen on nowhere.invalid"),
    ],
)
def test_a_page_open_to_others_by_mistake_is_refused(rig: PageRig, settings: dict[str, str], message: str) -> None:
    environment = {"PATH": "/usr/bin", "HIP3_DATA_DIR": str(rig.data_dir)}
    environment |= {f"HIP3_{name}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "hip3_tasks.cli", "page"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=30, cwd=Path(__file__).parents[3]
    )
    assert done.returncode == 2
    assert message in done.stderr


def test_static_files_are_zipped_and_sent_only_if_changed(served: PageRig) -> None:
    first = served.ask("/static/plotly.js", accept_encoding="gzip")
    assert first.headers["content-encoding"] == "gzip" and len(first.body) < 2_000_000
    again = served.ask("/static/plotly.js", accept_encoding="gzip", if_none_match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    for path in ("/static/plotly.js", "/static/page.js", "/"):
        plain = served.ask(path)
        assert (plain.status, plain.headers["cache-control"]) == (200, "no-cache")
        again = served.ask(path, if_none_match=plain.headers["etag"])
        assert (again.status, again.body, again.headers["cache-control"]) == (304, b"", "no-cache")
    assert served.ask("/static/page.js").body.startswith(b"//")
    zipped = served.ask("/static/page.js", accept_encoding="gzip")
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.headers["content-type"].startswith("text/javascript")
    for path in (
        "/static/..%2fapp.py",
        "/static/index.html",
        "/static/none.js",
        f"/static/{'a' * 5000}",
        "/static/../app.py",
    ):
        assert served.ask(path).status == 404, path


def test_a_line_that_is_no_record_does_no_harm(served: PageRig) -> None:
    served.append(a_signal("xyz:FIRST", at_ms=wall_ms()))
    (path,) = served.data_dir.glob("signals_*")
    with served.stream() as events, path.open("ab") as file:
        file.write(b'null\n[]\n"x"\n{"signal_id": {}}\n\xff\xfe\n{}\n{"offsets_ms": 1e400}\n{"timestamp_ms": 1.5}\n')
        file.write(b"".join(beyond(a_signal("xyz:FAR", at_ms=wall_ms()), "timestamp_ms", "raw_edge_bps", "offsets_ms")))
        file.flush()
        served.append(a_signal("xyz:SECOND", at_ms=wall_ms()))
        until("the second", lambda: any(row["coin"] == "xyz:SECOND" for row in rows_of(events, "signals")))
    second = a_followup(a_signal("xyz:SECOND", at_ms=wall_ms()))
    served.append(second)
    (path,) = served.data_dir.glob("followups_*")
    with path.open("ab") as file:
        file.write(b"".join(beyond(second, "captured_at_ms", "due_at_ms", "offset_ms", "markout_bps", "market_key")))
    served.append(third := a_signal("xyz:THIRD", at_ms=wall_ms()))
    until("the third", lambda: served.state()["signals"][0]["signal_id"] == third.signal_id)
    assert [row for row in served.state()["signals"] if row["coin"] == "xyz:FAR"] == []
    assert served.ask("/api/decay").status == 200
    assert "Traceback" not in served.log


def beyond(record: Record, *names: str) -> Iterator[bytes]:
    """The lines of the record, each with an impossible value in one of these fields."""
    values = orjson.loads(record.line())
    for name in names:
        for value in (1e300, -1e300, 10**18, [1e300], {"a": 1}):
            yield orjson.dumps(values | {name: value}) + b"\n"


def test_a_state_that_cannot_be_encoded_is_red_until_it_can(rig: PageRig) -> None:
    rig.write_feed_status()
    with rig.running():
        until("it is well", lambda: rig.ask("/healthz").status == 200)
        rig.write_feed_status(frames={"bbo": 10**30})
        until("it is red", lambda: rig.ask("/healthz").status == 503)
        until("it has stood still for long", lambda: rig.ask("/livez").body == b"stalled\n")
        assert b"hip3_up 0.0" in rig.ask("/metrics").body
        assert rig.log.count("poll_failed") == 1
        rig.write_feed_status()
        until("it is well again", lambda: rig.ask("/healthz").status == rig.ask("/livez").status == 200)


@pytest.mark.parametrize(("value", "why"), [(None, "does not say"), ("{", "is not understood")])
def test_markets_stay_as_gaps_without_the_feeds_list(value: str | None, why: str, rig: PageRig) -> None:
    """Rows must not come and go while the feed restarts."""
    rig.write_feed_status()
    rig.markets(TSLA=a_market())
    with rig.running():
        until("it is live", lambda: rig.state()["markets"][0]["state"] == "live")
        rig.client.delete(rig.keys.markets) if value is None else rig.client.set(rig.keys.markets, value)
        row = until("it is in a gap", lambda: (row := rig.state()["markets"][0])["state"] == "gap" and row)
        assert row["coin"] == "xyz:TSLA" and why in row["why"]


def test_a_viewer_too_many_gets_the_event_full(rig: PageRig) -> None:
    rig.write_feed_status()
    with rig.running(), ExitStack() as viewers:
        for _ in range(MAX_VIEWERS):
            viewer = viewers.enter_context(closing(socket.create_connection(("127.0.0.1", rig.port))))
            viewer.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        until("all watch", lambda: f"hip3_page_viewers {MAX_VIEWERS}.0".encode() in rig.ask("/metrics").body)
        assert rig.ask("/events").body == b"retry: 10000\nevent: full\ndata: 200\n\n"
