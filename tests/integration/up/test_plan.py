"""The plan of `hip3 up`: its commands and its ports, some of which are in use on this machine."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hip3_tasks.errors import Unavailable
from hip3_tasks.settings import Settings
from hip3_tasks.up import plan
from hip3_tasks.up.embedded_redis import free_port
from hip3_tasks.up.plan import UpOptions

HAS_NOTHING = UpOptions(flower=False, page=False)


@contextmanager
def taken(port: int) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", port)):
        yield port


@pytest.mark.parametrize("name", ["page_port", "flower_port"])
def test_a_chosen_port_that_is_taken_is_named(name: str, tmp_path: Path) -> None:
    with taken(free_port()) as port:
        chosen = Settings(data_dir=tmp_path, **{name: port})
        with pytest.raises(Unavailable, match=f"^HIP3_{name.upper()}: port {port} of 127.0.0.1 is taken"):
            plan.make_plan(chosen, UpOptions())
        # A part that is not wanted needs no port.
        plan.make_plan(chosen, HAS_NOTHING)


@pytest.mark.parametrize("name", ["page", "flower"])
def test_a_lost_automatic_port_is_replaced(name: str, tmp_path: Path) -> None:
    part = getattr(plan.make_plan(Settings(data_dir=tmp_path), UpOptions()), name)
    with taken(urlsplit(part.url).port):
        again = part.renewed()
    assert again.url != part.url
    port = str(urlsplit(again.url).port)
    assert again.environment.get("HIP3_PAGE_PORT") == port or f"--port={port}" in again.command


@pytest.mark.parametrize("name", ["page", "flower"])
def test_a_port_that_is_free_again_is_kept_for_the_browsers_that_know_it(name: str, tmp_path: Path) -> None:
    part = getattr(plan.make_plan(Settings(data_dir=tmp_path), UpOptions()), name)
    assert part.renewed().url == part.url


@pytest.mark.parametrize("name", ["page", "flower"])
def test_a_chosen_port_stays(name: str, tmp_path: Path) -> None:
    port = free_port()
    part = getattr(plan.make_plan(Settings(data_dir=tmp_path, **{f"{name}_port": port}), UpOptions()), name)
    with taken(port):
        assert part.renewed().url == part.url


def test_a_missing_package_is_named_with_its_remedies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "find_spec", lambda name: None)
    monkeypatch.setattr(plan.embedded_redis, "is_installed", lambda: False)
    with pytest.raises(Unavailable, match="not installed: ") as refusal:
        plan.make_plan(Settings(data_dir=tmp_path), UpOptions())
    for way_out in ("--no-flower", "--no-page", "HIP3_REDIS_URL"):
        assert way_out in str(refusal.value)
    chosen = Settings(data_dir=tmp_path, redis_url="redis://127.0.0.1:6379/0")
    assert plan.make_plan(chosen, HAS_NOTHING).recorder is None
    assert plan.make_plan(chosen, HAS_NOTHING).server is None


@pytest.mark.parametrize("tape_days", [0, 1])
def test_a_recorder_that_fails_ends_no_run_and_one_that_keeps_nothing_is_not_started(
    tape_days: int, tmp_path: Path
) -> None:
    recorder = plan.make_plan(Settings(data_dir=tmp_path, tape_days=tape_days), HAS_NOTHING).recorder
    assert (recorder is not None) == bool(tape_days)
    assert recorder is None or not recorder.is_required
