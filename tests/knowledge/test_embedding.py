import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

from domain.errors import KnowledgeError
from knowledge.embedding import HashedNgramEmbedder, OpenAICompatibleEmbedder


def test_vectors_are_normalised_and_the_same_in_every_process() -> None:
    vectors = HashedNgramEmbedder(64).embed(["充电桩多少钱", "", "退款"])
    assert vectors.shape == (3, 64)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1).tolist() == pytest.approx([1.0, 0.0, 1.0], abs=1e-6)
    # Stored indexes depend on these cells: a change needs a new version of the embedder.
    assert np.flatnonzero(vectors[2]).tolist() == [8, 37, 41]


def test_width_case_and_punctuation_do_not_matter() -> None:
    first, second = HashedNgramEmbedder().embed(["７ＫＷ 充电桩？", "7kw充电桩"])
    assert np.array_equal(first, second)


def test_paraphrases_are_nearer_than_strangers() -> None:
    question, near, far = HashedNgramEmbedder().embed(
        ["充电桩安装费多少", "安装充电桩要多少费用", "怎么修改登录密码"]
    )
    assert question @ near > 0.3 > question @ far


def test_no_texts_give_no_rows() -> None:
    assert HashedNgramEmbedder(16).embed([]).shape == (0, 16)


class _Server(BaseHTTPRequestHandler):
    """Answers in reverse order, as the protocol allows; model ``broken`` fails."""

    batches: list[int] = []  # noqa: RUF012

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/v1/embeddings"
        texts = request["input"]
        self.batches.append(len(texts))
        rows = [{"index": i, "embedding": [len(t), 1.0]} for i, t in enumerate(texts)]
        body = json.dumps({"data": rows[::-1]}).encode()
        self.send_response(500 if request["model"] == "broken" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server_url() -> Iterator[str]:
    _Server.batches.clear()
    with HTTPServer(("127.0.0.1", 0), _Server) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


def test_a_server_is_asked_in_batches_and_its_order_restored(server_url: str) -> None:
    embedder = OpenAICompatibleEmbedder(server_url, "m", 2, batch_size=2)
    vectors = embedder.embed(["a", "bb", "ccc"])
    embedder.close()
    assert _Server.batches == [2, 1]
    assert (vectors[:, 0] / vectors[:, 1]).tolist() == pytest.approx([1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("model", "dimensions", "reason"), [("broken", 2, "HTTP 500"), ("m", 3, "3 dimensions")]
)
def test_a_server_that_fails_or_changes_size_is_named(
    server_url: str, model: str, dimensions: int, reason: str
) -> None:
    embedder = OpenAICompatibleEmbedder(server_url, model, dimensions)
    with pytest.raises(KnowledgeError, match=reason):
        embedder.embed(["a"])
    embedder.close()
