"""The README names every setting and every field, so that none is added without a word to its users; its code runs."""

import re
import tomllib
from pathlib import Path

import pytest

from hip3_tasks.domain.records import Followup, Missed, Signal
from hip3_tasks.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_in_the_readme(name: str) -> None:
    assert f"`HIP3_{name.upper()}`" in README


@pytest.mark.parametrize("field", sorted({*Signal.model_fields, *Followup.model_fields, *Missed.model_fields}))
def test_every_field_is_in_the_readme(field: str) -> None:
    assert f"`{field}`" in README


def test_the_example_of_a_tape_that_a_test_feeds_runs_as_it_stands() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (example,) = [block for block in blocks if "hip3_tasks.testing" in block]
    exec(compile(example, "README.md", "exec"), {})


def test_what_the_package_says_of_itself_has_no_link_into_the_repository() -> None:
    text = (ROOT / "docs" / "package.md").read_text()
    assert not re.findall(r"\]\((?!https?://)", text)
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["readme"] == "docs/package.md"
