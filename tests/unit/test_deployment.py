"""Nothing can be set that the containers do not get, or that .env.example does not name."""

import re
from pathlib import Path

import pytest

from hip3_tasks.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()
NAMED = re.compile(r"\$\{(\w+)")
OF_HIP3_UP = {"autoscale", "flower_port"}
CHOSEN_BY_COMPOSE = {"data_dir", "redis_url", "health_dir", "page_host"}


@pytest.mark.parametrize("name", sorted({*Settings.model_fields} - OF_HIP3_UP))
def test_every_setting_reaches_the_containers(name: str) -> None:
    where_it_is_by_default = {"data_dir": "/hip3/data"}
    assert where_it_is_by_default.get(name, f"    HIP3_{name.upper()}: ") in COMPOSE


def test_the_example_names_all_that_can_be_set_and_nothing_else() -> None:
    published = (ROOT / "docker" / "redis-published.yml").read_text()
    used = set(NAMED.findall(COMPOSE + published))
    assert set(re.findall(r"^#(\w+)=", EXAMPLE, re.MULTILINE)) == used
    settings = {f"HIP3_{name.upper()}" for name in {*Settings.model_fields} - CHOSEN_BY_COMPOSE}
    assert {name for name in used if name.startswith("HIP3_")} == settings


def test_the_example_shows_the_defaults() -> None:
    shown = dict(re.findall(r"^#(\w+)=(.*)$", EXAMPLE, re.MULTILINE))
    for name, default in re.findall(r"\$\{(\w+):-([^}]*)\}", COMPOSE):
        field = name.removeprefix("HIP3_").lower()
        if name.startswith("HIP3_") and not default and Settings.model_fields[field].default is not None:
            value = Settings.model_fields[field].default
            default = (
                ",".join(map(str, value))
                if isinstance(value, tuple)
                else f"{value:g}"
                if isinstance(value, float)
                else str(value)
            )
        assert shown[name] == default, name
