"""A simulated venue is named as simulated."""

import pytest

from hip3_tasks.settings import Settings
from hip3_tasks.venue import is_simulated, venue_in_words


@pytest.mark.parametrize(
    ("venue", "sim_url", "simulated", "words"),
    [
        ("sim", "http://127.0.0.1:8701", True, "simulated venue"),
        ("http://sim:8701/", "http://sim:8701/", True, "simulated venue"),
        ("mainnet", "http://127.0.0.1:8701", False, "mainnet"),
        ("https://venue.example/api", "http://127.0.0.1:8701", False, "venue.example"),
    ],
)
def test_a_simulated_venue_is_named_simulated(venue: str, sim_url: str, simulated: bool, words: str) -> None:
    chosen = Settings(venue=venue, sim_url=sim_url)
    assert (is_simulated(chosen), venue_in_words(chosen)) == (simulated, words)


def test_a_venue_is_simulated_on_any_host() -> None:
    assert is_simulated(Settings(venue="sim", venue_url="http://10.0.0.7:8701"))
