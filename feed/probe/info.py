"""Reads the venue's lists from its info endpoint, within a share of the IP's limit that leaves a feed enough."""

import asyncio
from contextlib import suppress
from typing import Any

import aiohttp
import orjson

from feed.probe.venue_lists import DexList, VenueLists, read_dex, read_dex_names
from feed.rate_limits import RateLimit
from feed.refusal import answered, in_words

TIMEOUT_S = 10.0
MAX_REQUESTS_A_MINUTE = 20
"""A third of the weight that the venue allows; what a feed reads at its start fits beside it."""
MAX_DEXES = 16
"""Dexes that are asked one by one; a venue may have hundreds, most of them delisted."""
RETRY_S = 10.0
TOO_MANY_REQUESTS = 429


class InfoFailure(Exception):
    """A question without a usable answer; `status` is that of HTTP, if there was one."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class ListReader:
    """Reads into `lists`, which is true of what was read so far whenever the reading ends."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, *, proxy: str | None = None) -> None:
        self.lists = VenueLists()
        self._session, self._url, self._proxy = session, f"{base_url}/info", proxy
        self._limit = RateLimit(MAX_REQUESTS_A_MINUTE)

    async def read(self) -> None:
        lists = self.lists
        try:
            lists.dexes = read_dex_names(await self._ask({"type": "perpDexs"}))
        except (InfoFailure, ValueError) as error:
            lists.trouble = f"{self._url}: {error}"
            return
        metas = await self._all_metas()
        for dex in lists.dexes:
            if dex in metas and not metas[dex].volumes:
                lists.lists[dex] = metas[dex]  # there is nothing to ask about a dex without live markets
        asked = [dex for dex in lists.dexes if dex not in lists.lists]
        lists.unread = len(asked[MAX_DEXES:])
        for dex in asked[:MAX_DEXES]:
            try:
                lists.lists[dex] = await self._dex(dex)
            except (InfoFailure, ValueError) as error:
                lists.broken[dex] = str(error)

    async def _all_metas(self) -> dict[str, DexList]:
        """The lists of the dexes that `allPerpMetas` shows readably."""
        try:
            answer = await self._ask({"type": "allPerpMetas"})
        except InfoFailure as error:
            self.lists.has_all_perp_metas = None if error.status in (None, TOO_MANY_REQUESTS) else False
            return {}
        self.lists.has_all_perp_metas = isinstance(answer, list)
        metas = dict(enumerate(answer if isinstance(answer, list) else []))
        readable: dict[str, DexList] = {}
        for dex, position in self.lists.dexes.items():
            with suppress(ValueError):  # asked alone
                readable[dex] = read_dex(metas.get(position))
        return readable

    async def _dex(self, dex: str) -> DexList:
        answer = await self._ask({"type": "metaAndAssetCtxs", "dex": dex})
        if not isinstance(answer, list) or len(answer) != 2:
            raise ValueError("the answer is no pair of meta and contexts")
        return read_dex(*answer)

    async def _ask(self, question: dict[str, str]) -> Any:
        """Ask, and once more after an answer of 429. Raises InfoFailure."""
        try:
            return await self._post(question)
        except InfoFailure as error:
            if error.status != TOO_MANY_REQUESTS:
                raise
        await asyncio.sleep(RETRY_S)
        return await self._post(question)

    async def _post(self, question: dict[str, str]) -> Any:
        await self._limit.take()
        self.lists.requests += 1
        timeout = aiohttp.ClientTimeout(TIMEOUT_S)
        try:
            async with self._session.post(self._url, json=question, proxy=self._proxy, timeout=timeout) as response:
                if response.status != 200:
                    self.lists.limited += response.status == TOO_MANY_REQUESTS
                    raise InfoFailure(answered(response.status), response.status)
                return orjson.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            raise InfoFailure(in_words(error, within_s=TIMEOUT_S, proxy=self._proxy)) from None
