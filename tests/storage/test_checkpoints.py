"""The checkpoint saver honours LangGraph's contract and joins the turn's transaction."""

from collections.abc import AsyncGenerator
from operator import add
from pathlib import Path
from typing import Annotated, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.graph import END, START, StateGraph
from sqlalchemy import text

from storage.checkpoints import RowCheckpointSaver, latest_checkpoint, save_run
from storage.database import Database
from tests.databases import open_database


class Count(TypedDict):
    seen: Annotated[list[str], add]


async def note(state: Count) -> Count:
    return {"seen": [f"n{len(state['seen'])}"]}


def a_graph(saver: RowCheckpointSaver):  # type: ignore[no-untyped-def]
    graph = StateGraph(Count)
    graph.add_node("note", note)
    graph.add_edge(START, "note")
    graph.add_edge("note", END)
    return graph.compile(checkpointer=saver)


async def test_the_official_conformance_suite_passes(tmp_path: Path) -> None:
    @checkpointer_test("RowCheckpointSaver")
    async def saver() -> AsyncGenerator[RowCheckpointSaver, None]:
        with open_database(f"sqlite:///{tmp_path / 'conformance.db'}") as database:
            await database.write(lambda c: c.execute(text("DELETE FROM checkpoints")))
            await database.write(lambda c: c.execute(text("DELETE FROM checkpoint_writes")))
            yield RowCheckpointSaver(database)

    report = await validate(saver)
    assert report.passed_all_base(), report


async def count(database: Database) -> int:
    return int(
        await database.read(
            lambda c: c.execute(text("SELECT COUNT(*) FROM checkpoints")).scalar_one()
        )
    )


async def test_a_staged_run_is_visible_only_after_its_commit(database: Database) -> None:
    saver = RowCheckpointSaver(database)
    graph = a_graph(saver)
    config: RunnableConfig = {"configurable": {"thread_id": "c1"}}
    saver.stage("c1", None)
    await graph.ainvoke({"seen": ["x"]}, config, durability="exit")
    run = saver.collect("c1")
    assert await count(database) == 0
    await database.write(lambda c: save_run(c, run, keep=2))
    assert (await graph.aget_state(config)).values == {"seen": ["x", "n1"]}


async def test_a_thread_keeps_only_the_newest_checkpoints(database: Database) -> None:
    saver = RowCheckpointSaver(database)
    graph = a_graph(saver)
    config: RunnableConfig = {"configurable": {"thread_id": "c1"}}
    for _ in range(5):
        base = await database.read(lambda c: latest_checkpoint(c, "c1"))
        saver.stage("c1", base)
        await graph.ainvoke({"seen": ["x"]}, config, durability="exit")
        run = saver.collect("c1")
        await database.write(lambda c, run=run: save_run(c, run, keep=2))  # type: ignore[misc]
    assert await count(database) == 2
    assert len((await graph.aget_state(config)).values["seen"]) == 10
