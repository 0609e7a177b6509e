"""`kefu doctor`."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, text

from api.cli.doctor import check_callbacks
from api.cli.findings import State
from engine.settings import describe_settings, load_settings
from storage.database import Database
from storage.migrate import HEAD, migrate
from tests.api.cli.conftest import Command
from tests.api.service import Service
from tests.sandbox_server import SandboxServer


@pytest.fixture
def taken_port() -> Iterator[int]:
    """Another program has it."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        yield other.getsockname()[1]


@pytest.fixture(autouse=True)
def free_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEFU_PORT", "0")


def findings(kefu: Command, *arguments: str, exit_code: int = 0) -> dict[str, dict[str, Any]]:
    """By part; the last one where a part has several."""
    ended = kefu("doctor", "--json", *arguments)
    assert ended.exit_code == exit_code, ended.output
    said = json.loads(ended.stdout)
    assert said["ok"] is (exit_code == 0)
    return {finding["part"]: finding for finding in said["findings"]}


def migrated(folder: Path) -> str:
    """A database at the program's revision; its URL."""
    folder.mkdir(exist_ok=True)
    database = Database(f"sqlite:///{folder / 'kefu.db'}")
    migrate(database.engine)
    database.close()
    return database.url


def test_a_fresh_installation_is_in_order_and_told_how_to_get_knowledge(kefu: Command) -> None:
    found = findings(kefu)
    assert found["index"]["state"] == "note"
    assert "kefu kb import --samples" in found["index"]["remedy"]
    others = {part: finding["state"] for part, finding in found.items() if part != "index"}
    assert set(others.values()) == {"ok"}
    assert not kefu.data_dir.exists()


def test_an_installation_in_use_shows_what_it_holds(filled: Command) -> None:
    migrated(filled.data_dir)
    found = findings(filled)
    assert found["database"]["detail"].endswith(HEAD)
    assert found["index"]["state"] == "ok"
    held = filled.json("kb", "list")["total"]
    assert found["index"]["detail"].startswith(f"{held} 条")


def test_every_fault_is_printed_with_its_remedy_and_counted(
    kefu: Command, taken_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEFU_PORT", str(taken_port))
    ended = kefu("doctor")
    assert ended.exit_code == 1
    lines = ended.stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("故障  port"))
    assert "→" in lines[at + 1]
    assert "KEFU_PORT" in lines[at + 1]
    assert lines[-1].startswith("1 处故障")


