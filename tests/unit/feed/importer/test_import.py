"""`hip3 import`: recordings become a kept tape that gives signals, and nothing is joined that was not together."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import orjson
import polars as pl
import pytest

from feed.raw_frames import RawFrames
from hip3_tasks.domain.records import Followup, Signal
from hip3_tasks.files.raw_file import RawKind
from hip3_tasks.recording.replay import Replay
from hip3_tasks.tape.load import Recording, load_tape

ROOT = Path(__file__).parents[4]
REAL = ROOT.parent / "shared/data/hyperliquid/frames.jsonl"
T0_MS = 1_790_000_000_000
START_S = 60


def bbo(at_ms: int, bid: float, ask: float, coin: str = "xyz:A") -> dict[str, object]:
    levels = [{"px": str(px), "sz": "2", "n": 1} for px in (bid, ask)]
    return {"ts": at_ms, "msg": {"channel": "bbo", "data": {"coin": coin, "time": at_ms - 250, "bbo": levels}}}


def ctx(at_ms: int, oracle: float, coin: str = "xyz:A") -> dict[str, object]:
    data = {"coin": coin, "ctx": {"oraclePx": str(oracle), "markPx": str(oracle), "midPx": None, "impactPxs": None}}
    return {"ts": at_ms, "msg": {"channel": "activeAssetCtx", "data": data}}


def calm(seconds: Iterable[int], coin: str = "xyz:A") -> list[dict[str, object]]:
    """A market that stands still: a book that alternates, and a ctx each second."""
    return [
        line
        for s in seconds
        for line in (
            bbo(T0_MS + 1000 * s, 99.99, 100.01 + s % 2 / 100, coin),
            ctx(T0_MS + 1000 * s + 500, 100.0, coin),
        )
    ]


def written(path: Path, lines: Iterable[object]) -> Path:
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return path


def imported(out: Path, *words: object) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "hip3_tasks", "import", *map(str, words), "--out", str(out)]
    done = subprocess.run(command, cwd=out.parent, capture_output=True, text=True, timeout=START_S, check=False)
    return done.returncode, done.stdout, done.stderr


def signals_of(data_dir: Path) -> tuple[list[Signal], list[object]]:
    steps = list(Replay(Recording(data_dir)).run())
    return [s for step in steps for s in step.signals], [o for step in steps for o in step.outcomes]


def test_frames_become_a_tape_that_gives_signals(tmp_path: Path) -> None:
    lines = [*calm(range(40)), ctx(T0_MS + 40_000, 101.0), *calm(range(41, 60))]
    status, shown, notice = imported(tmp_path / "out", written(tmp_path / "a.jsonl", lines))
    assert status == 0, notice
    assert "from 119 lines" in shown and "taker fee 9 bps" in notice
    signals, outcomes = signals_of(tmp_path / "out")
    assert [(s.timestamp_ms, s.side.value, s.trigger) for s in signals] == [(T0_MS + 40_000, "buy", "ctx")]
    assert signals[0].threshold_bps == 15.0 and signals[0].lag_ms == 250
    assert [type(outcome) for outcome in outcomes] == [Followup] * 3
    assert load_tape(tmp_path / "out").filter("is_keyframe").collect().height == 1


def test_frames_are_not_joined_over_a_pause(tmp_path: Path) -> None:
    lines = [*calm(range(20)), ctx(T0_MS + 30_000, 110.0), *calm(range(60, 80))]
    assert imported(tmp_path / "out", written(tmp_path / "a.jsonl", lines))[0] == 0
    assert signals_of(tmp_path / "out") == ([], [])
    gaps = load_tape(tmp_path / "out").filter(pl.col("gap").is_not_null()).collect()
    assert list(zip(gaps["at_ms"] - T0_MS, gaps["gap"], strict=True)) == [
        (0, "no data yet"),
        (21_001, "the recording paused for 10 s"),
        (30_000, "no data yet"),
        (60_000, "no data yet"),
        (81_001, "the recording ends"),
    ]


def test_a_shorter_pause_is_a_gap_and_its_state_goes_on(tmp_path: Path) -> None:
    lines = [*calm(range(20)), ctx(T0_MS + 29_000, 100.0)]
    assert imported(tmp_path / "out", written(tmp_path / "a.jsonl", lines))[0] == 0
    rows = load_tape(tmp_path / "out").filter(pl.col("at_ms") > T0_MS + 19_500).collect()
    assert rows["at_ms"][0] == T0_MS + 21_001 and rows["gap"][0] == "stalled: no data for 9500 ms"
    assert rows["at_ms"][1] == T0_MS + 29_000 and rows["bid_px"][1] == 99.99


def test_a_file_goes_on_in_the_next_one(tmp_path: Path) -> None:
    first, second = written(tmp_path / "1.jsonl", calm(range(20))), written(tmp_path / "2.jsonl", calm(range(20, 40)))
    both = written(tmp_path / "both.jsonl", calm(range(40)))
    assert imported(tmp_path / "apart", first, second)[0] == imported(tmp_path / "one", both)[0] == 0
    assert load_tape(tmp_path / "apart").collect().equals(load_tape(tmp_path / "one").collect())


def test_what_is_imported_twice_counts_once(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", calm(range(40)))
    assert imported(tmp_path / "once", path)[0] == 0
    status, shown, _ = imported(tmp_path / "twice", path, path)
    assert status == 0 and "entries of a time that was imported already" in shown
    once, twice = (load_tape(tmp_path / name).drop("gap").collect() for name in ("once", "twice"))
    assert twice.equals(once)


def test_unusable_lines_are_named_and_the_rest_is_taken(tmp_path: Path) -> None:
    bad = bbo(T0_MS + 5_100, 99.0, 101.0) | {"msg": {"channel": "bbo", "data": {"coin": "xyz:A", "bbo": "?"}}}
    path = written(tmp_path / "a.jsonl", [*calm(range(5)), bad, {"x": 1}, *calm(range(6, 30))])
    status, shown, _ = imported(tmp_path / "out", path, "--json")
    result = orjson.loads(shown)
    assert status == 1 and result["unusable"] == 2
    assert result["first_unusable"] == [f"{path}:11: bad_bbo", f"{path}:12: no_channel"]
    gaps = load_tape(tmp_path / "out").filter(pl.col("at_ms") == T0_MS + 5_100).collect()
    assert gaps["gap"].to_list() == ["a book that cannot be used"]


def test_without_receive_times_an_entry_is_judged_and_has_no_lag(tmp_path: Path) -> None:
    lines = [line["msg"] for line in [*calm(range(40)), ctx(T0_MS + 40_000, 101.0), *calm(range(41, 50))]]
    assert imported(tmp_path / "out", written(tmp_path / "a.jsonl", lines))[0] == 0
    signals, _ = signals_of(tmp_path / "out")
    assert [s.lag_ms for s in signals] == [None]
    assert not load_tape(tmp_path / "out").filter("has_lag").collect().height


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_rows_of_two_clocks_become_a_tape(tmp_path: Path, kind: str) -> None:
    rows = pl.DataFrame([row(s) for s in range(60)])
    path = tmp_path / f"rows.{kind}"
    rows.write_csv(path) if kind == "csv" else rows.write_parquet(path)
    status, _, notice = imported(tmp_path / "out", path, "--fee-bps", "1")
    assert (status, notice) == (0, "")
    signals, _ = signals_of(tmp_path / "out")
    assert [(s.timestamp_ms - T0_MS, s.lag_ms, s.taker_fee_bps) for s in signals] == [(45_000, 300, 1.0)]


def test_a_market_has_the_fee_that_a_file_gives_it(tmp_path: Path) -> None:
    lines = [line for s in range(40) for coin in ("xyz:A", "xyz:B") for line in calm([s], coin)]
    path, fees = written(tmp_path / "a.jsonl", lines), tmp_path / "fees.json"
    fees.write_text('{"xyz:A": 0.9, "xyz:TYPO": 1}')
    status, _, notice = imported(tmp_path / "out", path, "--fees", fees)
    assert status == 0 and "9 bps for every other market" in notice and "no market xyz:TYPO" in notice
    tape = load_tape(tmp_path / "out").filter(pl.col("gap").is_null())
    fee_of = dict(tape.select("coin", "taker_fee_bps").unique().collect().iter_rows())
    assert fee_of == {"xyz:A": 0.9, "xyz:B": 9.0}


def row(s: int) -> dict[str, object]:
    has_ask = s % 10 != 0
    return {
        "coin": "xyz:A",
        "block_time_ms": T0_MS + 1000 * s - 300,
        "received_ms": T0_MS + 1000 * s,
        "bid_px": 99.99,
        "bid_sz": 1.0,
        "ask_px": 100.01 + s % 2 / 100 if has_ask else None,
        "ask_sz": 1.0 if has_ask else None,
        "oracle_px": 101.0 if s == 45 else 100.0,
        "mark_px": 100.0,
    }


def test_frames_come_through_a_pipe(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", calm(range(30)))
    words = ("import", "/dev/stdin", "--out", str(tmp_path / "out"), "--fee-bps", "9")
    command = [sys.executable, "-m", "hip3_tasks", *words]
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
        done = subprocess.run(command, stdin=cat.stdout, capture_output=True, text=True, timeout=START_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert load_tape(tmp_path / "out").filter(pl.col("gap").is_null()).collect().height > 30


def test_a_mistake_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    path, out = written(tmp_path / "a.jsonl", [{"x": 1}]), tmp_path / "out"
    (tmp_path / "rows.csv").write_text("coin,oracle_px\nxyz:A,1\n")
    fees = tmp_path / "fees.json"
    fees.write_text('{"xyz:A": -1}')
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    assert imported(tmp_path / "full", path)[0] == 2
    for words, text in (
        ((tmp_path / "absent",), "no such file"),
        ((tmp_path / "rows.csv",), "no column block_time_ms"),
        ((path, "--fee-bps", "nan"), "--fee-bps"),
        ((path, "--fees", tmp_path / "absent"), "--fees: expected a file"),
        ((path, "--fees", fees), "--fees: expected a number from 0 up"),
        ((path,), "no state of a market"),
        ((tmp_path,), "is a directory"),
    ):
        status, shown, error = imported(out, *words)
        assert (status, shown) == (2, "") and text in error and "Traceback" not in error
    assert not out.exists() and not [*tmp_path.glob(".out*")]


@pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is absent")
def test_real_frames_are_parsed_or_named_and_give_no_signal(tmp_path: Path) -> None:
    _, shown, _ = imported(tmp_path / "out", REAL, "--json")
    result = orjson.loads(shown)
    counts = [*result["taken"].values(), *result["left_out"].values(), result["unusable"]]
    assert result["lines"] == sum(counts) == 51
    assert result["unusable"] == len(result["first_unusable"]) == 1
    assert signals_of(tmp_path / "out") == ([], [])


def test_raw_frames_are_imported_and_a_lost_connection_is_a_gap(tmp_path: Path) -> None:
    raw = RawFrames(tmp_path, min_free_mb=0)
    for line in [*calm(range(20)), None, *calm(range(21, 40))]:
        if line is None:
            raw.put(0, RawKind.LOST, "closed", T0_MS + 20_100)
            raw.put(0, RawKind.OPENED, b"", T0_MS + 20_300)
        else:
            raw.put(0, RawKind.FRAME, orjson.dumps(line["msg"]), line["ts"])  # type: ignore[arg-type]
    raw.close()
    status, _, error = imported(tmp_path / "out", *(tmp_path / "raw").rglob("*.raw.gz"))
    assert status == 0, error
    rows = load_tape(tmp_path / "out").collect()
    gaps = rows.filter(pl.col("gap").is_not_null())
    assert list(zip(gaps["at_ms"] - T0_MS, gaps["gap"], strict=True)) == [
        (0, "no data yet"),
        (20_100, "connection lost"),
        (21_000, "no data yet"),
        (41_001, "the recording ends"),
    ]
    assert rows.filter(pl.col("has_lag")).height > 30
