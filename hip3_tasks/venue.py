"""The venue in words, so that a simulated market is not mistaken for a real one."""

from urllib.parse import urlsplit

from hip3_tasks.settings import Settings

SIMULATED = "simulated venue"


def is_simulated(chosen: Settings) -> bool:
    """Whether the prices are simulated: the venue is `sim`, or has the URL of the simulated venue."""
    return chosen.venue == "sim" or chosen.base_url == chosen.sim_url.rstrip("/")


def venue_in_words(chosen: Settings) -> str:
    """`simulated venue`, `mainnet`, or the host of a base URL."""
    return SIMULATED if is_simulated(chosen) else urlsplit(chosen.venue).netloc or chosen.venue
