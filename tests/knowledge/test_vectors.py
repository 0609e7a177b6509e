"""Vectors in a real embedded Chroma: written once, found by nearness, one writer a folder."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from domain.errors import KnowledgeError
from knowledge.embedding import HashedNgramEmbedder
from knowledge.vectors import Chroma, VectorStore
from tests.knowledge.chroma_server import running_chroma

EMBEDDER = HashedNgramEmbedder(32)
TEXTS = {"k1:q:1": "能退货吗", "k2:q:2": "能开发票吗", "k3:q:3": "什么时候发货"}
MATRIX = EMBEDDER.embed(list(TEXTS.values()))


@pytest.fixture
def chroma(tmp_path: Path) -> Iterator[Chroma]:
    opened = Chroma(tmp_path / "chroma")
    yield opened
    opened.close()


@pytest.fixture
def store(chroma: Chroma) -> VectorStore:
    made = VectorStore(chroma, EMBEDDER)
    assert made.add(list(TEXTS), MATRIX) == 3
    made.warm()
    return made


def test_the_nearest_record_comes_first(store: VectorStore) -> None:
    (vector,) = EMBEDDER.embed(["可以退货吗"])
    assert store.nearest(vector[None], 2)[0][0] == "k1:q:1"


def test_no_search_waits_for_an_index_that_is_not_read_yet(chroma: Chroma) -> None:
    store = VectorStore(chroma, EMBEDDER)
    store.add(list(TEXTS), MATRIX)
    assert store.nearest(MATRIX[:1], 2) == [[]]
    store.warm()
    assert store.nearest(MATRIX[:1], 2)[0]


def test_what_is_there_is_not_written_again_unless_it_is_to_be_replaced(store: VectorStore) -> None:
    assert store.add(list(TEXTS), MATRIX) == 0
    assert store.add([*TEXTS, "k4:q:4"], np.vstack((MATRIX, MATRIX[:1]))) == 1
    assert store.count() == 4
    assert store.add(["k1:q:1"], MATRIX[1:2], replace=True) == 1
    assert np.allclose(store.fetch(["k1:q:1"])["k1:q:1"], MATRIX[1], atol=1e-6)


def test_fetching_gives_those_that_are_there(store: VectorStore) -> None:
    found = store.fetch(["k2:q:2", "k9:q:9"])
    assert list(found) == ["k2:q:2"]
    assert np.allclose(found["k2:q:2"], MATRIX[1], atol=1e-6)


def test_a_text_without_letters_has_no_record(store: VectorStore) -> None:
    assert store.add(["k5:q:5"], np.zeros((1, 32), np.float32)) == 0
    assert store.fetch(["k5:q:5"]) == {}


def test_removed_records_are_found_no_more(store: VectorStore) -> None:
    store.remove(["k1:q:1", "k9:q:9"])
    assert store.nearest(MATRIX[:1], 3)[0][0] != "k1:q:1"
    assert [name for page in store.names() for name in page] == ["k2:q:2", "k3:q:3"]


def test_vectors_outlive_the_process(store: VectorStore, chroma: Chroma, tmp_path: Path) -> None:
    chroma.close()
    again = Chroma(tmp_path / "chroma")
    try:
        assert set(VectorStore(again, EMBEDDER).fetch(list(TEXTS))) == set(TEXTS)
    finally:
        again.close()


def test_embedders_do_not_see_each_others_vectors(store: VectorStore, chroma: Chroma) -> None:
    other = VectorStore(chroma, HashedNgramEmbedder(16))
    assert other.fetch(list(TEXTS)) == {}
    other.add(["k1:q:1"], np.ones((1, 16), np.float32))
    assert store.count() == 3
    other.drop_others()
    assert other.count() == 1
    assert store.fetch(list(TEXTS)) == {}


def test_a_second_writer_is_told_who_holds_the_folder_and_a_reader_is_let_in(
    store: VectorStore, tmp_path: Path
) -> None:
    command = (
        "import sys; from pathlib import Path;"
        "from knowledge.embedding import HashedNgramEmbedder;"
        "from knowledge.vectors import Chroma, VectorStore;"
        "chroma = Chroma(Path(sys.argv[1]), read_only=sys.argv[2] == 'read');"
        "print(VectorStore(chroma, HashedNgramEmbedder(32)).count()); chroma.close()"
    )
    args = [sys.executable, "-c", command, str(tmp_path / "chroma")]
    reader = subprocess.run([*args, "read"], capture_output=True, text=True, check=False)
    assert (reader.stdout, reader.returncode) == ("3\n", 0), reader.stderr
    writer = subprocess.run([*args, "write"], capture_output=True, text=True, check=False)
    assert writer.returncode == 1
    assert "in use by process" in writer.stderr


def test_a_reader_writes_nothing_and_finds_nothing_where_nothing_is(tmp_path: Path) -> None:
    chroma = Chroma(tmp_path / "none", read_only=True)
    store = VectorStore(chroma, EMBEDDER)
    store.warm()
    assert store.nearest(MATRIX[:1], 2) == [[]]
    assert store.count() == 0
    with pytest.raises(KnowledgeError, match="reading only"):
        store.add(list(TEXTS), MATRIX)
    assert not (tmp_path / "none").exists()
    chroma.close()


@pytest.fixture
def server_url(tmp_path: Path) -> Iterator[str]:
    with running_chroma(tmp_path / "c") as url:
        yield url


def test_what_one_process_gives_a_server_another_one_finds(server_url: str) -> None:
    one, other = Chroma(server_url), Chroma(server_url)
    try:
        reader = VectorStore(other, EMBEDDER)
        reader.warm()
        assert reader.nearest(MATRIX[2:3], 1) == [[]]
        writer = VectorStore(one, EMBEDDER)
        assert writer.add(list(TEXTS), MATRIX) == 3
        assert reader.nearest(MATRIX[2:3], 1) == [["k3:q:3"]]
        assert np.allclose(reader.fetch(["k1:q:1"])["k1:q:1"], MATRIX[0], atol=1e-6)
        VectorStore(one, HashedNgramEmbedder(16)).drop_others()
        with pytest.raises(KnowledgeError):
            reader.nearest(MATRIX[2:3], 1)
        assert reader.nearest(MATRIX[2:3], 1) == [[]]
    finally:
        one.close()
        other.close()


def test_a_server_that_is_away_is_a_knowledge_error() -> None:
    store = VectorStore(Chroma("http://127.0.0.1:9"), EMBEDDER)
    with pytest.raises(KnowledgeError, match=r"127\.0\.0\.1:9"):
        store.count()
