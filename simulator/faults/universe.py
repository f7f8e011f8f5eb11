"""Faults of the info endpoint: dexes and markets that are missing, broken or oddly written, and limits."""

from collections.abc import Callable
from typing import Any

from simulator.faults.fault import Covers, FaultScope, VenueFault
from simulator.info.answer import TOO_MANY_REQUESTS, UNPROCESSABLE, InfoAnswer, Question
from simulator.listing import Universe

MORE_DEXES = 200
PAGE = InfoAnswer(200, "<html><body><h1>502 Bad Gateway</h1></body></html>", "text/html")


def _broken(reply: InfoAnswer) -> Callable[[Question, InfoAnswer, Universe, Covers], InfoAnswer]:
    """Answer for a covered dex with `reply`; in `allPerpMetas` it is null."""

    def answer(question: Question, right: InfoAnswer, universe: Universe, covers: Covers) -> InfoAnswer:
        if question.get("type") in ("meta", "metaAndAssetCtxs") and covers(str(question.get("dex") or "")):
            return reply
        if question.get("type") != "allPerpMetas" or right.status != 200:
            return right
        metas = zip(["", *universe], right.body, strict=True)
        return InfoAnswer(200, [None if dex and covers(dex) else meta for dex, meta in metas])

    return answer


def _without_all_perp_metas(question: Question, right: InfoAnswer, _: Universe, __: Covers) -> InfoAnswer:
    return UNPROCESSABLE if question.get("type") == "allPerpMetas" else right


def _over_the_limit(_: Question, __: InfoAnswer, ___: Universe, ____: Covers) -> InfoAnswer:
    return TOO_MANY_REQUESTS


def _no_markets(universe: Universe, covers: Covers) -> Universe:
    return {dex: [] if covers(dex) else markets for dex, markets in universe.items()}


def _more_dexes(universe: Universe, _: Covers) -> Universe:
    dead = {"szDecimals": 2, "maxLeverage": 3, "isDelisted": True}
    more = {f"t{number:03d}": [{"name": f"t{number:03d}:TEST"} | dead] for number in range(MORE_DEXES)}
    return universe | more


def _rewritten(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Universe, Covers], Universe]:
    """Change the entries of the covered markets."""

    def universe_with(universe: Universe, covers: Covers) -> Universe:
        return {
            dex: [change(market) if covers(market["name"]) else market for market in markets]
            for dex, markets in universe.items()
        }

    return universe_with


def _without_fee(market: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in market.items() if field != "deployerFeeScale"}


FEE_FAULTS = (
    VenueFault(
        name="odd-fee",
        text='the fee scale of a market is "x"',
        universe=_rewritten(lambda market: market | {"deployerFeeScale": "x"}),
    ),
    VenueFault(
        name="number-fee",
        text="the fee scale of a market is the number 1.0, not text",
        universe=_rewritten(lambda market: market | {"deployerFeeScale": 1.0}),
    ),
    VenueFault(name="no-fee", text="the fee scale of a market is missing", universe=_rewritten(_without_fee)),
    VenueFault(
        name="renamed-fee",
        text="the fee scale of a market has another name",
        universe=_rewritten(lambda market: _without_fee(market) | {"feeScale": market.get("deployerFeeScale", "1.0")}),
    ),
)

DEX_FAULTS = (
    VenueFault(
        name="dex-down",
        text="meta of a dex is answered by 500",
        scope=FaultScope.DEX,
        answer=_broken(InfoAnswer(500, None)),
    ),
    VenueFault(
        name="dex-html", text="meta of a dex is answered by an HTML page", scope=FaultScope.DEX, answer=_broken(PAGE)
    ),
    VenueFault(
        name="dex-null",
        text="meta of a dex is answered by null",
        scope=FaultScope.DEX,
        answer=_broken(InfoAnswer(200, None)),
    ),
    VenueFault(
        name="empty-universe", text="meta of a dex lists no markets", scope=FaultScope.DEX, universe=_no_markets
    ),
)

INFO_FAULTS = (
    VenueFault(
        name="many-dexes",
        text=f"{MORE_DEXES} more dexes, each with one delisted market",
        scope=FaultScope.VENUE,
        universe=_more_dexes,
    ),
    VenueFault(
        name="rate-limit",
        text="every info request is answered by 429",
        scope=FaultScope.VENUE,
        answer=_over_the_limit,
    ),
    VenueFault(
        name="no-all-perp-metas",
        text="allPerpMetas is answered by 422, as by a venue that does not have it",
        scope=FaultScope.VENUE,
        answer=_without_all_perp_metas,
    ),
)
