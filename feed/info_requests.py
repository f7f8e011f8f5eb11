"""Asks the venue's info endpoint, within a share of its limit for one IP, and waits after an answer of 429."""

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import orjson
import structlog

from feed.backoff import Backoff
from feed.rate_limits import RateLimit
from feed.refusal import answered, in_words, through
from hip3_tasks.domain.market import COIN

log = structlog.get_logger()

TIMEOUT_S = 10
MAX_ANSWER_BYTES = 32 << 20
WEIGHT, BOOK_WEIGHT = 20, 2
"""The venue allows a weight of 1,200 a minute and IP; other programs of the same IP may need the rest."""
MAX_WEIGHT, MAX_UNIVERSE_WEIGHT = 600, 480
"""Weight a minute of all requests, and of readings of the universe, so that books are not kept waiting by them."""
FIRST_BLOCK_MS, MAX_BLOCK_MS = 10_000, 120_000


class UniverseError(Exception):
    """The venue gave no answer, or one without meaning; `why` is the reason without the URL and the question."""

    def __init__(self, text: str, *, why: str = "", status: int | None = None) -> None:
        super().__init__(text)
        self.why, self.status = why or text, status


class Timer:
    """Seconds and pauses of the event loop; a test that does not wait has its own."""

    def now_s(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, pause_s: float) -> None:
        await asyncio.sleep(pause_s)


class InfoRequests:
    """`BASE/info`. `waiting` is the reason for a pause after 429; `on_wait` is called when it begins.

    A question is given up after `max_tries` answers of 429; never if that is None.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        *,
        proxy: str | None,
        timer: Timer | None = None,
        on_wait: Callable[[], None] = lambda: None,
        max_weight: int = MAX_WEIGHT,
        max_tries: int | None = None,
    ) -> None:
        self.url = f"{base_url}/info"
        self.waiting: str | None = None
        self._session, self._proxy, self._on_wait = session, proxy, on_wait
        self._timer = timer = timer or Timer()
        self._max_tries = max_tries
        self._limit = RateLimit(max_weight, now_s=timer.now_s)
        self._universe_limit = RateLimit(MAX_UNIVERSE_WEIGHT, now_s=timer.now_s)
        self._blocks, self._blocked_until_s = Backoff(FIRST_BLOCK_MS, MAX_BLOCK_MS), 0.0

    async def ask(self, question: dict[str, str]) -> Any:
        """Wait for a free place and ask; ask again after an answer of 429. Raises UniverseError."""
        tries = 0
        while True:
            tries += 1
            await self._take_place(is_book=question["type"] == "l2Book")
            try:
                answer = await self._post(question)
            except UniverseError as error:
                if error.status != 429:
                    raise
                self._block(error)
                if tries == self._max_tries:
                    raise
            else:
                self.waiting, self._blocks.pause_ms = None, 0
                return answer

    async def dex_names(self) -> dict[str, Any]:
        """The names of all dexes, in order; nothing stands under them yet."""
        question = {"type": "perpDexs"}
        answer = await self.ask(question)
        rows = answer if isinstance(answer, list) else []
        names = [row["name"] for row in rows if isinstance(row, dict) and _is_dex(row.get("name"))]
        if not names:  # the first row is null: the venue's own perps
            raise self.error(question, "the answer has no list of dexes")
        return dict.fromkeys(names)

    def error(self, question: dict[str, str], why: str, *, status: int | None = None) -> UniverseError:
        text = f"{self.url}: {' of '.join(question.values())}: {why}"
        return UniverseError(text, why=why, status=status)

    async def _take_place(self, *, is_book: bool) -> None:
        if not is_book:
            await self._sleep(self._universe_limit.reserve(WEIGHT))
        await self._sleep(self._limit.reserve(BOOK_WEIGHT if is_book else WEIGHT))
        await self._sleep(self._blocked_until_s - self._timer.now_s())

    async def _sleep(self, pause_s: float) -> None:
        if pause_s > 0:
            await self._timer.sleep(pause_s)

    def _block(self, error: UniverseError) -> None:
        now_s = self._timer.now_s()
        if now_s < self._blocked_until_s:
            return  # requests that were under way together are one refusal
        block_s = self._blocks.postpone() / 1000
        self._blocked_until_s = now_s + block_s
        self.waiting = f"{error}; the next request is in {block_s:g} s"
        log.warning("info_limited", error=self.waiting)
        self._on_wait()

    async def _post(self, question: dict[str, str]) -> Any:
        try:
            async with self._session.post(
                self.url, json=question, proxy=self._proxy, timeout=aiohttp.ClientTimeout(TIMEOUT_S)
            ) as response:
                if response.status != 200:
                    raise self.error(question, through(self._proxy) + answered(response.status), status=response.status)
                body = bytearray()
                async for chunk in response.content.iter_chunked(1 << 16):
                    body += chunk
                    if len(body) > MAX_ANSWER_BYTES:
                        raise self.error(question, f"the answer is over {MAX_ANSWER_BYTES} bytes")
                return orjson.loads(body)
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            raise self.error(question, in_words(error, within_s=TIMEOUT_S, proxy=self._proxy)) from None


def _is_dex(name: Any) -> bool:
    return isinstance(name, str) and COIN.fullmatch(f"{name}:A") is not None
