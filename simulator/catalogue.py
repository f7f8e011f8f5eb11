"""The markets that the simulated venue lists by default, at invented but plausible prices."""

import math
from random import Random

from simulator.listing import BUSY_BBO_PER_S, QUIET_BBO_PER_S, MarketListing, px_decimals

# coin, oracle price, szDecimals
LIVE = """
xyz:XYZ100 31252.0 4       xyz:SP500 7673.3 3         xyz:TSLA 433.94 3          xyz:NVDA 221.48 3
xyz:AAPL 324.19 3          xyz:MSFT 451.02 3          xyz:GOOGL 388.85 3         xyz:AMZN 270.51 3
xyz:META 617.16 3          xyz:COIN 190.92 3          xyz:HOOD 91.052 2          xyz:INTC 115.68 3
xyz:ORCL 208.77 3          xyz:PLTR 158.91 3          xyz:AMD 516.42 3           xyz:MU 1012.6 3
xyz:SNDK 1546.0 4          xyz:MSTR 165.16 3          xyz:CRCL 118.32 2          xyz:NFLX 89.006 2
xyz:BABA 123.82 2          xyz:TSM 416.63 3           xyz:SKHY 166.22 2          xyz:AVGO 422.34 3
xyz:LLY 1030.5 4           xyz:COST 937.25 3          xyz:DELL 422.6 3           xyz:RIVN 14.282 2
xyz:GME 26.486 2           xyz:USAR 22.158 2          xyz:LITE 871.4 3           xyz:ARM 308.85 3
xyz:IBM 264.63 3           xyz:DIS 107.35 2           xyz:KO 81.733 2            xyz:GOLD 4027.6 4
xyz:SILVER 75.721 2        xyz:COPPER 6.4613 2        xyz:PLATINUM 1970.7 4      xyz:PALLADIUM 1396.3 4
xyz:CL 87.062 3            xyz:BRENT 91.064 3         xyz:NATGAS 3.0492 1        xyz:EUR 1.1642 1
xyz:JPY 156.41 2           xyz:DXY 98.153 2           xyz:JP225 65353.0 4        xyz:KR200 1269.1 3
xyz:VIX 18.364 2           xyz:URA 58.733 2
para:TECH 2411.7 3         para:DEFENSE 318.24 3      para:ENERGY 97.731 2       para:BANKS 142.36 2
para:ROBOTS 54.912 2       para:NUCLEAR 36.815 2      para:CHIPS 5531.2 3        para:OTHERS 262.48 2
para:BTCD 59.216 2         para:TOTAL2 1.3502 0
"""
QUIET = {"xyz:KO", "xyz:DIS", "xyz:URA", "xyz:JPY", "xyz:USAR", "para:BANKS", "para:ROBOTS"}
WITHOUT_GROWTH_MODE = {"xyz:XYZ100", "xyz:DXY", "xyz:IBM", "para:OTHERS"}
DELISTED = "xyz:BYND 2.6117 1    gone:ALPHA 100.0 2    gone:BETA 24.251 2"
SPARE_DEX = "mkts"

# One market can give a signal at most oracle updates (one every 3.4 s) and a few between them, but not more.
SIGNALS_PER_MARKET_S = 0.27


def default_listings(*, rate_per_s: float, seed: int) -> list[MarketListing]:
    """About sixty live markets on `xyz` and `para`, a delisted coin in `xyz`, and `gone`, a fully delisted dex.

    A rate above their capacity is reached by listing more markets, not by an oracle faster than the real one.
    """
    rng = Random(seed)  # nosec B311  # no secret, a market
    live = [_listing(*row, rng=rng) for row in _rows(LIVE)]
    delisted = [_listing(*row, is_delisted=True, rng=rng) for row in _rows(DELISTED)]
    return with_spare_markets(live + delisted, rate_per_s=rate_per_s, rng=rng)


def with_spare_markets(listings: list[MarketListing], *, rate_per_s: float, rng: Random) -> list[MarketListing]:
    """The listings, plus as many slowly quoted markets `mkts:N000`, `mkts:N001` and so on as the rate needs."""
    live = sum(1 for listing in listings if not listing.is_delisted)
    missing = max(0, math.ceil(rate_per_s / SIGNALS_PER_MARKET_S) - live)
    names = (f"{SPARE_DEX}:N{number:03d}" for number in range(missing))
    return listings + [_listing(name, round(rng.uniform(20.0, 900.0), 2), 2, bbo_per_s=0.5, rng=rng) for name in names]


def _rows(table: str) -> list[tuple[str, float, int]]:
    words = table.split()
    return [(words[index], float(words[index + 1]), int(words[index + 2])) for index in range(0, len(words), 3)]


def _listing(
    coin: str,
    oracle_px: float,
    sz_decimals: int,
    *,
    rng: Random,
    bbo_per_s: float | None = None,
    is_delisted: bool = False,
) -> MarketListing:
    decimals = px_decimals(oracle_px, sz_decimals=sz_decimals)
    tick = 10.0**-decimals
    half_spread = max(tick / 2, oracle_px * rng.uniform(0.3, 1.5) / 1e4)
    own_rate = rng.uniform(*(QUIET_BBO_PER_S if coin in QUIET else BUSY_BBO_PER_S))
    return MarketListing(
        coin=coin,
        oracle_px=oracle_px,
        mark_px=oracle_px,
        bid_px=None if is_delisted else oracle_px - half_spread,
        ask_px=None if is_delisted else oracle_px + half_spread,
        px_decimals=decimals,
        sz_decimals=sz_decimals,
        bbo_per_s=own_rate if bbo_per_s is None else bbo_per_s,
        growth_mode=coin not in WITHOUT_GROWTH_MODE,
        is_delisted=is_delisted,
    )
