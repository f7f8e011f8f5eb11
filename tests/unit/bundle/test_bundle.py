"""`hip3 bundle`: what is inside, what is named as absent, and that no secret is inside."""

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hip3_tasks.bundle import command
from hip3_tasks.bundle.command import bundle_command
from hip3_tasks.errors import Unavailable
from hip3_tasks.files.raw_file import HEADER, RawKind, RawRecord, new_raw_path, read_raw
from hip3_tasks.settings import Settings
from tests.support.factories import a_signal

PASSWORD, PAGE_PASSWORD = "S3cret@W/rd;1", "pagepass123"  # nosec B105
REFUSED = b'{"event": "malformed_frame", "kind": "bad_bbo", "frame": "{..."}\n'


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a directory with a log and a signal, and of a Redis that does not run."""
    monkeypatch.chdir(tmp_path)
    data_dir = tmp_path / "data"
    (data_dir / "logs").mkdir(parents=True)
    (data_dir / "logs" / "feed.log").write_bytes(b'{"event": "feed_started"}\n' + REFUSED + b"login S3cret@W/rd;1\n")
    signal = a_signal()
    (data_dir / "signals_2026-11-22.jsonl").write_bytes(signal.line())
    url = "redis://user:S3cret%40W%2Frd%3B1@127.0.0.1:1/0"
    return Settings(data_dir=data_dir, redis_url=url, page_password=PAGE_PASSWORD)


def unpacked(path: Path) -> dict[str, bytes]:
    """The files of a bundle by their names in its folder."""
    with tarfile.open(path) as archive:
        files = {member.name.partition("/")[2]: archive.extractfile(member) for member in archive.getmembers()}
        return {name: file.read() for name, file in files.items() if file}


Pack = Callable[..., tuple[int, dict[str, bytes]]]


@pytest.fixture
def pack(chosen: Settings, tmp_path: Path) -> Pack:
    def run(*, with_data: bool = False) -> tuple[int, dict[str, bytes]]:
        status = bundle_command(chosen, out=None, with_data=with_data)
        (path,) = tmp_path.glob("hip3-bundle_????-??-??.tar.gz")
        return status, unpacked(path)

    return run


def test_each_part_is_inside_and_an_absent_one_is_named(pack: Pack, capsys: pytest.CaptureFixture[str]) -> None:
    status, files = pack()
    names = {"settings.json", "versions.json", "status.json", "logs/feed.log", "audit.json", "refused_frames.jsonl"}
    assert files.keys() == {*names, "MANIFEST"}
    assert files["refused_frames.jsonl"] == REFUSED
    assert json.loads(files["audit.json"])["days"].keys() == {"2026-11-22"}
    shown = capsys.readouterr().out
    assert status == 1 and "not inside: Redis server: Redis: " in shown
    assert "not inside: Redis server: " in files["MANIFEST"].decode()
    assert "no data files are inside" in shown


def test_no_file_shows_a_secret(pack: Pack) -> None:
    _, files = pack(with_data=True)
    everything = b"".join(files.values())
    for secret in (PASSWORD, "S3cret", "W%2Frd", PAGE_PASSWORD):
        assert secret.encode() not in everything
    settings = json.loads(files["settings.json"])
    assert settings["redis_url"] == "redis://127.0.0.1:1" and settings["page_password"] == command.HIDDEN
    assert b"login ***" in files["logs/feed.log"]


def test_data_files_are_inside_only_when_asked_for(pack: Pack, chosen: Settings) -> None:
    _, files = pack(with_data=True)
    assert files["data/signals_2026-11-22.jsonl"] == (chosen.data_dir / "signals_2026-11-22.jsonl").read_bytes()


def test_files_of_probes_are_added_from_both_directories(pack: Pack, chosen: Settings, tmp_path: Path) -> None:
    (tmp_path / "probe_2026-11-28.json").write_text("{}")
    (chosen.data_dir / "probe_2026-11-27.json").write_text("{}")
    _, files = pack()
    assert {"probe_2026-11-28.json", "probe_2026-11-27.json"} <= files.keys()


def test_logs_are_cut_to_their_last_whole_lines(pack: Pack, chosen: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "MAX_LOG_BYTES", 40)
    (chosen.data_dir / "logs" / "feed.log").write_bytes(b"".join(b"line %03d\n" % number for number in range(100)))
    _, files = pack()
    assert files["logs/feed.log"] == b"line 096\nline 097\nline 098\nline 099\n"


def test_a_day_that_is_too_large_to_audit_is_left_out_by_name(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "MAX_AUDIT_BYTES", 10)
    status, files = pack()
    assert status == 1 and "audit.json" not in files
    assert "not inside: audit: left out: 2026-11-22 has" in files["MANIFEST"].decode()


def test_an_empty_directory_is_packed_with_all_that_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = Settings(data_dir=tmp_path / "absent")
    assert bundle_command(chosen, out=tmp_path / "it.tar.gz", with_data=True) == 1
    files = unpacked(tmp_path / "it.tar.gz")
    assert files.keys() == {"settings.json", "versions.json", "status.json", "MANIFEST"}


def test_a_file_that_exists_is_kept(chosen: Settings, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(Unavailable, match="mine exists; name another file with --out"):
        bundle_command(chosen, out=tmp_path / "mine", with_data=False)
    assert (tmp_path / "mine").read_text() == "mine"


def test_the_last_raw_frames_are_inside(pack: Pack, chosen: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "MAX_RAW_BYTES", 10)
    records = [RawRecord(1_790_000_000_000 + n, 0, RawKind.FRAME, b"%04d" % n) for n in range(100)]
    path = new_raw_path(chosen.data_dir, records[0].at_ms)
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(HEADER + b"".join(map(RawRecord.encode, records))))
    _, files = pack()
    assert list(read_raw(io.BytesIO(files["frames.raw.gz"]))) == records[-2:]
