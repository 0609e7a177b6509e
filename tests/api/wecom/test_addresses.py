"""Callbacks from where an operator does not want them."""

from pathlib import Path

import pytest

from domain.errors import ConfigurationError
from tests.api.service import running_service, settings_for
from tests.api.wecom.test_callback import BELL, PATH, signed
from tests.api.wecom.test_members import company
from tests.sandbox_server import SandboxServer


@pytest.mark.parametrize(("allowed", "status"), [(("127.0.0.1",), 200), (("101.226.103.*",), 403)])
def test_only_callbacks_from_the_listed_addresses_are_looked_at(
    sandbox_server: SandboxServer, tmp_path: Path, allowed: tuple[str, ...], status: int
) -> None:
    chosen = company(sandbox_server) | {"wecom_callback_ips": allowed}
    with running_service(tmp_path, **chosen) as service:
        query, body = signed(BELL)
        answer = service.client.post(PATH, params=query, content=body)
        assert (answer.status_code, answer.content) == (status, b"")
        sandbox_server.set_target(service.url)
        verified = sandbox_server.post("/_sandbox/wecom/callback/verify", {})
        assert verified["ok"] is (status == 200)


def test_behind_a_proxy_of_this_machine_the_caller_is_whom_it_names(
    sandbox_server: SandboxServer, tmp_path: Path
) -> None:
    chosen = company(sandbox_server) | {"wecom_callback_ips": ("101.226.103.0/24",)}
    with running_service(tmp_path, **chosen) as service:
        for named, status in (("101.226.103.9", 200), ("101.226.104.9", 403)):
            query, body = signed(BELL)
            headers = {"X-Forwarded-For": named}
            answer = service.client.post(PATH, params=query, content=body, headers=headers)
            assert answer.status_code == status


def test_a_signature_is_needed_from_a_listed_address_too(
    sandbox_server: SandboxServer, tmp_path: Path
) -> None:
    chosen = company(sandbox_server) | {"wecom_callback_ips": ("127.0.0.1",)}
    with running_service(tmp_path, **chosen) as service:
        query, body = signed(BELL, msg_signature="0" * 40)
        assert service.client.post(PATH, params=query, content=body).status_code == 403


def test_a_list_that_cannot_be_read_is_no_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="wecom_callback_ips"):
        settings_for(tmp_path, wecom_callback_ips=("somewhere",))
