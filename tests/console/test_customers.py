"""The console's pages about customers: what they show, what their forms do, and for whom."""

import uuid

import httpx
import pytest

from tests.api.service import Service
from tests.api.test_customers import got, written
from tests.console.conftest import ADMIN, AGENT
from tests.console.test_pages import browser_of, csrf_of

PAGE = "/desk/customers"


@pytest.fixture(scope="module")
def admin(console: Service) -> httpx.Client:
    return browser_of(console, ADMIN)


def sent(client: httpx.Client, path: str, **form: str) -> httpx.Response:
    return client.post(path, data={"csrf": csrf_of(client), **form})


def said(client: httpx.Client, path: str, **form: str) -> str:
    """What the page says after a form that was taken."""
    response = sent(client, path, **form)
    assert response.status_code == 303, response.text
    return response.headers["location"].rpartition("said=")[2]


def profile(**changes: str) -> dict[str, str]:
    return {"name": "", "state": "new", "level": "auto", "remark": ""} | changes


def test_a_customer_is_listed_and_opened_with_the_arithmetic(
    console: Service, admin: httpx.Client
) -> None:
    number, sender = written(console)
    listed = admin.get(PAGE, params={"q": sender})
    assert listed.status_code == 200
    assert f'href="{PAGE}/{number}"' in listed.text
    page = admin.get(f"{PAGE}/{number}").text
    assert "近 30 天 1 / 全部 1 条消息" in page
    assert "没有数据，按中性值计算" in page


def test_the_profile_is_saved_as_it_was_typed(console: Service, admin: httpx.Client) -> None:
    number, _ = written(console)
    form = profile(name="王女士", phone="19900000042", level="black", state="potential")
    assert said(admin, f"{PAGE}/{number}", **form) == "customer_saved"
    found = got(console, number)
    assert (found["name"], found["phone"], found["fixed"], found["state"]) == (
        "王女士",
        "19900000042",
        "black",
        "potential",
    )


def test_a_telephone_number_that_is_none_is_refused(console: Service, admin: httpx.Client) -> None:
    number, _ = written(console)
    assert sent(admin, f"{PAGE}/{number}", **profile(phone="不是号码")).status_code == 422
    assert got(console, number)["phone"] == ""


def test_tags_come_and_go(console: Service, admin: httpx.Client) -> None:
    number, _ = written(console)
    said(admin, f"{PAGE}/{number}/tags", add="老客户")
    assert got(console, number)["tags"] == ["老客户"]
    said(admin, f"{PAGE}/{number}/tags", remove="老客户")
    assert got(console, number)["tags"] == []
    assert sent(admin, f"{PAGE}/{number}/tags", add=" ").status_code == 422


def test_two_are_merged_and_come_apart(console: Service, admin: httpx.Client) -> None:
    one, other = written(console)[0], written(console)[0]
    assert said(admin, f"{PAGE}/{one}/merge", other=str(other)) == "customer_merged"
    merge = got(console, one)["merges"][0]["id"]
    assert f'name="merge" value="{merge}"' in admin.get(f"{PAGE}/{one}").text
    assert said(admin, f"{PAGE}/{one}/unmerge", merge=str(merge)) == "customer_unmerged"
    assert got(console, other)["id"] == other


def test_an_export_is_a_file(console: Service, admin: httpx.Client) -> None:
    number, _ = written(console, words="把我导出来")
    response = admin.get(f"{PAGE}/{number}/export")
    assert response.headers["content-disposition"].startswith("attachment")
    assert "把我导出来" in response.text


def test_nobody_is_erased_without_typing_who_it_is(console: Service, admin: httpx.Client) -> None:
    number, sender = written(console)
    refused = sent(admin, f"{PAGE}/{number}/erase", contact_id="api:tests:somebody")
    assert refused.status_code == 409
    assert said(admin, f"{PAGE}/{number}/erase", contact_id=f"api:tests:{sender}") == (
        "customer_erased"
    )
    assert admin.get(f"{PAGE}/{number}").status_code == 404


def test_what_customers_call_themselves_is_text_and_never_markup(
    console: Service, admin: httpx.Client
) -> None:
    name = f"<script>alert(1)</script>{uuid.uuid4().hex[:6]}"
    number, _ = written(console, name=name)
    for path in (f"{PAGE}/{number}", f"{PAGE}?q={name[-6:]}"):
        assert "<script>alert" not in admin.get(path).text


def test_customers_are_for_administrators(console: Service) -> None:
    agent = browser_of(console, AGENT)
    assert agent.get(PAGE).status_code == 403
    assert PAGE not in agent.get("/desk").text
