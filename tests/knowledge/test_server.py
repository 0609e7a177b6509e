"""The index behind a real Chroma server, shared by two processes' worth of clients."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from knowledge.documents import make_entry
from knowledge.embedding import HashedNgramEmbedder
from knowledge.index import KnowledgeIndex
from knowledge.retrieval import Retriever

RETURNS = make_entry("能退货吗", "七天内可退。", source="faq.md")
INVOICE = make_entry("能开发票吗", "可以。", source="faq.md")


@pytest.fixture(scope="module")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("chroma")
    command = [str(Path(sys.executable).with_name("chroma")), "run", "--path", str(folder)]
    address = ["--host", "127.0.0.1", "--port", str(port)]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen([*command, *address], stdout=log) as run,
    ):
        try:
            _await_port(port, time.monotonic() + 30)
            yield f"http://127.0.0.1:{port}"
        finally:
            run.terminate()


def _await_port(port: int, deadline: float) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


@pytest.mark.parametrize("mirror_vectors", [1_000, 0], ids=["mirror", "chroma"])
async def test_one_client_finds_what_another_imports_and_rebuilds(
    server_url: str, mirror_vectors: int
) -> None:
    name = f"shared-{mirror_vectors}"
    embedder = HashedNgramEmbedder(64)
    writer = KnowledgeIndex(server_url, embedder, name=name)
    reader = KnowledgeIndex(server_url, embedder, name=name, poll_seconds=0.0)
    retriever = Retriever(reader, mirror_vectors=mirror_vectors)
    try:
        writer.import_entries([RETURNS])
        assert (await retriever.search("东西能退货不")).evidence[0].id == RETURNS.id
        writer.import_entries([INVOICE])
        assert (await retriever.search("发票能开不")).evidence[0].id == INVOICE.id
        writer.import_entries([INVOICE], rebuild=True)
        assert {e.id for e in (await retriever.search("东西能退货不")).evidence} <= {INVOICE.id}
        assert reader.list_entries() == [INVOICE]
    finally:
        await retriever.aclose()
        writer.close()
        reader.close()


def test_writers_take_turns_on_one_version_count(server_url: str) -> None:
    first = KnowledgeIndex(server_url, HashedNgramEmbedder(64), name="turns")
    second = KnowledgeIndex(server_url, HashedNgramEmbedder(64), name="turns")
    first.import_entries([RETURNS])
    second.import_entries([INVOICE])
    version = second.version()
    first.import_entries([make_entry("几点开门", "九点。", source="hours.md")])
    assert first.version() > version
    assert first.count() == 3
    first.close()
    second.close()