def test_an_unusable_setting_is_a_fault_that_names_the_variable(
    kefu: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEFU_MERGE_LIMIT", "many")
    found = findings(kefu, exit_code=1)
    assert found["settings"]["state"] == "fault"
    assert "KEFU_MERGE_LIMIT" in found["settings"]["remedy"]
    assert "database" not in found


def test_settings_without_effect_are_mentioned(
    kefu: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MESSAGE_LOG_FILE", "messages.json")
    found = findings(kefu)
    assert found["settings"]["state"] == "note"
    assert "MESSAGE_LOG_FILE" in found["settings"]["detail"]


def test_a_database_that_is_away_is_a_fault_without_its_password(
    kefu: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://someone:hidden-word@127.0.0.1:1/kefu")
    found = findings(kefu, exit_code=1)
    assert found["database"]["state"] == "fault"
    assert "DATABASE_URL" in found["database"]["remedy"]
    assert "hidden-word" not in json.dumps(found)


def test_a_database_without_tables_is_looked_at_and_not_migrated(
    kefu: Command, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    database = Database(empty_database_url)
    database.engine.connect().close()
    assert findings(kefu)["database"]["state"] == "note"
    assert findings(kefu)["database"]["state"] == "note"
    migrate(database.engine)
    database.close()
    found = findings(kefu)["database"]
    assert (found["state"], found["detail"].endswith(HEAD)) == ("ok", True)


def test_a_database_of_a_newer_program_is_a_fault(kefu: Command) -> None:
    engine = create_engine(migrated(kefu.data_dir))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    assert findings(kefu, exit_code=1)["database"]["state"] == "fault"


def test_a_file_that_is_no_database_is_a_fault(kefu: Command) -> None:
    kefu.data_dir.mkdir()
    (kefu.data_dir / "kefu.db").write_bytes(b"no database at all" * 100)
    assert "not a database" in findings(kefu, exit_code=1)["database"]["detail"]


def test_a_changed_embedder_is_mentioned_before_everything_is_embedded_again(
    filled: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEFU_EMBEDDING_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("KEFU_EMBEDDING_MODEL", "other")
    finding = findings(filled)["index"]
    assert finding["state"] == "note"
    assert "terms" in finding["detail"]


def test_what_the_index_has_not_followed_yet_is_counted(filled: Command) -> None:
    engine = create_engine(f"sqlite:///{filled.data_dir / 'kefu.db'}")
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO knowledge_changes (version_id, entry_id)"
                " SELECT 99, id FROM knowledge_entries LIMIT 1"
            )
        )
    engine.dispose()
    finding = findings(filled)["index"]
    assert finding["state"] == "note"
    assert "还差 1 个修订" in finding["detail"]


def test_a_damaged_index_is_a_fault_and_a_whole_one_names_its_model(filled: Command) -> None:
    found = findings(filled)
    assert "已全部索引" in found["index"]["detail"]
    assert found["model"]["state"] == "ok"
    (filled.data_dir / "knowledge" / "manifest.json").write_text("{", "utf-8")
    finding = findings(filled, exit_code=1)["index"]
    assert (finding["state"], "manifest" in finding["detail"]) == ("fault", True)


def test_our_own_service_on_the_port_is_no_fault(
    shared_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEFU_PORT", shared_service.url.rpartition(":")[2])
    found = findings(Command(shared_service.kefu.settings.data_dir))
    assert "Kefu Graph" in found["port"]["detail"]
    assert "process" in found["data"]["detail"]


def test_a_peer_that_nobody_answers_for_is_a_fault_and_its_secret_path_stays_secret(
    kefu: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEFU_STAFF_NOTICE_URL", "http://127.0.0.1:1/robot/secret-path")
    monkeypatch.setenv("WECOM_ROBOT_URL", "http://127.0.0.1:1/send?key=secret-path")
    found = findings(kefu, exit_code=1)
    assert found["peer/staff"]["state"] == "fault"
    assert "KEFU_STAFF_NOTICE_URL" in found["peer/staff"]["remedy"]
    assert "WECOM_ROBOT_URL" in found["peer/wecom"]["remedy"]
    assert "secret-path" not in json.dumps(found)


def test_online_asks_each_provider_and_names_the_one_that_refuses(
    kefu: Command, sandbox_server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEFU_SANDBOX_URL", sandbox_server.url)
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-something")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-something-else")
    assert "deepseek" in findings(kefu)["models"]["detail"]
    assert not sandbox_server.journal("model/deepseek")

    sandbox_server.fault("model/openai", "status", status=401)
    found = findings(kefu, "--online", exit_code=1)
    assert found["models/deepseek"]["state"] == "ok"
    assert found["models/openai"]["state"] == "fault"
    assert len(sandbox_server.journal("model/deepseek")) == 1


def test_a_reranking_server_is_reached_and_asked_only_online(
    kefu: Command, sandbox_server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "peer/rerank" not in findings(kefu)
    monkeypatch.setenv("KEFU_RERANK_URL", sandbox_server.rerank_url)
    monkeypatch.setenv("KEFU_RERANK_MODEL", "reranker")
    monkeypatch.setenv("KEFU_RERANK_API_KEY", "some-key")
    assert findings(kefu)["peer/rerank"]["state"] == "ok"
    assert not sandbox_server.journal("rerank")
    assert "reranker 已回答" in findings(kefu, "--online")["peer/rerank"]["detail"]
    assert len(sandbox_server.journal("rerank")) == 1
    sandbox_server.fault("rerank", "status", status=401)
    refused = findings(kefu, "--online", exit_code=1)["peer/rerank"]
    assert (refused["state"], "401" in refused["detail"]) == ("fault", True)


def test_a_provider_that_cannot_be_addressed_is_a_fault(
    kefu: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAE_API_KEY", "some-key")
    found = findings(kefu, exit_code=1)
    assert found["models"]["state"] == "fault"
    assert "trae" in found["models"]["detail"]


def test_all_settings_are_listed_with_default_and_meaning(kefu: Command) -> None:
    listed = {row["name"]: row for row in kefu.json("doctor", "--settings")}
    printed = kefu.done("doctor", "--settings")
    for setting in describe_settings():
        assert listed[setting.name]["default"] == setting.default
        assert f"{setting.name} = {setting.default}" in printed or not setting.default
        assert setting.meaning in printed


def test_who_does_the_work_on_pictures_is_said_and_reached(
    kefu: Command, sandbox_server: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert findings(kefu)["orders"]["detail"] == ("找图:无(转设计师);处理:本地处理;设计师:人工台")
    monkeypatch.setenv("PICTURE_LIBRARY", str(tmp_path))
    monkeypatch.setenv("IMAGES_URL", f"{sandbox_server.url}/images/v1")
    monkeypatch.setenv("IMAGES_MODEL", "painter")
    monkeypatch.setenv("IMAGE_SEARCH_URL", "http://127.0.0.1:1/search")
    found = findings(kefu, exit_code=1)
    assert str(tmp_path) in found["orders"]["detail"]
    assert "painter,不成则本地处理" in found["orders"]["detail"]
    assert found["peer/images"]["state"] == "ok"
    assert "KEFU_IMAGE_SEARCH_URL" in found["peer/image_search"]["remedy"]
    assert not sandbox_server.journal("images")


def test_addresses_of_pictures_that_no_customer_can_open_are_noted(
    kefu: Command, sandbox_server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "pictures" not in findings(kefu)
    monkeypatch.setenv("KEFU_WEBHOOK_URL", f"{sandbox_server.url}/webhook/deliver")
    monkeypatch.setenv("KEFU_WEBHOOK_SECRET", "s" * 32)
    assert "KEFU_PUBLIC_URL" in findings(kefu)["pictures"]["remedy"]
    monkeypatch.setenv("KEFU_PUBLIC_URL", "https://kefu.example")
    assert "pictures" not in findings(kefu)


def test_callbacks_to_the_service_itself_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEFU_PORT")
    settings = load_settings(
        env_files=None,
        tianwang_callback_url="http://127.0.0.1:6060/api/task/callback",
        tianwang_callback_secret=SecretStr("s"),
    )
    assert [finding.state for finding in check_callbacks(settings)] == [State.FAULT]


def test_callbacks_without_a_secret_are_noted() -> None:
    settings = load_settings(env_files=None, tianwang_callback_url="https://tianwang.example/done")
    assert [finding.state for finding in check_callbacks(settings)] == [State.NOTE]
