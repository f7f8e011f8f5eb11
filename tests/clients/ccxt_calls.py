"""ccxt against a simulated venue: `python ccxt_calls.py URL`."""

import asyncio
import sys

import ccxt.pro
from calls import Calls

COIN, SYMBOL = "xyz:TSLA", "XYZ-TSLA/USDC:USDC"


async def run(url: str) -> None:
    calls = Calls()
    venue = ccxt.pro.hyperliquid()
    venue.urls["api"].update({"public": url, "private": url, "ws": {"public": f"{url.replace('http', 'ws', 1)}/ws"}})
    try:
        await ask(calls, venue)
        await watch(calls, venue)
    finally:
        await venue.close()
    calls.finish()


async def ask(calls: Calls, venue: ccxt.pro.hyperliquid) -> None:
    """Calls that are answered by the info endpoint."""
    [trade] = await venue.watch_trades(SYMBOL, limit=1)
    user = {"user": trade["info"]["users"][0]}
    for name, call, check in (
        ("load_markets", venue.load_markets, lambda markets: markets[SYMBOL]["id"] and markets["PURR/USDC"]),
        ("fetch_currencies", venue.fetch_currencies, lambda currencies: currencies["USDC"]),
        ("fetch_tickers", lambda: venue.fetch_tickers([SYMBOL]), lambda tickers: tickers[SYMBOL]["close"] > 0),
        ("fetch_ticker", lambda: venue.fetch_ticker(SYMBOL), lambda ticker: ticker["bid"] < ticker["ask"]),
        ("fetch_order_book", lambda: venue.fetch_order_book(SYMBOL), lambda book: len(book["bids"]) == 20),
        ("fetch_trades", lambda: venue.fetch_trades(SYMBOL, params=user), lambda trades: trades[0]["price"] > 0),
        ("fetch_ohlcv", lambda: venue.fetch_ohlcv(SYMBOL), lambda candles: candles[-1][4] > 0),
        ("fetch_funding_rates", lambda: venue.fetch_funding_rates([SYMBOL]), lambda rates: rates[SYMBOL]["indexPrice"]),
        ("fetch_funding_rate_history", lambda: venue.fetch_funding_rate_history(SYMBOL), lambda rows: len(rows) >= 499),
        ("fetch_open_interest", lambda: venue.fetch_open_interest(SYMBOL), lambda interest: interest["info"]),
        ("fetch_trading_fee", lambda: venue.fetch_trading_fee(SYMBOL, user), lambda fee: fee["taker"] == 0.00045),
        ("fetch_status", venue.fetch_status, lambda status: status["status"] == "ok"),
        ("fetch_time", venue.fetch_time, lambda time_ms: time_ms > 10**12),
    ):
        await calls.expect_soon(name, call, check)


async def watch(calls: Calls, venue: ccxt.pro.hyperliquid) -> None:
    """Calls that are answered by the websocket."""
    for name, call, check in (
        ("watch_ticker", lambda: venue.watch_ticker(SYMBOL), lambda ticker: ticker["bid"] > 0),
        ("watch_tickers", lambda: venue.watch_tickers([SYMBOL]), lambda tickers: tickers[SYMBOL]),
        ("watch_order_book", lambda: venue.watch_order_book(SYMBOL), lambda book: len(book["asks"]) == 20),
        ("watch_trades", lambda: venue.watch_trades(SYMBOL), lambda trades: trades[0]["price"] > 0),
        ("watch_ohlcv", lambda: venue.watch_ohlcv(SYMBOL), lambda candles: candles[-1][5] > 0),
        ("un_watch_ticker", lambda: venue.un_watch_ticker(SYMBOL), lambda _: True),
        ("un_watch_order_book", lambda: venue.un_watch_order_book(SYMBOL), lambda _: True),
    ):
        await calls.expect_soon(name, call, check)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1]))
