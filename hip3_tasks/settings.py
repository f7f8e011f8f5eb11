"""Every HIP3_* setting, read once, whole and loudly. The only file that reads the environment.

Values come from the environment, then from `.env` in the working directory. An unknown HIP3_* name or a bad value
raises BadSetting with a line for each fault.
"""

import hashlib
import os
import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from hip3_tasks.domain.capture import MAX_OFFSET_MS
from hip3_tasks.domain.detector import Rules
from hip3_tasks.domain.market import COIN
from hip3_tasks.env_file import env_file_values
from hip3_tasks.errors import BadSetting
from hip3_tasks.store.redis_url import check as check_redis_url
from hip3_tasks.thresholds_file import read_thresholds

PREFIX = "HIP3_"
ENV_FILE = Path(".env")
PAGE_PORT = 8700
"""Where the page is if it may be: a browser that stays open finds it again after a restart."""
SECRETS = ("redis_url", "page_password")
VENUES = {
    "mainnet": "https://api.hyperliquid.xyz",
    "testnet": "https://api.hyperliquid-testnet.xyz",
    "sim": "http://127.0.0.1:8701",
}


def _comma_separated(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_comma_separated)]
Count = Annotated[int, Field(gt=0)]


class Settings(BaseModel):
    """One process's settings; field `x` is HIP3_X."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    venue: str = Field("sim", description="sim, mainnet, testnet or a base URL")
    venue_url: str | None = Field(None, description="where the venue is, if not where its name says")
    sim_url: str = Field(VENUES["sim"], description="where the simulated venue is, unless `hip3 up` runs it")
    data_dir: Path = Field(Path(), description="default data/VENUE/signals", validate_default=True)
    name: str = Field("", description="of this feed's keys and queue; default: venue and a hash of the data directory")
    redis_url: str | None = Field(
        None, repr=False, description="default: the server of the `hip3 up` in this data directory"
    )

    dexes: Names = Field((), description="only these dexes, comma-separated; default all live ones")
    coins: Names = Field((), description="only these coins, comma-separated")
    universe_refresh_s: float = Field(180, gt=0, description="how often markets are read again")
    subscriptions_per_socket: int = Field(500, ge=2, le=1000)

    min_edge_bps: float = Field(5.0, ge=0)
    slippage_bps: float = Field(1.0, ge=0)
    thresholds: Path | None = Field(None, description='JSON file {"xyz:TSLA": 12.5} of thresholds in bps')
    cooldown_ms: int = Field(500, ge=0)
    ctx_max_age_ms: Count = 8000
    offsets_ms: Annotated[
        tuple[Annotated[int, Field(gt=0, le=MAX_OFFSET_MS)], ...], BeforeValidator(_comma_separated)
    ] = Field((1000, 3000, 5000), description="follow-ups of a signal, ms after it")

    worker_wait_s: float = Field(10, ge=0, description="how long signals wait for the first worker; 0: not at all")
    stall_grace_ms: Count = Field(1500, description="silence of a socket after which the watermark stands")
    retention_s: int = Field(900, ge=60, description="how long the tape is kept in Redis")
    keep_days: int | None = Field(None, ge=1, le=10_000, description="delete data files of older days; default never")
    min_free_mb: int = Field(512, ge=0, description="health is red and a warning logged below this")

    autoscale: str = Field("8,2", description="most and least worker processes, as Celery has it")
    flower_port: int = Field(0, ge=0, le=65535, description="of `hip3 up`; 0: any that is free")
    flower_url: str | None = Field(None, description="where a browser finds Flower; default that of `hip3 up`")
    page_host: str = Field("127.0.0.1", description="address the page listens on; others need a password")
    page_port: int = Field(0, ge=0, le=65535, description="of the page; 0: 8700, or any that is free")
    page_password: str | None = Field(None, repr=False, description="asked for by the page, with any user name")
    page_hosts: Names = Field((), description="names by which the page may be asked, besides addresses and localhost")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    health_dir: Path | None = Field(None, description="where feed and worker note how they are; default nowhere")

    @field_validator("venue")
    @classmethod
    def _venue_is_known(cls, venue: str) -> str:
        if venue not in VENUES and not _is_open_url(venue):
            raise ValueError(f"expected {', '.join(VENUES)} or a base URL")
        return venue.rstrip("/")

    @field_validator("venue_url", "sim_url", "flower_url")
    @classmethod
    def _venue_url_is_one(cls, url: str | None) -> str | None:
        if url is not None and not _is_open_url(url):
            raise ValueError("expected http://HOST:PORT or https://HOST")
        return url

    @field_validator("redis_url")
    @classmethod
    def _redis_url_is_one(cls, url: str | None) -> str | None:
        if url is not None:
            check_redis_url(url)
        return url

    @field_validator("name")
    @classmethod
    def _name_fits_a_key(cls, name: str) -> str:
        if name and not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):
            raise ValueError("expected up to 64 letters, digits, '_', '.', '-'")
        return name

    @field_validator("coins")
    @classmethod
    def _coins_are_coins(cls, coins: tuple[str, ...]) -> tuple[str, ...]:
        for coin in coins:
            if not COIN.fullmatch(coin):
                raise ValueError(f"expected DEX:COIN, as in xyz:TSLA{_was(coin)}")
        return coins

    @field_validator("thresholds")
    @classmethod
    def _thresholds_load(cls, path: Path | None) -> Path | None:
        if path is not None:
            read_thresholds(path)  # a bad file is to be found at the start
        return path

    @field_validator("autoscale")
    @classmethod
    def _autoscale_is_most_and_least(cls, autoscale: str) -> str:
        match = re.fullmatch(r"([1-9]\d{0,2}),([1-9]\d{0,2})", autoscale)
        if match is None or int(match[1]) < int(match[2]):
            raise ValueError("expected MOST,LEAST processes, as in 8,2")
        return autoscale

    @field_validator("offsets_ms")
    @classmethod
    def _offsets_differ(cls, offsets: tuple[int, ...]) -> tuple[int, ...]:
        if not offsets or len(set(offsets)) != len(offsets):
            raise ValueError("expected at least one, each once")
        return tuple(sorted(offsets))

    @model_validator(mode="before")
    @classmethod
    def _data_dir_is_absolute(cls, values: dict[str, Any]) -> dict[str, Any]:
        given = values.get("data_dir") or Path("data") / _label(str(values.get("venue", "sim"))) / "signals"
        return values | {"data_dir": Path(given).expanduser().absolute()}

    @cached_property
    def feed_name(self) -> str:
        """HIP3_NAME: it marks every key and the queue."""
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:8]
        return self.name or f"{_label(self.venue)}-{digest}"

    @cached_property
    def base_url(self) -> str:
        known = VENUES | {"sim": self.sim_url}
        return (self.venue_url or known.get(self.venue, self.venue)).rstrip("/")

    @cached_property
    def rules(self) -> Rules:
        return Rules(
            min_edge_bps=self.min_edge_bps,
            slippage_bps=self.slippage_bps,
            thresholds_bps=read_thresholds(self.thresholds) if self.thresholds else {},
            cooldown_ms=self.cooldown_ms,
            ctx_max_age_ms=self.ctx_max_age_ms,
            offsets_ms=self.offsets_ms,
        )


def load(**given: Any) -> Settings:
    """The settings of this process; `given` overrides the environment where not None. Raises BadSetting."""
    found = {key: value for key, value in (env_file_values(ENV_FILE) | os.environ).items() if key.startswith(PREFIX)}
    values: dict[str, Any] = {key[len(PREFIX) :].lower(): value for key, value in found.items()}
    values = {key: value for key, value in values.items() if value or key not in Settings.model_fields}
    values |= {key: value for key, value in given.items() if value is not None}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        raise BadSetting(
            "\n".join(_fault(fault["loc"], fault["type"], fault["msg"], fault.get("input")) for fault in faults)
        ) from None


def environment(settings: Settings, **given: str) -> dict[str, str]:
    """The environment for a child process that is to have these settings, and `given` besides."""
    chosen = {
        PREFIX + key.upper(): ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        for key in Settings.model_fields
        if (value := getattr(settings, key)) not in (None, (), "")
    }
    return {**inherited(), **chosen, **given}


def inherited() -> dict[str, str]:
    """The environment of this process."""
    return dict(os.environ)


def _fault(loc: tuple[int | str, ...], kind: str, message: str, value: Any) -> str:
    name = PREFIX + str(loc[0]).upper() if loc else PREFIX.rstrip("_")
    if kind == "extra_forbidden":
        return f"{name}: no such setting"
    said = message.removeprefix("Value error, ").removeprefix("Input should be ")
    said = {"int_parsing": "a whole number", "float_parsing": "a number"}.get(kind, said)
    said = said if said.startswith("expected") or not loc else f"expected {said}"
    return f"{name}: {said}" + (_was(value) if loc and loc[0] not in SECRETS and ", was " not in said else "")


def _was(value: Any) -> str:
    """What holds an @ may hold a password, whatever it was given for."""
    return "" if "@" in str(value) else f", was {str(value)!r}"


def _is_open_url(url: str) -> bool:
    """Without a login: where the venue is stands in logs, on pages and in file names."""
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc


def _label(venue: str) -> str:
    """A venue as part of a file's and a key's name."""
    return venue if venue in VENUES else re.sub(r"[^a-zA-Z0-9.]+", "_", urlsplit(venue).netloc or "venue")
