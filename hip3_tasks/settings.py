"""Every HIP3_* setting, read once at the start. No other file reads the environment.

Values come from the environment, then from `.env` in the working directory. An unknown HIP3_* name or a bad value
raises BadSetting with a line per problem.
"""

import hashlib
import os
import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from hip3_tasks.domain.capture import MAX_OFFSET_MS
from hip3_tasks.domain.detector import CTX_MAX_AGE_MS, SLIPPAGE_BPS, Rules
from hip3_tasks.domain.fees import LATENCY_MS, LOWEST_TIER_BPS, TakerFees
from hip3_tasks.domain.market import COIN, dex_of
from hip3_tasks.env_file import env_file_values
from hip3_tasks.errors import BadSetting
from hip3_tasks.store.redis_url import check as check_redis_url
from hip3_tasks.terminal_text import nearest
from hip3_tasks.thresholds_file import read_thresholds

PREFIX = "HIP3_"
ENV_FILE = Path(".env")
PAGE_PORT = 8700
"""Preferred port of the page: a browser that stays open finds the page again after a restart."""
SECRETS = ("redis_url", "page_password")
VENUES = {
    "mainnet": "https://api.hyperliquid.xyz",
    "testnet": "https://api.hyperliquid-testnet.xyz",
    "sim": "http://127.0.0.1:8701",
}
EXPECTED = {
    "int_parsing": "a whole number",
    "float_parsing": "a number",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le:g}",
}
"""Texts for pydantic's error types; other types keep pydantic's own text."""


