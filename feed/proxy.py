"""Decides whether the venue is reached through a proxy: /info and /ws alike, and the simulated venue never."""

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]  # no stub

from websockets.exceptions import InvalidProxy
from websockets.proxy import parse_proxy

from hip3_tasks.errors import BadSetting
from hip3_tasks.settings import Settings
from hip3_tasks.venue import is_simulated


def proxy_of(settings: Settings) -> str | None:
    """The URL of the proxy to the venue, by HTTPS_PROXY, ALL_PROXY and NO_PROXY. Raises BadSetting."""
    return None if is_simulated(settings) else proxy_to(settings.base_url, getproxies_environment())


def proxy_to(base_url: str, by_scheme: Mapping[str, str]) -> str | None:
    """The proxy to this URL; `by_scheme` is as urllib reads it from the environment. Raises BadSetting."""
    venue = urlsplit(base_url)
    scheme = next((scheme for scheme in (venue.scheme, "all") if by_scheme.get(scheme)), None)
    if scheme is None or _is_loopback(venue.hostname or "") or proxy_bypass_environment(venue.netloc, by_scheme):
        return None
    proxy = by_scheme[scheme] if "://" in by_scheme[scheme] else f"http://{by_scheme[scheme]}"
    return _checked(proxy, name=f"{scheme.upper()}_PROXY", host=venue.hostname or "")


def _checked(proxy: str, *, name: str, host: str) -> str:
    direct = f"NO_PROXY={host} connects without a proxy"
    if urlsplit(proxy).scheme not in ("http", "https"):
        raise BadSetting(f"{name}: expected an HTTP proxy, http://HOST:PORT; SOCKS is not supported; {direct}")
    try:
        parse_proxy(proxy)
    except (InvalidProxy, ValueError):  # their texts may hold a password
        raise BadSetting(f"{name}: expected http://HOST:PORT or http://USER:PASSWORD@HOST:PORT; {direct}") from None
    return proxy


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
