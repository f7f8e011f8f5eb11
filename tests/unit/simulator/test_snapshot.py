"""A start from a whole-market frame: a generated one, and a real one if the file exists."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pytest

from simulator.model import VenueModel
from simulator.pushes import BboPush, CtxPush
from simulator.snapshot import SnapshotError, listings_from_frame

REAL_FRAME = Path(__file__).parents[3] / "../shared/data/hyperliquid/all_dexs_asset_ctxs.json"


def context(oracle_px: str, *, impact_pxs: list[str] | None = None, mid_px: str | None = None) -> dict[str, Any]:
    return {
        "funding": "0.0",
        "openInterest": "0.0",
        "prevDayPx": oracle_px,
        "dayNtlVlm": "250000.5",
        "premium": None,
        "oraclePx": oracle_px,
        "markPx": oracle_px,
        "midPx": mid_px,
        "impactPxs": impact_pxs,
        "dayBaseVlm": "0.0",
    }


def write_frame(path: Path, contexts: list[dict[str, Any]], *, dex: str = "xyz") -> Path:
    ctxs = [["", [context("85828.0")]], [dex, contexts]]
    path.write_bytes(orjson.dumps({"channel": "allDexsAssetCtxs", "data": {"ctxs": ctxs}}))
    return path


def test_markets_start_where_the_frame_left_them_under_positional_names(tmp_path: Path) -> None:
    live = context("433.95", mid_px="433.635", impact_pxs=["433.577", "433.689"])
    frame = write_frame(tmp_path / "frame.json", [context("85.0"), live])
    dead, market = listings_from_frame(frame, seed=7)
    assert (dead.coin, dead.is_delisted, dead.oracle_px) == ("xyz:A000", True, 85.0)
    assert (market.coin, market.is_delisted, market.px_decimals) == ("xyz:A001", False, 2)
    opening = list(islice(VenueModel([dead, market], rate_per_s=1, seed=7).pushes(), 3))
    frozen, ctx, bbo = opening
    assert isinstance(frozen, CtxPush)
    assert isinstance(ctx, CtxPush)
    assert isinstance(bbo, BboPush)
    assert (frozen.ctx["oraclePx"], frozen.ctx["midPx"]) == ("85.0", None)
    assert ctx.ctx["oraclePx"] == "433.95"
    assert float(bbo.bid.px) == pytest.approx(433.577, abs=0.02)
    assert float(bbo.ask.px) == pytest.approx(433.689, abs=0.02)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"{", "not JSON"),
        (b"[]", "not an allDexsAssetCtxs frame"),
        (b'{"data":{"ctxs":[["flx",[]]]}}', "not an allDexsAssetCtxs frame"),
        (b'{"data":{"ctxs":[["xyz",[{"oraclePx":"1.0"}]]]}}', "cannot be read"),
        (b'{"data":{"ctxs":[["xyz",[]]]}}', "no context of xyz has a book"),
    ],
)
def test_a_file_of_another_kind_is_one_named_error(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(content)
    with pytest.raises(SnapshotError, match=complaint):
        listings_from_frame(path, seed=7)


def test_a_missing_file_is_the_same_error(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="No such file"):
        listings_from_frame(tmp_path / "none.json", seed=7)


@pytest.mark.skipif(not REAL_FRAME.exists(), reason="the file of the real frame does not exist")
def test_the_real_frame_gives_sixty_four_live_markets() -> None:
    listings = listings_from_frame(REAL_FRAME, seed=7)
    assert len(listings) == 80
    assert sum(not listing.is_delisted for listing in listings) == 64
    first = listings[0]
    assert (first.oracle_px, first.mark_px, first.px_decimals) == (29858.0, 29855.0, 0)
