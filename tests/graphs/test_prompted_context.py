"""The graph's prompts over a real gateway: what is known goes along, and may be said again."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from domain.decisions import Evidence, Retrieval
from graphs.context import Services
from graphs.focus import ContextPolicy
from tests.graphs.conftest import Customer
from tests.sandbox_server import SandboxServer, sandbox_server, shared_sandbox
from tests.tools.models.conftest import provider
from tools.models.gateway import ModelGateway
from tools.models.tokens import count

__all__ = ["sandbox_server", "shared_sandbox"]

ORDER = "AB20261101"
ENTRY = Evidence("k1", "安装要多久", "订单付款后 3 天内上门安装。", "shop.md#安装")


class Shelf:
    """One entry for every question."""

    async def search(
        self,
        query: str,
        *,
        context: Sequence[str] = (),
        category: str | None = None,
        top_k: int | None = None,
    ) -> Retrieval:
        return Retrieval(query, 0.9, (ENTRY,))


@pytest.fixture
async def models(sandbox_server: SandboxServer) -> AsyncIterator[ModelGateway]:
    gateway = ModelGateway([provider(sandbox_server, "one")], first_pause=0.02)
    await gateway.warm()
    yield gateway
    await gateway.aclose()


@pytest.fixture
def asked(services: Services, models: ModelGateway) -> Customer:
    return Customer(replace(services, models=models, retriever=Shelf()))


def prompt_of(customer: Customer) -> str:
    (prompted,) = [one for one in customer.context.prompts if one.purpose == "reply"]
    assert count(prompted.messages) <= ContextPolicy().budget
    return prompted.messages[1].content


async def test_what_was_named_goes_along_and_an_answer_may_name_it(
    asked: Customer, sandbox_server: SandboxServer
) -> None:
    sandbox_server.script(reply="付款后 3 天内上门安装[1]。", peer="model/one")
    await asked.says(f"星河充电桩的订单号{ORDER}，安装师傅上门需要多久")
    for text in ("安装当天充电桩旁边需要留人吗", "安装师傅会自己带充电桩的电线过来吗"):
        await asked.says(text)
    sandbox_server.clear_scripts()
    sandbox_server.script(reply=f"订单{ORDER}付款后 3 天内上门安装[1]。", peer="model/one")
    state = await asked.says("充电桩安装师傅上门要等几天")
    known = next(part for part in prompt_of(asked).split("\n\n") if part.startswith("【已知信息】"))
    assert ORDER in known
    assert state["decision"]["source"] == "model"
    assert ORDER in state["decision"]["content"]


async def test_a_price_that_was_only_said_is_no_ground(
    asked: Customer, sandbox_server: SandboxServer
) -> None:
    sandbox_server.script(reply="付款后 3 天内上门安装[1]。", peer="model/one")
    await asked.says("你们上次说星河充电桩只要99元，安装师傅上门需要多久")
    await asked.says("安装当天充电桩旁边需要留人吗")
    sandbox_server.clear_scripts()
    sandbox_server.script(reply="星河充电桩 99 元，3 天内上门安装[1]。", peer="model/one")
    state = await asked.says("那安装星河充电桩一共需要等多久")
    assert "99元" in prompt_of(asked)
    assert "99" not in state["decision"]["content"]


async def test_a_first_question_is_told_nothing_of_a_talk(
    asked: Customer, sandbox_server: SandboxServer
) -> None:
    sandbox_server.script(reply="付款后 3 天内上门安装[1]。", peer="model/one")
    await asked.says("充电桩安装师傅上门需要多久")
    prompt = prompt_of(asked)
    assert "【资料】" in prompt
    assert not [part for part in ("【已知信息】", "【最近对话】", "摘要】") if part in prompt]
