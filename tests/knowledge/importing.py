"""A process that imports and stands still half-way, for the test that kills it.

``python -m tests.knowledge.importing DATABASE_URL ENTRIES``; prints one line when half is staged.
"""

import asyncio
import sys
import threading

from knowledge.base import KnowledgeBase
from knowledge.documents import Entry, make_entry
from storage.database import Database


def new_entries(count: int) -> list[Entry]:
    return [
        make_entry(f"第{number}种商品怎么退货", "联系客服办理", source=f"新{number % 7}.md")
        for number in range(count)
    ]


def _stop_half_way(done: int, total: int) -> None:
    if done * 2 >= total:
        print(f"{done} of {total}", flush=True)
        threading.Event().wait()


async def main(url: str, count: int) -> None:
    database = Database(url)
    database.start()
    await KnowledgeBase(database, few=100).import_entries(
        new_entries(count), rebuild=True, by="child", progress=_stop_half_way
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