def _split_commas(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _checked(check: Callable[[Any], object]) -> AfterValidator:
    """A check of a value that says itself, in a ValueError, what it expected."""

    def keep(value: Any) -> Any:
        check(value)
        return value

    return AfterValidator(keep)


def _expected(text: str, is_valid: Callable[[Any], object]) -> AfterValidator:
    """A check of a value; `text` says what was expected."""

    def check(value: Any) -> None:
        if not is_valid(value):
            raise ValueError(f"expected {text}")

    return _checked(check)


def _check_coins(coins: tuple[str, ...]) -> None:
    for coin in coins:
        if not COIN.fullmatch(coin):
            raise ValueError(f"expected DEX:COIN, as in xyz:TSLA{_was(coin)}")


def _is_open_url(url: str) -> bool:
    """Whether this is a URL without a login: the venue's address stands in logs, on pages and in file names."""
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc


def _is_autoscale(text: str) -> bool:
    match = re.fullmatch(r"([1-9]\d{0,2}),([1-9]\d{0,2})", text)
    return match is not None and int(match[1]) >= int(match[2])


Names = Annotated[tuple[str, ...], BeforeValidator(_split_commas)]
Coins = Annotated[Names, _checked(_check_coins)]
Url = Annotated[str, _expected("http://HOST:PORT or https://HOST", _is_open_url)]
Venue = Annotated[
    str,
    _expected(f"{', '.join(VENUES)} or a base URL", lambda venue: venue in VENUES or _is_open_url(venue)),
    AfterValidator(lambda venue: venue.rstrip("/")),
]
FeedName = Annotated[
    str,
    _expected("up to 64 letters, digits, '_', '.', '-'", re.compile(r"[A-Za-z0-9_.-]{0,64}").fullmatch),
]
OffsetMs = Annotated[int, Field(gt=0, le=MAX_OFFSET_MS)]
OffsetsMs = Annotated[
    tuple[OffsetMs, ...],
    BeforeValidator(_split_commas),
    _expected("at least one offset, and none twice", lambda offsets: len(set(offsets)) == len(offsets) > 0),
    AfterValidator(lambda offsets: tuple(sorted(offsets))),
]


class Settings(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True):
    """The settings of one process; field `x` is HIP3_X.

    `make docs` writes docs/settings.md and .env.example from the fields: name, default, range and description. In a
    description, "; default: ..." explains a default that the value does not show.
    """

    venue: Venue = Field("sim", description="`sim`, `mainnet`, `testnet`, or a base URL that has /info and /ws")
    venue_url: Url | None = Field(None, description="base URL that replaces the venue's own; default: by venue")
    sim_url: Url = Field(VENUES["sim"], description="base URL of a simulated venue that `hip3 up` does not run")
    data_dir: Path = Field(
        Path(), validate_default=True, description="data directory, one feed per directory; default: data/VENUE/signals"
    )
    name: FeedName = Field(
        "", description="name of the feed in Redis keys and queue; default: venue and a hash of the data directory"
    )
    control_name: FeedName = Field(
        "",
        description="name of Celery's commands and events: they reach all workers that share it, and one Flower sees "
        "these; default: the feed's name",
    )
    redis_url: Annotated[str, _checked(check_redis_url)] | None = Field(
        None,
        repr=False,
        description="Redis 7.0 or later: `redis://`, or `rediss://` for TLS; default: the server of `hip3 up`",
    )

    dexes: Names = Field((), description="only the markets of these dexes, such as xyz,para; default: all")
    coins: Coins = Field((), description="only these markets, such as xyz:TSLA,xyz:NVDA; default: all")
    universe_refresh_s: float = Field(180, gt=0, description="interval at which the list of markets is read again")
    subscriptions_per_socket: int = Field(
        500, ge=2, le=1000, description="maximum per websocket; a market takes two, more markets use more websockets"
    )

    min_edge_bps: float = Field(5.0, ge=0, description="a signal's threshold is taker fee + slippage + this")
    slippage_bps: float = Field(SLIPPAGE_BPS, ge=0, description="assumed slippage, part of threshold and cost")
    thresholds: Annotated[Path, _checked(read_thresholds)] | None = Field(
        None, description='JSON file of thresholds in bps that replace the sum: `{"xyz:TSLA": 12.5}`; default: none'
    )
    cooldown_ms: int = Field(500, ge=0, description="minimum time between two signals of a market and side")
    ctx_max_age_ms: int | None = Field(
        None, gt=0, description="maximum age of a market's last oracle message for a signal; default: as observed"
    )
    offsets_ms: OffsetsMs = Field(
        (1000, 3000, 5000), description="follow-ups of a new signal: how long after it each is due"
    )

    taker_tier_bps: float = Field(
        LOWEST_TIER_BPS,
        ge=0,
        le=100,
        description="your taker fee by volume, before a market's scale: for reports and the page",
    )
    staking_discount_pct: float = Field(0, ge=0, le=100, description="your discount for staking, in percent of fees")
    referral_discount_pct: float = Field(0, ge=0, le=100, description="your discount by a referral, in percent of fees")
    builder_fee_bps: float = Field(0, ge=0, le=100, description="fee of the front end that sends your orders")
    priority_fee_bps: float = Field(
        0, ge=0, le=100, description="order priority fee that you pay with each order of a round trip"
    )

    latency_ms: OffsetMs = Field(
        LATENCY_MS, description="from a signal to the arrival of your order, by which reports judge it"
    )

    worker_wait_s: float = Field(
        10, ge=0, description="wait of a starting feed for a worker, before it detects signals"
    )
    stall_grace_ms: int = Field(
        1500, gt=0, description="silence of a websocket after which the watermark stops; more where frames come rarely"
    )
    max_lag_ms: int = Field(
        5000, gt=0, description="lag of the venue's books behind their block above which health is red"
    )
    retention_s: int = Field(900, ge=60, description="how long tape and signals stay in Redis")
    keep_days: int | None = Field(
        None, ge=1, le=10_000, description="data files are deleted at this age; default: never"
    )
    tape_days: int = Field(
        14, ge=0, le=10_000, description="the kept tape is deleted at this age; at 0 no tape is kept"
    )
    raw: bool = Field(
        False, description="whether the feed keeps every frame as received, at 1; no such file is ever deleted"
    )
    min_free_mb: int = Field(512, ge=0, description="below this much free disk space, health is red")

    autoscale: Annotated[str, _expected("MAX,MIN processes, as in 8,2", _is_autoscale)] = Field(
        "8,2", description="maximum and minimum of a worker's pool processes; 65 MB each"
    )
    flower_port: int = Field(0, ge=0, le=65535, description="port of Flower under `hip3 up`; default: any free port")
    flower_url: Url | None = Field(None, description="address of Flower in the page's links; default: by `hip3 up`")
    page_host: str = Field("127.0.0.1", description="address the page listens on; any but loopback needs a password")
    page_port: int = Field(0, ge=0, le=65535, description="port of the page; default: 8700, else any free port")
    page_password: str | None = Field(None, repr=False, description="password of the page; default: none")
    page_hosts: Names = Field((), description="host names of the page, besides addresses and localhost; default: none")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="lowest level that is logged")
    health_dir: Path | None = Field(None, description="directory of the health files; default: none")

    @model_validator(mode="before")
    @classmethod
    def _make_data_dir_absolute(cls, values: dict[str, Any]) -> dict[str, Any]:
        data_dir = values.get("data_dir") or Path("data") / _label(str(values.get("venue", "sim"))) / "signals"
        return values | {"data_dir": Path(data_dir).expanduser().absolute()}

    @cached_property
    def feed_name(self) -> str:
        """HIP3_NAME or its default: the prefix of every Redis key and of the queue."""
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:8]
        return self.name or f"{_label(self.venue)}-{digest}"

    @cached_property
    def base_url(self) -> str:
        """The venue's URL without a final slash."""
        urls = VENUES | {"sim": self.sim_url}
        return (self.venue_url or urls.get(self.venue, self.venue)).rstrip("/")

    @property
    def wanted_dexes(self) -> tuple[str, ...]:
        """The dexes to read: those named, or those of the named coins; empty for all."""
        return self.dexes or tuple(map(dex_of, self.coins))

    def wants(self, coin: str) -> bool:
        """Whether HIP3_COINS lets a market through."""
        return not self.coins or coin in self.coins

    @cached_property
    def rules(self) -> Rules:
        return Rules(
            min_edge_bps=self.min_edge_bps,
            slippage_bps=self.slippage_bps,
            thresholds_bps=read_thresholds(self.thresholds) if self.thresholds else {},
            cooldown_ms=self.cooldown_ms,
            ctx_max_age_ms=self.ctx_max_age_ms or CTX_MAX_AGE_MS,
            offsets_ms=self.offsets_ms,
        )

    @cached_property
    def taker_fees(self) -> TakerFees:
        return TakerFees(
            tier_bps=self.taker_tier_bps,
            staking_discount_pct=self.staking_discount_pct,
            referral_discount_pct=self.referral_discount_pct,
            builder_fee_bps=self.builder_fee_bps,
            priority_fee_bps=self.priority_fee_bps,
        )


