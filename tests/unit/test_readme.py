"""The README names every setting and every field, so that none is added without a word to its users."""

from pathlib import Path

import pytest

from hip3_tasks.records import Followup, Missed, Signal
from hip3_tasks.settings import Settings

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_in_the_readme(name: str) -> None:
    assert f"`HIP3_{name.upper()}`" in README


@pytest.mark.parametrize("field", sorted({*Signal.model_fields, *Followup.model_fields, *Missed.model_fields}))
def test_every_field_is_in_the_readme(field: str) -> None:
    assert f"`{field}`" in README
