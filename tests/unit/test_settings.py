"""Settings are read once, and every mistake in them is reported at the start."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks import settings
from hip3_tasks.env_file import bad_lines
from hip3_tasks.errors import BadSetting


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for key in list(os.environ):
        if key.startswith(settings.PREFIX):
            monkeypatch.delenv(key)
    monkeypatch.chdir(tmp_path)


def problem_text() -> str:
    with pytest.raises(BadSetting) as caught:
        settings.load()
    return str(caught.value)


def test_sim_url_moves_the_simulated_venue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIP3_SIM_URL", "http://venue:8701/")
    assert settings.load().base_url == "http://venue:8701"
    assert settings.load(venue="mainnet").base_url == "https://api.hyperliquid.xyz"


def test_the_default_venue_is_simulated(tmp_path: Path) -> None:
    chosen = settings.load()
    assert chosen.venue == "sim"
    assert chosen.base_url == "http://127.0.0.1:8701"
    assert chosen.data_dir == tmp_path / "data" / "sim" / "signals"
    assert chosen.offsets_ms == (1000, 3000, 5000)
    assert chosen.rules.threshold_bps("xyz:TSLA", 9.0) == 15.0


def test_an_unknown_name_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIP3_MIN_EGDE_BPS", "5")
    assert problem_text() == "HIP3_MIN_EGDE_BPS: no such setting; did you mean HIP3_MIN_EDGE_BPS?"


def test_an_unknown_name_is_an_error_even_when_it_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIP3_MIN_EGDE_BPS", "")
    assert problem_text() == "HIP3_MIN_EGDE_BPS: no such setting; did you mean HIP3_MIN_EDGE_BPS?"


def test_a_known_name_that_is_empty_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIP3_MIN_EDGE_BPS", "")
    assert settings.load().min_edge_bps == 5.0


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("MIN_EDGE_BPS", "ten", "expected a number, was 'ten'"),
        ("MIN_EDGE_BPS", "nan", "expected a finite number, was 'nan'"),
        ("MIN_EDGE_BPS", "-1", "expected at least 0, was '-1'"),
        ("RETENTION_S", "1.5", "expected a whole number, was '1.5'"),
        ("VENUE", "mainet", "expected mainnet, testnet, sim or a base URL, was 'mainet'"),
        ("VENUE", "https://", "expected mainnet, testnet, sim or a base URL, was 'https://'"),
        ("VENUE_URL", "http://:80", "expected http://HOST:PORT or https://HOST, was 'http://:80'"),
        ("COINS", "TSLA", "expected DEX:COIN, as in xyz:TSLA, was 'TSLA'"),
        ("OFFSETS_MS", "1000,1000", "expected at least one offset, and none twice, was"),
        ("OFFSETS_MS", ",", "expected at least one offset, and none twice, was"),
        ("OFFSETS_MS", "1000,x", "expected a whole number, was 'x'"),
        ("PAGE_PORT", "70000", "expected at most 65535, was '70000'"),
        ("CTX_MAX_AGE_MS", "0", "expected more than 0, was '0'"),
        ("NAME", "a b", "expected up to 64 letters, digits, '_', '.', '-', was 'a b'"),
        ("LOG_LEVEL", "loud", "was 'loud'"),
        ("AUTOSCALE", "8", "expected MAX,MIN processes, as in 8,2, was '8'"),
        (
            "THRESHOLDS",
            "absent.json",
            "expected a file that can be read (No such file or directory), was 'absent.json'",
        ),
    ],
)
def test_a_bad_value_is_named_with_the_expected_one(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, fault: str
) -> None:
    monkeypatch.setenv(f"HIP3_{name}", value)
    assert problem_text().startswith(f"HIP3_{name}: ")
    assert fault in problem_text()
    assert "\n" not in problem_text()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "REDISS://:S3cretWord@127.0.0.1:6379/0"),
        ("REDIS_URL", "redis://:S3cret#Word@127.0.0.1:6379/0"),
        ("REDIS_ULR", "redis://:S3cretWord@127.0.0.1:6379/0"),
        ("NAME", "redis://:S3cretWord@127.0.0.1:6379/0"),
        ("MIN_EDGE_BPS", "redis://:S3cretWord@127.0.0.1:6379/0"),
        ("COINS", "redis://:S3cretWord@127.0.0.1:6379/0"),
        ("VENUE", "https://user:S3cretWord@venue.example.com"),
        ("VENUE_URL", "https://user:S3cretWord@venue.example.com"),
    ],
)
def test_no_error_shows_a_password(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"HIP3_{name}", value)
    assert problem_text().startswith(f"HIP3_{name}: ")
    assert "S3cret" not in problem_text()


def test_repr_and_str_of_settings_show_no_password() -> None:
    chosen = settings.load(redis_url="redis://:S3cretWord@127.0.0.1:6379/0")
    assert "S3cretWord" not in f"{chosen!r} {chosen}"


def test_one_error_lists_every_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIP3_MIN_EDGE_BPS", "ten")
    monkeypatch.setenv("HIP3_COOLDOWN_MS", "soon")
    monkeypatch.setenv("HIP3_TYPO", "1")
    names = [line.partition(":")[0] for line in problem_text().splitlines()]
    assert sorted(names) == ["HIP3_COOLDOWN_MS", "HIP3_MIN_EDGE_BPS", "HIP3_TYPO"]


def test_lists_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIP3_COINS", " xyz:TSLA, xyz:AAPL ,")
    monkeypatch.setenv("HIP3_OFFSETS_MS", "5000,500")
    chosen = settings.load()
    assert chosen.coins == ("xyz:TSLA", "xyz:AAPL")
    assert chosen.offsets_ms == (500, 5000)


def test_the_environment_overrides_the_file_and_an_argument_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("HIP3_MIN_EDGE_BPS=7\nHIP3_SLIPPAGE_BPS=2\nHIP3_COOLDOWN_MS=100\nOTHER=1\n")
    monkeypatch.setenv("HIP3_SLIPPAGE_BPS", "3")
    monkeypatch.setenv("HIP3_COOLDOWN_MS", "200")
    chosen = settings.load(cooldown_ms=300, venue=None)
    assert (chosen.min_edge_bps, chosen.slippage_bps, chosen.cooldown_ms) == (7.0, 3.0, 300)


def test_an_unknown_name_in_the_file_is_an_error_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HIP3_TYPO=1\n")
    assert problem_text() == "HIP3_TYPO: no such setting"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"HIP3_VENUE mainnet\n", ".env line 1: expected NAME=VALUE, was HIP3_VENUE ..."),
        (b"\n# mainnet\n\nHIP3_VENUE: mainnet\n", ".env line 4: expected NAME=VALUE, was HIP3_VENUE ..."),
        (b"A=1\r\nexport HIP3_VENUE\r\n", ".env line 2: expected NAME=VALUE, was HIP3_VENUE ..."),
        (b"HIP3_PAGE_PASSWORD='S3cret\nA=1\n", ".env line 1: expected NAME=VALUE, was HIP3_PAGE_PASSWORD ..."),
        (b"HIP3_PAGE_PASSWORD='S3' S3cret\n", ".env line 1: expected NAME=VALUE, was HIP3_PAGE_PASSWORD ..."),
        (b"S3cret word\n", ".env line 1: expected NAME=VALUE"),
        (b"A=1\n<<<<<<< ours\n=======\nB=2\n>>>>>>> theirs\n", ".env line 2: expected NAME=VALUE (and 2 more)"),
        (b"A=1\nHIP3_NAME=caf\xe9\n", ".env line 2: expected text in UTF-8"),
        ("HIP3_VENUE=sim\n".encode("utf-16"), ".env line 1: expected text in UTF-8"),
    ],
)
def test_a_bad_line_of_the_env_file_is_named_without_secrets(tmp_path: Path, content: bytes, fault: str) -> None:
    (tmp_path / ".env").write_bytes(content)
    assert problem_text() == fault
    assert "S3" not in problem_text()


def test_a_directory_in_place_of_the_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert problem_text() == ".env: expected a file that can be read (Is a directory)"


def test_a_name_without_value_is_allowed_unless_it_is_a_setting(tmp_path: Path) -> None:
    text = "\ufeff# for Docker Compose\nDATA\nHIP3_MIN_EDGE_BPS = '7'  # bps\nEMPTY=\nHIP3_NAME=\n"
    (tmp_path / ".env").write_text(text, encoding="utf-8")
    assert settings.load().min_edge_bps == 7.0


@given(st.text())
def test_any_text_in_the_file_is_values_or_bad_lines(text: str) -> None:
    last = text.count("\n") + text.count("\r") + 1
    numbers = [number for number, _ in bad_lines(text)]
    assert numbers == sorted(set(numbers))
    assert all(1 <= number <= last for number in numbers)


def test_thresholds_are_read_from_their_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('{"xyz:TSLA": 12.5, "xyz:AAPL": 7}')
    monkeypatch.setenv("HIP3_THRESHOLDS", "t.json")
    rules = settings.load().rules
    assert [rules.threshold_bps(coin, 9.0) for coin in ("xyz:TSLA", "xyz:AAPL", "xyz:MSFT")] == [12.5, 7.0, 15.0]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "expected JSON like {\"xyz:TSLA\": 12.5} in it (line 1: Expecting value), was 't.json'"),
        (b'{"xyz:TSLA": 5,\n"xyz:AAPL"}', "in it (line 2: Expecting ':' delimiter), was 't.json'"),
        (b"\x00", "expected JSON like"),
        (b"\xff\xff", "expected JSON like"),
        (b"[" * 100_000, "expected JSON like"),
        (b"[]", 'expected JSON like {"xyz:TSLA": 12.5} in t.json, was []'),
        (b"12.5", "in t.json, was 12.5"),
        (b'{"xyz:TSLA": "high"}', 'expected a number of bps in t.json, was "xyz:TSLA": "high"'),
        (b'{"xyz:TSLA": null}', 'was "xyz:TSLA": null'),
        (b'{"xyz:TSLA": true}', 'was "xyz:TSLA": true'),
        (b'{"xyz:TSLA": NaN}', 'was "xyz:TSLA": NaN'),
        (b'{"xyz:TSLA": %s}' % (b"9" * 400), 'was "xyz:TSLA": Infinity'),
        (b'{"xyz:AAPL": 7, "TSLA": 5}', 'expected DEX:COIN, as in xyz:TSLA, in t.json, was "TSLA"'),
        (b'{"xyz-TSLA": 5}', 'was "xyz-TSLA"'),
        (b'{"%s": 5}' % (b"x" * 400), "xxx ..."),
        (b'{"a\\nb": 5}', 'was "a\\nb"'),
    ],
)
def test_bad_thresholds_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes, fault: str) -> None:
    (tmp_path / "t.json").write_bytes(content)
    monkeypatch.setenv("HIP3_THRESHOLDS", "t.json")
    assert problem_text().startswith("HIP3_THRESHOLDS: expected ")
    assert fault in problem_text()
    assert "\n" not in problem_text() and len(problem_text()) < 200


@pytest.mark.parametrize(
    ("venue", "url", "directory"),
    [
        ("mainnet", "https://api.hyperliquid.xyz", "mainnet"),
        ("testnet", "https://api.hyperliquid-testnet.xyz", "testnet"),
        ("http://127.0.0.1:9/", "http://127.0.0.1:9", "127.0.0.1_9"),
    ],
)
def test_each_venue_has_its_url_and_its_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, venue: str, url: str, directory: str
) -> None:
    monkeypatch.setenv("HIP3_VENUE", venue)
    chosen = settings.load()
    assert chosen.base_url == url
    assert chosen.data_dir == tmp_path / "data" / directory / "signals"


def test_feeds_of_two_directories_have_two_names(tmp_path: Path) -> None:
    first, second = settings.load(data_dir=tmp_path / "a"), settings.load(data_dir=tmp_path / "b")
    assert first.feed_name != second.feed_name
    assert first.feed_name.startswith("sim-")
    assert settings.load(name="mine").feed_name == "mine"


def test_a_data_directory_is_absolute_however_it_was_given(tmp_path: Path) -> None:
    assert settings.load(data_dir="here").data_dir == tmp_path / "here"
    assert settings.load(data_dir="~/there").data_dir == Path.home() / "there"


@given(
    given_values=st.fixed_dictionaries(
        {},
        optional={
            "venue": st.sampled_from(["sim", "mainnet", "http://127.0.0.1:9"]),
            "name": st.sampled_from(["", "a", "feed-1.x"]),
            "coins": st.lists(st.sampled_from(["xyz:TSLA", "para:A"]), unique=True).map(tuple),
            "offsets_ms": st.lists(st.integers(1, 3_600_000), min_size=1, unique=True).map(tuple),
            "min_edge_bps": st.floats(0, 1e6),
            "retention_s": st.integers(60, 10**6),
            "keep_days": st.none() | st.integers(1, 400),
            "redis_url": st.none() | st.just("redis://127.0.0.1:1/0"),
            "data_dir": st.just("some where/däta"),
        },
    )
)
def test_a_child_process_has_the_settings_of_its_parent(given_values: dict[str, object]) -> None:
    chosen = settings.load(**given_values)
    with pytest.MonkeyPatch.context() as patch:
        for key, value in settings.environment(chosen).items():
            patch.setenv(key, value)
        assert settings.load() == chosen


def test_a_child_process_gets_extra_variables() -> None:
    environment = settings.environment(settings.load(), PYTHONUNBUFFERED="1")
    assert environment["PYTHONUNBUFFERED"] == "1"
    assert environment["PATH"] == os.environ["PATH"]
