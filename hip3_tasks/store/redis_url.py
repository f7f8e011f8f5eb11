"""HIP3_REDIS_URL: one URL that every client reads in the same way. Its password is never shown.

`redis://[USER:PASSWORD@]HOST[:PORT][/DB]`, or `rediss://` for TLS, with any of TLS_OPTIONS behind a `?`. Certificates
are checked unless `ssl_cert_reqs=none`: redis-py checks them by default, kombu trusts any server if the URL has no
options, and Flower reads no options.
"""

import re
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit, urlunsplit

from redis.connection import parse_url

FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
TLS_OPTIONS = (*FILES, "ssl_cert_reqs", "ssl_check_hostname")
CERT_REQS = ("required", "optional", "none")


def check(url: str) -> None:
    """Raises ValueError for a URL that is wrong. The message never quotes it: any part may hold the password."""
    parts, options = _read(url)
    if parts is None or not parts.hostname or parts.fragment or not re.fullmatch(r"/?[0-9]*", parts.path):
        raise ValueError(
            "expected a URL such as redis://HOST:PORT/0 or rediss://USER:PASSWORD@HOST:PORT/0, "
            "in the password %-codes for all but letters and digits"
        )
    known = TLS_OPTIONS if parts.scheme == "rediss" else ()
    if not options.keys() <= {*known}:
        raise ValueError(f"expected no other options than {', '.join(TLS_OPTIONS)}, and these with rediss://")
    if options.get("ssl_cert_reqs", "none") not in CERT_REQS:
        raise ValueError(f"ssl_cert_reqs: expected one of {', '.join(CERT_REQS)}")
    for name in FILES:
        if name in options and not Path(options[name]).is_file():
            raise ValueError(f"{name}: expected a file that is there")


def place(url: str) -> str:
    """Return HOST:PORT of a URL."""
    return urlsplit(url).netloc.rpartition("@")[2]


def for_celery(url: str) -> tuple[str, dict[str, Any] | None]:
    """Return `broker_url` and `broker_use_ssl`: the URL without options, and the TLS options with their default."""
    parts = urlsplit(url)
    # Celery splits a list of URLs at each ;.
    bare = urlunsplit((parts.scheme, parts.netloc.replace(";", "%3B"), parts.path, "", ""))
    if parts.scheme != "rediss":
        return bare, None
    tls_options = {name: value for name, value in _typed(url).items() if name in TLS_OPTIONS}
    return bare, {"ssl_cert_reqs": "required"} | tls_options


def _typed(url: str) -> dict[str, Any]:
    return parse_url(url)  # type: ignore[no-untyped-call, no-any-return]


def _read(url: str) -> tuple[SplitResult | None, dict[str, str]]:
    try:
        parts = urlsplit(url)
        _ = parts.port
        options = parse_qsl(parts.query, strict_parsing=True) if parts.query else []
        # `urlsplit` lower-cases the scheme, redis-py does not.
        return parts if url.startswith(("redis://", "rediss://")) else None, dict(options)
    except ValueError:
        return None, {}
