"""`kefu wecom contact-way` at the simulated WeCom."""

import json

import pytest
from typer.testing import CliRunner

from api.cli.main import cli
from domain.errors import ConfigurationError
from tests.sandbox.wecom import Wecom
from tests.sandbox_server import SandboxServer


@pytest.fixture
def wecom(sandbox_server: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Wecom:
    sandbox_server.put("/_sandbox/wecom/callback", {"urls": []})
    monkeypatch.setenv("KEFU_SANDBOX_URL", sandbox_server.url)
    return Wecom(sandbox_server)


def run(*arguments: str) -> str:
    ended = CliRunner().invoke(cli, ["wecom", "contact-way", *arguments])
    if ended.exception is not None:
        raise ended.exception
    return ended.stdout


def test_a_code_is_made_that_needs_nobody_to_accept(wecom: Wecom) -> None:
    (made,) = json.loads(run("add", "lisi", "--state", "门店", "--json"))
    assert (made["users"], made["state"], made["skip_verify"]) == (["lisi"], "门店", True)
    assert made["qr_code"].startswith("https://")
    added = wecom.play("friends", {"customer": "wmA", "config_id": made["config_id"]})
    assert added["state"] == "门店", "they are connected at once"


def test_with_verification_a_member_has_to_accept(wecom: Wecom) -> None:
    (made,) = json.loads(run("add", "lisi", "--verify", "--json"))
    asked = wecom.play("friends", {"customer": "wmA", "config_id": made["config_id"]})
    assert asked["asked"] is True


def test_codes_are_listed_and_removed(wecom: Wecom) -> None:
    (made,) = json.loads(run("add", "lisi", "wangwu", "--remark", "前台", "--json"))
    assert json.loads(run("list", "--json")) == [made]
    assert "前台" in run("list")
    assert made["config_id"] in run("remove", made["config_id"])
    assert json.loads(run("list", "--json")) == []


def test_without_wecom_s_settings_it_says_which_one_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("KEFU_SANDBOX_URL", "WECOM_CORP_ID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match="WECOM_CORP_ID"):
        run("list")
