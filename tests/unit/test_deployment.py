"""Every setting reaches the containers, and .env.example and docs/settings.md are written from the Settings class."""

import re
from pathlib import Path

import pytest

from hip3_tasks.settings import Settings
from tools import settings_docs

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
SERVICE = re.compile(r"^  (\w+):\n((?:(?:    .*)?\n)*)", re.MULTILINE)
SERVICES = dict(SERVICE.findall(COMPOSE.partition("\nservices:\n")[2].partition("\nvolumes:\n")[0]))
EXAMPLE = (ROOT / ".env.example").read_text()
VARIABLE = re.compile(r"\$\{(\w+)")
HIP3_UP_ONLY = {"autoscale", "flower_port"}


@pytest.mark.parametrize("name", sorted({*Settings.model_fields} - HIP3_UP_ONLY))
def test_every_setting_reaches_the_containers(name: str) -> None:
    default_places = {"data_dir": "/hip3/data"}
    assert default_places.get(name, f"    HIP3_{name.upper()}: ") in COMPOSE


def test_the_example_names_every_variable_of_compose_and_no_other() -> None:
    published = (ROOT / "docker" / "redis-published.yml").read_text()
    used = set(VARIABLE.findall(COMPOSE + published))
    assert set(re.findall(r"^#(\w+)=", EXAMPLE, re.MULTILINE)) == used
    settings = {f"HIP3_{name.upper()}" for name in {*Settings.model_fields} - settings_docs.FIXED_BY_COMPOSE}
    assert {name for name in used if name.startswith("HIP3_")} == settings


def test_the_example_shows_the_defaults() -> None:
    shown = dict(re.findall(r"^#(\w+)=(.*)$", EXAMPLE, re.MULTILINE))
    for name, default in settings_docs.COMPOSE_DEFAULT.findall(COMPOSE):
        field = name.removeprefix("HIP3_").lower()
        if name.startswith("HIP3_") and not default:
            default = settings_docs.plain_default(field)
        assert shown[name] == default, name


def test_page_and_example_follow_the_settings_class() -> None:
    hint = "run `make docs`"
    assert settings_docs.page(settings_docs.PAGE.read_text()) == settings_docs.PAGE.read_text(), hint
    assert settings_docs.example(EXAMPLE) == EXAMPLE, hint


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_described(name: str) -> None:
    assert len(settings_docs.meaning(name)) > 10


def test_compose_ends_the_feed_before_worker_and_recorder_and_redis_last() -> None:
    needs = {
        name: re.findall(r"^      (\w+):\n        condition: (\w+)$", body, re.MULTILINE)
        for name, body in SERVICES.items()
    }
    redis = ("redis", "service_healthy")
    assert needs["feed"] == [redis, ("worker", "service_healthy"), ("recorder", "service_started")]
    assert all(needs[name] == [redis] for name in ("worker", "recorder", "flower", "page"))


def test_the_image_has_what_the_recorder_needs() -> None:
    assert re.search(r"^polars==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
