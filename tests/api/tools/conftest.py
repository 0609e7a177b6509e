"""A service that takes tokens, with the sample tools beside its own."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.api.service import Service, running_service
from tests.api.tools.callers import SECRET
from tests.api.tools.sample import Samples


@dataclass(frozen=True, slots=True)
class Tooled:
    service: Service
    samples: Samples


@pytest.fixture(scope="session")
def tooled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tooled]:
    """Ming and Hong have each said something."""
    samples = Samples()
    with running_service(tmp_path_factory.mktemp("tooled"), secret_key=SECRET) as running:
        for tool in samples.tools():
            running.kefu.tools.register(tool)
        for name, words in (("ming", "我要订做一块桌布"), ("hong", "我的订单什么时候到")):
            running.ask(words, message_id=f"said by {name}", chat_id=name)
        yield Tooled(running, samples)


@pytest.fixture
def service(tooled: Tooled) -> Service:
    return tooled.service


@pytest.fixture
def samples(tooled: Tooled) -> Samples:
    return tooled.samples
