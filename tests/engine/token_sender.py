"""A process that sends with a shared token, a round for each line that it is told.

    python -m tests.engine.token_sender DATABASE_URL PLATFORM_URL

A line is how many seconds its clock is ahead; it answers how many messages were taken.
"""

import asyncio
import sys
import time

import httpx

from engine.tokens import SharedTokens, wecom_tokens
from storage.database import Database
from tests.tools.wx.platform import SECRET
from tools.wecom.errors import PEER, WECOM_ERRORS
from tools.wx.api import JsonObject, WxApi

CORP = "ww12345678910"
SENDS = 100


def sender(http: httpx.AsyncClient, url: str, tokens: SharedTokens) -> WxApi:
    return WxApi(http, url, tokens, peer=PEER, errors=WECOM_ERRORS)


async def send(api: WxApi, sends: int) -> list[JsonObject]:
    return await asyncio.gather(*(api.post("/kf/send_msg", {"n": n}) for n in range(sends)))


async def main(database_url: str, url: str) -> None:
    ahead = 0.0
    database = Database(database_url)
    database.start()
    async with httpx.AsyncClient() as http:
        tokens = wecom_tokens(database, http, url, CORP, SECRET, clock=lambda: time.time() + ahead)
        api = sender(http, url, tokens)
        while line := await asyncio.to_thread(sys.stdin.readline):
            ahead = float(line)
            print(len(await send(api, SENDS)), flush=True)
        await tokens.stop()
    database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
