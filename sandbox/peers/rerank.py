"""A re-ranking model in the format of Jina and Cohere: ``POST /rerank/v1/rerank``."""

from itertools import pairwise
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from sandbox.peer import Peer, Sandbox, call_of, json_answer
from sandbox.validation import first_problem


class RerankRequest(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)
    model: str = Field(min_length=1, max_length=256)
    query: str = Field(min_length=1, max_length=20_000)
    documents: tuple[str, ...] = Field(min_length=1, max_length=1_000)
    top_n: int | None = Field(default=None, ge=1)


class RerankPeer(Peer):
    name = "rerank"
    title = "重排模型"
    summary = "按共同的字与双字给文档打分,分数在 0 与 1 之间。"
    empties = frozenset({"rerank"})

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self.router.add_api_route("/v1/rerank", self.rerank, methods=["POST"], response_model=None)

    async def rerank(self, request: Request) -> Response:
        """The documents by their share of the query's characters, best first."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            return json_answer({"detail": "no API key"}, 401)
        try:
            asked = RerankRequest.model_validate_json(await request.body())
        except ValidationError as error:
            return json_answer({"detail": first_problem(error)}, 422)
        call = call_of(request)
        call.verdict(accepted=True)
        scores = [overlap(asked.query, document) for document in asked.documents]
        order = sorted(range(len(scores)), key=lambda number: -scores[number])
        results = [
            {"index": number, "relevance_score": scores[number]} for number in order[: asked.top_n]
        ]
        return json_answer({"model": asked.model, "results": [] if call.empty else results})

    def error(self, kind: str, status: int) -> Any:
        return {"detail": f"injected by the sandbox (HTTP {status})"}


def overlap(query: str, document: str) -> float:
    """Share of the query's characters, and of its pairs of them, that ``document`` has."""
    asked = _grams(query)
    return round(len(asked & _grams(document)) / len(asked), 4) if asked else 0.0


def _grams(text: str) -> set[str]:
    characters = [char for char in text.lower() if char.isalnum()]
    return {*characters, *map("".join, pairwise(characters))}
