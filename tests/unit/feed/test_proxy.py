import pytest

from feed.proxy import proxy_of, proxy_to
from hip3_tasks.errors import BadSetting
from hip3_tasks.settings import Settings

MAINNET = "https://api.hyperliquid.xyz"
PROXY, OTHER = "http://10.0.0.1:3128", "http://10.0.0.2:3128"


@pytest.mark.parametrize(
    ("base_url", "by_scheme", "proxy"),
    [
        (MAINNET, {}, None),
        (MAINNET, {"https": PROXY}, PROXY),
        (MAINNET, {"https": PROXY, "all": OTHER}, PROXY),
        (MAINNET, {"http": OTHER}, None),
        (MAINNET, {"all": OTHER}, OTHER),
        (MAINNET, {"https": "10.0.0.1:3128"}, PROXY),
        (MAINNET, {"https": "http://user:word@10.0.0.1:3128"}, "http://user:word@10.0.0.1:3128"),
        (MAINNET, {"https": PROXY, "no": "localhost,.hyperliquid.xyz"}, None),
        (MAINNET, {"https": PROXY, "no": "*"}, None),
        (MAINNET, {"https": PROXY, "no": "example.com"}, PROXY),
        ("http://venue:8701", {"http": PROXY}, PROXY),
        ("http://venue:8701", {"http": PROXY, "no": "venue:8701"}, None),
        ("http://127.0.0.1:8701", {"http": PROXY, "all": PROXY}, None),
        ("http://127.9.9.9:8701", {"http": PROXY}, None),
        ("http://[::1]:8701", {"http": PROXY}, None),
        ("http://localhost:8701", {"http": PROXY}, None),
        ("https://localhost:8701", {"https": PROXY}, None),
    ],
)
def test_the_proxy_follows_from_the_venue_and_the_environment(
    base_url: str, by_scheme: dict[str, str], proxy: str | None
) -> None:
    assert proxy_to(base_url, by_scheme) == proxy


@pytest.mark.parametrize(
    "proxy", ["socks5://h:1", "ftp://h:1", "http://", "http://user@h:1", "http://h:1/p", "http://h:x"]
)
def test_a_proxy_that_cannot_be_used_is_an_error_without_its_password(proxy: str) -> None:
    with pytest.raises(BadSetting, match=r"^HTTPS_PROXY: expected .*; NO_PROXY=api.hyperliquid.xyz connects") as caught:
        proxy_to(MAINNET, {"https": proxy})
    assert "user@" not in str(caught.value)


def test_the_simulated_venue_is_never_behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert proxy_of(Settings(venue="sim", venue_url="http://venue:8701")) is None
    assert proxy_of(Settings(venue="http://venue:8701")) == PROXY
