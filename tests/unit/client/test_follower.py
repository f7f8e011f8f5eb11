"""A follower gives each line at least once, whatever happens to the files and to itself."""

import os
import random
from pathlib import Path

import pytest

from hip3_tasks.analysis.compact.compact import CompactionState, compact_day
from hip3_tasks.client import follower as module
from hip3_tasks.client.cursor import Cursor
from hip3_tasks.client.follower import Follower
from hip3_tasks.domain.capture import DAY_MS, utc_day
from hip3_tasks.domain.records import Signal
from hip3_tasks.errors import Unavailable
from hip3_tasks.files.day_files import jsonl_path, parquet_path
from hip3_tasks.testing import play
from tests.support.factories import DAY, T0_MS, a_followup, a_missed, a_signal

LATER_MS = T0_MS + 9 * DAY_MS
NEXT_DAY = utc_day(T0_MS + DAY_MS)
SIGNALS = [a_signal(at_ms=T0_MS + number) for number in range(6)]


@pytest.fixture(autouse=True)
def scan_at_each_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two changes of a directory within one tick of its clock have one time."""
    monkeypatch.setattr(module, "SCAN_INTERVAL_S", 0.0)


class Reader:
    """A program that follows, and remembers all that it was given."""

    def __init__(self, data_dir: Path, cursor: Path, since_ms: int | None = None) -> None:
        self.data_dir, self.path, self.lines = data_dir, cursor, list[bytes]()
        self.restart(since_ms)

    def restart(self, since_ms: int | None = None) -> None:
        self.follower = Follower.resumed(self.data_dir, self.path, since_ms)

    def read(self, *, saves: bool = True) -> list[bytes]:
        """Take all lines that are there; a process that is killed before it saves is one that does not save."""
        lines: list[bytes] = []
        if self.follower.has_news():
            for batch in self.follower.batches():
                lines += batch.lines
                if batch.start is not None:
                    end = batch.start + sum(len(line) + 1 for line in batch.lines)
                    self.follower.cursor.files[batch.file] = end
        if saves:
            self.follower.cursor.write(self.path)
        self.lines += lines
        return lines


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def reader(data_dir: Path, tmp_path: Path) -> Reader:
    return Reader(data_dir, tmp_path / "cursor")


def outcomes(signal: Signal) -> list:
    return [a_followup(signal, 1000), a_missed(signal, 3000), a_followup(signal, 5000)]


def lines_of(records: list) -> list[bytes]:
    return [record.line()[:-1] for record in records]


def compact(data_dir: Path, day: str = DAY) -> None:
    assert compact_day(data_dir, day, at_ms=LATER_MS, delete=True).state is CompactionState.COMPACTED


def test_new_lines_come_once_and_older_ones_do_not(data_dir: Path, tmp_path: Path) -> None:
    play(data_dir, SIGNALS[:1])
    reader = Reader(data_dir, tmp_path / "cursor")
    assert reader.read() == []
    play(data_dir, [SIGNALS[1], *outcomes(SIGNALS[0])])
    followups, missed = [outcomes(SIGNALS[0])[i] for i in (0, 2)], outcomes(SIGNALS[0])[1]
    assert reader.read() == lines_of([SIGNALS[1], *followups, missed])
    assert reader.read() == []


def test_it_goes_on_over_midnight(reader: Reader, data_dir: Path) -> None:
    tomorrow = a_signal(at_ms=T0_MS + DAY_MS)
    play(data_dir, SIGNALS[:1])
    assert reader.read() == lines_of(SIGNALS[:1])
    play(data_dir, [tomorrow])
    play(data_dir, outcomes(SIGNALS[0])[:1])
    assert reader.read() == lines_of([outcomes(SIGNALS[0])[0], tomorrow])


def test_a_late_line_of_a_day_long_past_comes(reader: Reader, data_dir: Path) -> None:
    signals = [a_signal(at_ms=T0_MS + day * DAY_MS) for day in range(5)]
    play(data_dir, signals)
    assert reader.read() == lines_of(signals)
    play(data_dir, outcomes(signals[0])[:1])
    assert reader.read() == lines_of(outcomes(signals[0])[:1])


def test_a_new_file_is_noticed_before_the_next_scan(
    reader: Reader, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SCAN_INTERVAL_S", 3600.0)
    os.utime(data_dir, ns=(1, 1))  # so that the next change has another time, however soon it comes
    assert reader.read() == []
    play(data_dir, SIGNALS[:1])
    assert reader.read() == lines_of(SIGNALS[:1])


def test_a_closed_day_counts_as_read_only_when_it_was(data_dir: Path, tmp_path: Path) -> None:
    records = [SIGNALS[0], *outcomes(SIGNALS[0])]
    play(data_dir, records)
    assert compact_day(data_dir, DAY, at_ms=LATER_MS).state is CompactionState.COMPACTED
    reader = Reader(data_dir, tmp_path / "cursor", T0_MS)
    assert reader.follower.has_news()
    reader.follower.cursor.write(reader.path)  # and the process dies before it reads
    reader.restart()
    assert sorted(reader.read()) == sorted(lines_of(records))


def test_since_an_instant_begins_with_its_day(data_dir: Path, tmp_path: Path) -> None:
    tomorrow = a_signal(at_ms=T0_MS + DAY_MS)
    play(data_dir, [SIGNALS[0], tomorrow])
    assert Reader(data_dir, tmp_path / "a", T0_MS + DAY_MS).read() == lines_of([tomorrow])
    assert Reader(data_dir, tmp_path / "b", T0_MS).read() == lines_of([SIGNALS[0], tomorrow])


def test_lines_of_a_compacted_day_come_from_parquet_once(data_dir: Path, tmp_path: Path) -> None:
    play(data_dir, [SIGNALS[0], *outcomes(SIGNALS[0])])
    compact(data_dir)
    reader = Reader(data_dir, tmp_path / "cursor", T0_MS)
    assert sorted(reader.read()) == sorted(lines_of([SIGNALS[0], *outcomes(SIGNALS[0])]))
    reader.restart()
    assert reader.read() == []
    assert Reader(data_dir, tmp_path / "new").read() == []


def test_a_compaction_after_the_last_line_was_read_gives_nothing_again(
    reader: Reader, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    play(data_dir, [SIGNALS[0], *outcomes(SIGNALS[0])])
    assert len(reader.read()) == 4
    compact(data_dir)
    assert reader.read() == []
    reader.restart()
    assert reader.read() == []
    assert caplog.messages == []


def test_a_compaction_while_it_was_away_gives_the_day_again_and_says_so(
    reader: Reader, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    play(data_dir, [SIGNALS[0], *outcomes(SIGNALS[0])])
    reader.read()
    play(data_dir, [SIGNALS[1], *outcomes(SIGNALS[1])])
    compact(data_dir)
    reader.restart()
    assert sorted(reader.read()) == sorted(
        lines_of([SIGNALS[0], SIGNALS[1], *outcomes(SIGNALS[0]), *outcomes(SIGNALS[1])])
    )
    assert [message.partition(":")[0] for message in caplog.messages] == [
        f"{kind}_{DAY}.jsonl was compacted after byte {size}"
        for kind, size in (
            ("signals", len(SIGNALS[0].line())),
            ("followups", sum(len(outcomes(SIGNALS[0])[i].line()) for i in (0, 2))),
            ("missed", len(outcomes(SIGNALS[0])[1].line())),
        )
    ]


def test_a_cut_file_is_named_and_read_from_its_end(
    reader: Reader, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    play(data_dir, SIGNALS[:3])
    reader.read()
    path = jsonl_path(data_dir, "signals", DAY)
    size = path.stat().st_size
    with path.open("rb+") as file:
        file.truncate(size - len(SIGNALS[2].line()))
    reader.restart()
    assert reader.read() == []
    assert caplog.messages == [f"{path} was cut from {size} to {path.stat().st_size} bytes: going on at its end"]
    play(data_dir, SIGNALS[3:4])
    assert reader.read() == lines_of(SIGNALS[3:4])


def test_lines_in_the_place_of_others_are_read_from_the_first_whole_one(
    reader: Reader, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    play(data_dir, SIGNALS[:2])
    reader.read()
    path = jsonl_path(data_dir, "signals", DAY)
    path.write_bytes(SIGNALS[0].line() + a_signal("xyz:A", at_ms=T0_MS).line() + SIGNALS[3].line())
    assert reader.read()[-1:] == lines_of(SIGNALS[3:4])
    assert "has other lines than before: going on at byte" in caplog.text


def test_a_torn_line_is_waited_for(reader: Reader, data_dir: Path) -> None:
    path, line = jsonl_path(data_dir, "signals", DAY), SIGNALS[0].line()
    path.write_bytes(line[:100])
    assert reader.read() == []
    path.write_bytes(line)
    assert reader.read() == lines_of(SIGNALS[:1])


def test_a_deleted_day_is_named_and_the_others_go_on(
    reader: Reader, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    play(data_dir, SIGNALS[:1])
    reader.read()
    path = jsonl_path(data_dir, "signals", DAY)
    size = path.stat().st_size
    path.unlink()
    tomorrow = a_signal(at_ms=T0_MS + DAY_MS)
    play(data_dir, [tomorrow])
    reader.restart()
    assert reader.read() == lines_of([tomorrow])
    assert caplog.messages == [f"{path.name} was deleted after byte {size} was read: going on with other days"]
    reader.restart()
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("since_ms", [None, T0_MS])
def test_a_cursor_of_another_directory_is_named_and_not_used(
    reader: Reader, data_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, since_ms: int | None
) -> None:
    (data_dir / ".feed").write_text("a")
    play(data_dir, SIGNALS[:1])
    reader.read()
    other = tmp_path / "other"
    play(other, SIGNALS[:3])
    (other / ".feed").write_text("b")
    moved = Reader(other, reader.path, since_ms)
    assert moved.read() == ([] if since_ms is None else lines_of(SIGNALS[:3]))
    begin = "new lines" if since_ms is None else "the lines since then"
    assert caplog.messages == [f"{reader.path} is a cursor of another directory: going on with {begin} of {other}"]


def test_a_file_that_is_no_cursor_is_named_and_replaced(
    data_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "cursor"
    path.write_text('{"files": 3}')
    Reader(data_dir, path)
    assert caplog.messages == [f"{path} is no cursor: going on with new lines of {data_dir}"]


def test_an_absent_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="there is no such directory; `hip3 up` or a feed makes it"):
        Follower(tmp_path / "none", Cursor(directory="", files={}))


def test_a_parquet_that_cannot_be_read_is_an_error(data_dir: Path, tmp_path: Path) -> None:
    play(data_dir, [SIGNALS[0], *outcomes(SIGNALS[0])])
    compact(data_dir)
    parquet_path(data_dir, "signals", DAY).write_bytes(b"PAR1 and nothing else")
    with pytest.raises(Unavailable, match=f"signals_{DAY}.parquet: cannot be read"):
        Reader(data_dir, tmp_path / "cursor", T0_MS).read()


@pytest.mark.parametrize("seed", range(12))
def test_no_line_is_lost_whatever_happens_in_between(data_dir: Path, tmp_path: Path, seed: int) -> None:
    """Signals, outcomes, midnight, compaction and deaths of the reader, in an order that the seed draws."""
    chance, written, open_days = random.Random(seed), list[bytes](), [0, 1, 2]
    reader, number = Reader(data_dir, tmp_path / "cursor"), 0
    for _ in range(60):
        match chance.choices(("write", "read", "die", "compact"), (6, 4, 2, 1))[0]:
            case "write" if open_days:
                number += 1
                signal = a_signal(at_ms=T0_MS + chance.choice(open_days) * DAY_MS + number)
                records = [signal, *outcomes(signal)]
                play(data_dir, records)
                written += lines_of(records)
            case "read":
                reader.read(saves=chance.random() < 0.7)
            case "die":
                reader.restart()
            case "compact" if open_days:
                day = open_days.pop(chance.randrange(len(open_days)))
                if jsonl_path(data_dir, "followups", utc_day(T0_MS + day * DAY_MS)).exists():
                    compact(data_dir, utc_day(T0_MS + day * DAY_MS))
            case _:
                pass
    reader.read()
    assert set(written) == set(reader.lines)
    first = {line: index for index, line in reversed(list(enumerate(reader.lines)))}
    signals = {Signal.from_line(line).signal_id: first[line] for line in first if b'"offsets_ms"' in line}
    assert all(
        first[line] > min(index for name, index in signals.items() if f'"{name}"'.encode() in line)
        for line in first
        if b'"offsets_ms"' not in line
    )