def load(**overrides: Any) -> Settings:
    """Read the settings of this process; an override that is not None takes the place of the environment's value.

    Raises BadSetting with a line per problem.
    """
    variables = {k: v for k, v in (env_file_values(ENV_FILE) | os.environ).items() if k.startswith(PREFIX)}
    values: dict[str, Any] = {key[len(PREFIX) :].lower(): value for key, value in variables.items()}
    values = {key: value for key, value in values.items() if value or key not in Settings.model_fields}
    values |= {key: value for key, value in overrides.items() if value is not None}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise BadSetting("\n".join(map(_problem, error.errors(include_url=False)))) from None


def environment(settings: Settings, **extra: str) -> dict[str, str]:
    """The environment for a child process that gets these settings, and `extra` variables besides."""
    variables = {
        PREFIX + key.upper(): ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        for key in Settings.model_fields
        if (value := getattr(settings, key)) not in (None, (), "")
    }
    return {**inherited(), **variables, **extra}


def inherited() -> dict[str, str]:
    """The environment of this process."""
    return dict(os.environ)


def _problem(error: ErrorDetails) -> str:
    """One line that names the setting, what was expected and, unless it may be secret, what was given."""
    field = str(error["loc"][0]) if error["loc"] else ""
    name = PREFIX + field.upper()
    if error["type"] == "extra_forbidden":
        meant = nearest(field, Settings.model_fields)
        return f"{name}: no such setting" + (f"; did you mean {PREFIX}{meant.upper()}?" if meant else "")
    text = EXPECTED.get(error["type"], "").format(**error.get("ctx", {}))
    text = text or error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    text = text if text.startswith("expected") else f"expected {text}"
    return f"{name}: {text}" + (_was(error["input"]) if field not in SECRETS and ", was " not in text else "")


def _was(value: Any) -> str:
    """The end of an error text; empty where the value holds an @, and so perhaps a password."""
    return "" if "@" in str(value) else f", was {str(value)!r}"


def _label(venue: str) -> str:
    """The venue as part of a file name and of a key."""
    return venue if venue in VENUES else re.sub(r"[^a-zA-Z0-9.]+", "_", urlsplit(venue).netloc or "venue")
