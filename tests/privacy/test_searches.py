"""Servers that embed or rank for us are asked without who asks."""

from pathlib import Path

import pytest

from engine.bootstrap import open_database
from engine.knowledge import build_knowledge
from knowledge.documents import Entry
from tests.api.cli.embeddings import DIMENSIONS, embeddings_server
from tests.api.service import settings_for
from tests.privacy.messages import found_in, personal_messages

MESSAGES = personal_messages()[:75]
ENTRY = Entry("bag", "帆布包多少钱", "99 元。客服热线 400-123-4567")


@pytest.mark.parametrize("context", [(), ("我叫张若澜，电话15400000000",)])
async def test_a_server_that_embeds_queries_learns_no_marked_value(
    tmp_path: Path, context: tuple[str, ...]
) -> None:
    with embeddings_server() as server:
        settings = settings_for(
            tmp_path,
            embedding_url=server.url,
            embedding_model="m",
            embedding_dimensions=DIMENSIONS,
        )
        database = open_database(settings)
        knowledge = build_knowledge(settings, database)
        try:
            await knowledge.base.put([ENTRY], by="tests")
            for one in MESSAGES:
                await knowledge.retriever.search(one.text, context=context)
        finally:
            await knowledge.aclose()
            database.close()
        told = "\n".join(server.texts)
        assert len(server.texts) > len(MESSAGES)
        assert found_in(told, MESSAGES) == set()
        assert "15400000000" not in told
        assert any(ENTRY.question in text for text in server.texts)
