"""A running service takes a model that comes into use, by itself, and gives none of its answers up
for it."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from knowledge.adapt import ModelShelf
from knowledge.model import Logistic, RankingModel
from tests.api.cli.conftest import Command
from tests.api.service import Service, running_service

QUERY = "充电桩安装大概什么价钱呢"
SEEN_S = 60.0


@pytest.fixture
def beside(kefu: Command, knowledge_folder: Path) -> Iterator[Service]:
    """A service on the command's data folder that looks for a new model a few times a second."""
    with running_service(
        kefu.data_dir, knowledge=knowledge_folder, learn_sweep_s=0.1, retrieval_cache_size=0
    ) as running:
        yield running


def confidence(client: httpx.Client) -> float:
    answer = client.post("/api/test_kb", json={"query": QUERY})
    assert answer.status_code == 200, answer.text
    found: float = answer.json()["confidence"]
    return found


def timid() -> RankingModel:
    """Another encoder, so that the index is made anew, and hardly ever sure."""
    shipped = RankingModel.load()
    encoder = shipped.encoder.with_learned(shipped.encoder.learned * np.float32(0.5))
    gate = Logistic(shipped.gate.weights, shipped.gate.bias - 20.0)
    return replace(shipped, encoder=encoder, gate=gate)


@contextmanager
def asking(url: str) -> Iterator[list[float]]:
    """All the while, as customers do; what was said."""
    heard: list[float] = []
    failed: list[BaseException] = []
    ends = threading.Event()

    def ask() -> None:
        try:
            with httpx.Client(base_url=url, timeout=30.0, trust_env=False) as client:
                while not ends.is_set():
                    heard.append(confidence(client))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield heard
    finally:
        ends.set()
        for thread in threads:
            thread.join()
    assert not failed, failed


def await_confidence(client: httpx.Client, expected: float) -> None:
    ends = time.monotonic() + SEEN_S
    while (found := confidence(client)) != pytest.approx(expected, abs=1e-3):
        assert time.monotonic() < ends, f"{found} instead of {expected}"
        time.sleep(0.02)


def test_a_service_changes_to_the_new_model_and_back_without_a_failed_search(
    beside: Service, kefu: Command
) -> None:
    before = confidence(beside.client)
    assert before > 0.01
    with asking(beside.url) as heard:
        ModelShelf(kefu.data_dir).add(timid(), {})
        await_confidence(beside.client, 0.0)
        assert "出厂模型" in kefu.done("kb", "adapt", "--undo")
        await_confidence(beside.client, before)
    answers = {round(value, 2) for value in heard}
    assert answers == {round(before, 2), 0.0}


def test_a_model_that_cannot_be_read_is_said_once_and_the_old_one_stays(
    beside: Service, kefu: Command, caplog: pytest.LogCaptureFixture
) -> None:
    before = confidence(beside.client)
    shelf = ModelShelf(kefu.data_dir)
    shelf.add(timid(), {})
    await_confidence(beside.client, 0.0)
    shelf.add(timid(), {})
    shelf.use(0)
    await_confidence(beside.client, before)
    (kefu.data_dir / "models" / "0002.npz").write_bytes(b"no model")
    with caplog.at_level(logging.WARNING):
        kefu.done("kb", "adapt", "--use", "2")
        ends = time.monotonic() + SEEN_S
        while not (said := _said(caplog)) and time.monotonic() < ends:
            time.sleep(0.02)
        time.sleep(0.5)  # several more looks
        assert len(_said(caplog)) == len(said) == 1
    assert confidence(beside.client) == pytest.approx(before, abs=1e-3)
    kefu.done("kb", "adapt", "--use", "1")
    await_confidence(beside.client, 0.0)


def _said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "0002.npz" in record.getMessage()]
