"""The checks that seed 004 prints under «验证服务», as it prints them: with curl."""

import json
import shutil
import subprocess
from typing import Any

from tests.api.service import Service


def _curl(*arguments: str) -> Any:
    assert shutil.which("curl"), "these tests need curl: apt-get install curl"
    command = ["curl", "--silent", "--show-error", "--fail", "--noproxy", "*", *arguments]
    done = subprocess.run(command, capture_output=True, timeout=30, check=True)
    return json.loads(done.stdout)


def test_the_state_of_the_service_as_printed(service_on_each_database: Service) -> None:
    health = _curl(f"{service_on_each_database.url}/health")
    assert health["status"] == "ok"
    assert health["parts"]["database"] == "ok"
    assert health["parts"]["knowledge"] == "ok"


def test_the_knowledge_base_as_printed(service: Service) -> None:
    found = _curl(
        "-X",
        "POST",
        f"{service.url}/api/test_kb",
        "-H",
        "Content-Type: application/json",
        "-d",
        '{"query": "如何退款?"}',
    )
    assert isinstance(found["results"], list)
    best = found["results"][0]
    assert isinstance(best["content"], str)
    assert "退" in best["content"]
    assert 0 <= best["similarity"] <= 1
    assert best["score"] == best["similarity"]
    assert isinstance(best["source"], str)
    assert 0 <= found["confidence"] <= 1
    assert found["decision"] in ("answer", "clarify", "handoff")


def test_asking_the_knowledge_base_leaves_nothing_behind(service: Service) -> None:
    before = service.all_rows()
    body = '{"query": "量子纠缠怎么修"}'
    header = "Content-Type: application/json"
    found = _curl("-X", "POST", f"{service.url}/api/test_kb", "-H", header, "-d", body)
    assert found["answer"] is None
    assert service.all_rows() == before
