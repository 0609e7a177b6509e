"""Settings: every name of the seeds, precedence, rules across fields, errors and documentation."""

import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from domain.errors import ConfigurationError
from engine.bootstrap import engine_policy
from engine.settings import (
    ENV_FILES,
    PROVIDERS,
    Settings,
    describe_settings,
    is_loopback,
    load_settings,
    settings_markdown,
)

SEED_000 = {
    "AI_CS_HOST": "127.0.0.1",
    "AI_CS_PORT": "6061",
    "AI_CS_API_URL": "http://127.0.0.1:6061",
    "TIANWANG_CALLBACK_URL": "http://127.0.0.1:6060/api/task/callback",
    "TASK_RECEIVE": "/api/task/receive2",
    "TASK_STATUS": "/api/task/status2",
    "TASK_CANCEL": "/api/task/cancel2",
    "TASK_LIST": "/api/task/list2",
    "HEALTH": "/api/health2",
}
SEED_002 = {
    "WECHAT_TOKEN": "your_wechat_token",
    "APPID": "your_appid",
    "APPSECRET": "your_appsecret",
    "TRAE_API_KEY": "your_traecn_api_key",
    "TRAE_SECRET_KEY": "your_traecn_secret_key",
    "TRAE_API_URL": "https://api.traecn.example/v1/chat/completions",
    "HOST": "127.0.0.2",
    "PORT": "8000",
    "DEBUG": "True",
    "MESSAGE_LOG_FILE": "messages.json",
    "SERVICE_STATUS": "offline",
    "MAX_QUEUE_LENGTH": "11",
}
SEED_003 = {
    "DATABASE_URL": "postgresql://user:pass@localhost:5432/wxauto",
    "REDIS_URL": "redis://localhost:6379/0",
    "DEEPSEEK_API_KEY": "sk-your-key",
    "OPENAI_API_KEY": "sk-your-key",
    "CLAUDE_API_KEY": "sk-your-key",
    "MOONSHOT_API_KEY": "sk-your-key",
    "QWEN_API_KEY": "sk-your-key",
    "GEMINI_API_KEY": "sk-your-key",
    "ERNIE_API_KEY": "sk-your-key",
    "SECRET_KEY": "your-jwt-secret-key",
}
SEED_004 = {
    "WECOM_CORP_ID": "ww1",
    "WECOM_AGENT_ID": "1000002",
    "WECOM_AGENT_SECRET": "agent-secret",
    "WECOM_TOKEN": "random_token_here",
    "WECOM_AES_KEY": "your_aes_key",
    "WECOM_ENCODING_AES_KEY": "base64_key_here",
    "KB_DB_URL": "postgresql://postgres@localhost/wecom_kb",
    "LLM_PROVIDER": "kimi",
    "LLM_API_KEY": "sk-kimi",
    "LLM_API_BASE": "https://api.moonshot.cn/v1",
    "LLM_MODEL": "moonshot-v1-8k",
    "KB_SIMILARITY_THRESHOLD": "0.7",
    "CONFIDENCE_THRESHOLD": "0.8",
    "KB_TOP_K": "5",
    "NOTIFICATION_ENABLED": "false",
    "NOTIFICATION_CHANNEL": "telegram:123456789",
    "TELEGRAM_TOKEN": "8518:telegram-token",
}


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    known = {name for doc in describe_settings() for name in (doc.name, *doc.aliases)}
    for name in list(os.environ):
        if name.upper() in known:
            monkeypatch.delenv(name)


def _set(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("variable", "text"),
    [*SEED_000.items(), *SEED_002.items(), *SEED_003.items(), *SEED_004.items()],
)
def test_each_variable_that_a_seed_names_changes_a_setting(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str
) -> None:
    context = {"LLM_API_KEY": {"LLM_PROVIDER": "kimi"}}.get(variable, {})
    _set(monkeypatch, **context)
    before = load_settings()
    _set(monkeypatch, **{variable: text})
    after = load_settings()
    changed = {name for name in Settings.model_fields if name in after.model_fields_set}
    assert changed - before.model_fields_set, f"{variable} was not read"


@pytest.mark.parametrize("seed", [SEED_000, SEED_002, SEED_003, SEED_004])
def test_the_env_file_of_each_seed_loads_as_a_whole(tmp_path: Path, seed: dict[str, str]) -> None:
    lines = "\n".join(f"{name}={value}" for name, value in seed.items())
    (tmp_path / ".env").write_text(lines + "\nSOMETHING_ELSE=1\n", encoding="utf-8")
    load_settings()


def test_the_values_of_the_seeds_reach_the_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, **SEED_002, **SEED_003)
    settings = load_settings()
    assert (settings.host, settings.port) == ("127.0.0.2", 8000)
    assert (settings.service_status, settings.max_queue_length) == ("offline", 11)
    assert settings.effective_log_level() == "DEBUG"
    assert settings.database_dsn() == SEED_003["DATABASE_URL"]
    assert settings.task_receive == "/api/task/receive"
    assert [provider.name for provider in settings.providers()] == list(PROVIDERS)
    trae = settings.providers()[-1]
    assert trae.base_url == "https://api.traecn.example/v1"
    assert trae.model, "seed 002 names no model; one must be sent all the same"


def test_the_file_that_seed_000_names_is_read_and_dotenv_beats_it(tmp_path: Path) -> None:
    (tmp_path / ".env.tianwang").write_text("AI_CS_PORT=7001\nKB_TOP_K=9\n", encoding="utf-8")
    (tmp_path / ".env").write_text("AI_CS_PORT=7002\n", encoding="utf-8")
    settings = load_settings()
    assert (settings.port, settings.kb_top_k) == (7002, 9)


@pytest.mark.parametrize(
    ("environment", "dotenv", "override", "port"),
    [
        ({}, "", {}, 6060),
        ({"PORT": "1", "AI_CS_PORT": "2", "KEFU_PORT": "3"}, "", {}, 3),  # our name first
        ({"PORT": "1", "AI_CS_PORT": "2"}, "", {}, 2),
        ({"PORT": "1"}, "KEFU_PORT=9\n", {}, 1),  # the environment beats .env, whatever the name
        ({}, "PORT=8\nKEFU_PORT=9\n", {}, 9),
        ({"KEFU_PORT": "3"}, "PORT=8\n", {"port": 5}, 5),  # --port beats all
        ({"KEFU_PORT": ""}, "", {}, 6060),  # empty is not set
        ({"kefu_port": "4"}, "", {}, 4),
    ],
)
def test_override_beats_environment_beats_file_and_our_name_beats_the_others(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    environment: dict[str, str],
    dotenv: str,
    override: dict[str, int],
    port: int,
) -> None:
    (tmp_path / ".env").write_text(dotenv, encoding="utf-8")
    _set(monkeypatch, **environment)
    assert load_settings(env_files=ENV_FILES, **override).port == port


def test_both_names_of_the_wecom_key_work(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, WECOM_ENCODING_AES_KEY="second")
    assert load_settings().wecom_aes_key == SecretStr("second")
    _set(monkeypatch, WECOM_AES_KEY="first")
    assert load_settings().wecom_aes_key == SecretStr("first")


def test_a_single_threshold_of_seed_004_moves_the_answering_threshold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _set(monkeypatch, KB_SIMILARITY_THRESHOLD="0.7")
    settings = load_settings()
    assert (settings.answer_threshold, settings.clarify_threshold) == (0.7, 0.55)


def test_a_low_answering_threshold_alone_takes_the_clarifying_one_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _set(monkeypatch, KB_SIMILARITY_THRESHOLD="0.3")
    settings = load_settings()
    assert (settings.answer_threshold, settings.clarify_threshold) == (0.3, 0.3)


@pytest.mark.parametrize(
    ("variables", "names", "hint"),
    [
        ({"PORT": "70000"}, "PORT", "65535"),
        ({"AI_CS_PORT": "abc"}, "AI_CS_PORT", "integer"),
        ({"KEFU_CLARIFY_THRESHOLD": "0.9"}, "KEFU_CLARIFY_THRESHOLD", "at most 0.75"),
        ({"CONFIDENCE_THRESHOLD": "1.5"}, "CONFIDENCE_THRESHOLD", "less than or equal to 1"),
        ({"KB_SIMILARITY_THRESHOLD": "nan"}, "KB_SIMILARITY_THRESHOLD", "finite"),
        ({"HOST": "0.0.0.0"}, "KEFU_API_KEY", "0.0.0.0"),
        ({"HOST": "::", "SECRET_KEY": "jwt-signing-secret"}, "KEFU_API_KEY", "::"),
        ({"HOST": "0.0.0.0", "KEFU_API_KEY": "  "}, "KEFU_API_KEY", "not set"),
        ({"MODEL_PROVIDERS": "deepseek,openia"}, "MODEL_PROVIDERS", "openai"),
        ({"LLM_PROVIDER": "hal9000"}, "LLM_PROVIDER", "moonshot"),
        ({"LLM_API_KEY": "sk-x"}, "LLM_API_BASE", "LLM_PROVIDER="),
        ({"LLM_API_BASE": "http://127.0.0.1:1/v1"}, "LLM_MODEL", "LLM_PROVIDER="),
        ({"WEBHOOK_URL": "ftp://shop"}, "WEBHOOK_URL", "http://"),
        ({"WEBHOOK_URL": "http://u:p@shop/hook"}, "WEBHOOK_URL", "without user name"),
        ({"WEBHOOK_URL": "http://shop/hook"}, "KEFU_WEBHOOK_SECRET", "secret"),
        ({"EMBEDDING_URL": "http://shop/v1"}, "KEFU_EMBEDDING_MODEL", "model name"),
        ({"KEFU_RERANK_URL": "http://shop/v1"}, "KEFU_RERANK_MODEL", "model name"),
        ({"DATABASE_URL": "mysql://localhost/x"}, "DATABASE_URL", "sqlite:///"),
        ({"SQLITE_SYNCHRONOUS": "OFF"}, "SQLITE_SYNCHRONOUS", "FULL"),
        ({"RULES_FILE": "no-such-file.yaml"}, "RULES_FILE", "existing file"),
        ({"TIMEZONE": "Mars/Olympus"}, "TIMEZONE", "Asia/Shanghai"),
        ({"TIMEZONE": "../../etc/passwd"}, "TIMEZONE", "Asia/Shanghai"),
        ({"DEBOUNCE_CHANNELS": "webhook=soon"}, "DEBOUNCE_CHANNELS", "number"),
        ({"OUTBOX_BACKOFF_BASE_S": "900"}, "KEFU_OUTBOX_BACKOFF_BASE_S", "at most 300"),
        ({"SERVICE_STATUS": "busy"}, "SERVICE_STATUS", "'online' or 'offline'"),
        ({"DEBUG": "app:*"}, "DEBUG", "boolean"),
        ({"TASK_RECEIVE": "api/task"}, "TASK_RECEIVE", "starts with /"),
        ({"NOTIFICATION_CHANNEL": "telegram"}, "NOTIFICATION_CHANNEL", "telegram:ID"),
        ({"NOTIFICATION_CHANNEL": "feishu:群"}, "NOTIFICATION_CHANNEL", "feishu alone"),
        ({"NOTIFICATION_CHANNEL": "feishu, pager:7"}, "NOTIFICATION_CHANNEL", "dingtalk, mail"),
        (
            {"SMTP_HOST": "mail.example", "SMTP_PASSWORD": "p", "SMTP_SECURITY": "none"},
            "SMTP_SECURITY",
            "starttls",
        ),
        ({"SMTP_FROM": "a@b\nBcc: c@d"}, "SMTP_FROM", "match"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_the_variable_and_what_is_right(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], names: str, hint: str
) -> None:
    _set(monkeypatch, **variables)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert caught.value.variable == names
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_wrong_variable_of_a_file_is_named_as_the_file_names_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("AI_CS_PORT=none\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"^AI_CS_PORT: 'none' cannot be used"):
        load_settings()


def test_a_wrong_override_is_named_as_such() -> None:
    with pytest.raises(ConfigurationError, match=r"^port: 70000 cannot be used"):
        load_settings(port=70_000)


def test_the_value_of_a_wrong_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, DATABASE_URL="mysql://root:hunter2@db/x", STAFF_NOTICE_URL="ftp://h/?key=k9")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    shown = str(caught.value) + repr(caught.value.__cause__) + repr(caught.value.__context__)
    assert "hunter2" not in shown
    assert "k9" not in str(caught.value)


def test_an_unreadable_env_file_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"KEFU_PORT=\xff\xfe\n")
    with pytest.raises(ConfigurationError, match=r"\.env"):
        load_settings()


def test_an_override_that_is_no_setting_is_refused() -> None:
    with pytest.raises(TypeError, match="prot"):
        load_settings(prot=1)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.2", False),
        ("localhost.example.com", False),
        ("shop.internal", False),  # what a name resolves to may change
    ],
)
def test_only_loopback_is_open_without_a_key(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
    assert load_settings(host=host, api_key="k-123456").host == host
    if not loopback:
        with pytest.raises(ConfigurationError, match="KEFU_API_KEY"):
            load_settings(host=host)


def test_no_text_form_of_the_settings_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        name: f"hush-{number}"
        for number, doc in enumerate(describe_settings())
        for name in (doc.name,)
        if doc.secret
    }
    secrets["KEFU_DATABASE_URL"] = "postgresql://u:hush-db@h/x"
    robots = ("WECOM_ROBOT", "FEISHU_ROBOT", "DINGTALK_ROBOT", "STAFF_NOTICE")
    for name in (f"KEFU_{robot}_URL" for robot in robots):
        secrets[name] = f"https://robot.example/{name}?key=hush-robot"
    _set(monkeypatch, KEFU_LLM_PROVIDER="kimi", **secrets)
    settings = load_settings()
    forms = [repr(settings), str(settings), settings.model_dump_json(), repr(settings.providers())]
    assert all("hush" not in form for form in forms)
    assert set(secrets.values()) <= set(settings.secret_values())
    assert "hush-db" in settings.secret_values()


def test_providers_come_in_the_configured_order_and_only_with_a_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _set(
        monkeypatch,
        MODEL_PROVIDERS="qwen, Kimi ,deepseek,kimi",
        KIMI_API_KEY="k1",
        DASHSCOPE_API_KEY="q1",
        QWEN_BASE_URL="https://qwen.example/v1/",
        QWEN_MODEL="qwen-max",
        OPENAI_API_KEY="not listed",
    )
    qwen, moonshot = load_settings().providers()
    assert (qwen.name, qwen.base_url, qwen.model) == ("qwen", "https://qwen.example/v1", "qwen-max")
    assert qwen.api_key.get_secret_value() == "q1"
    assert (moonshot.name, moonshot.base_url, moonshot.model) == ("moonshot", "", "")


def test_the_llm_variables_of_seed_004_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, **SEED_004, DEEPSEEK_API_KEY="d1")
    first, second = load_settings().providers()
    assert (first.name, first.model) == ("moonshot", "moonshot-v1-8k")
    assert first.api_key.get_secret_value() == "sk-kimi"
    assert second.name == "deepseek"


def test_the_llm_provider_is_told_from_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, LLM_API_KEY="k", LLM_API_BASE="https://api.moonshot.cn/v1")
    (provider,) = load_settings().providers()
    assert provider.name == "moonshot"


def test_a_local_model_server_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, LLM_API_BASE="http://127.0.0.1:11434/v1", LLM_MODEL="qwen3")
    (provider,) = load_settings().providers()
    assert (provider.name, provider.model) == ("custom", "qwen3")
    assert provider.base_url == "http://127.0.0.1:11434/v1"


def test_an_explicit_order_keeps_the_llm_provider_where_it_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _set(monkeypatch, LLM_PROVIDER="kimi", LLM_API_KEY="k", DEEPSEEK_API_KEY="d")
    _set(monkeypatch, MODEL_PROVIDERS="deepseek,moonshot")
    assert [found.name for found in load_settings().providers()] == ["deepseek", "moonshot"]


def test_debounce_is_chosen_by_channel_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, DEBOUNCE_CHANNELS="wecom=1.5, slow=9")
    policy = engine_policy(load_settings())
    assert policy.debounce("webhook", "push") == 0.8
    assert policy.debounce("webhook", "poll") == 0
    assert policy.debounce("wecom", "push") == 1.5
    assert policy.debounce("slow", "push") == 3


def test_the_sandbox_gets_every_peer_and_no_real_credential(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _set(
        monkeypatch,
        DEEPSEEK_API_KEY="real-1",
        CLAUDE_API_KEY="real-2",
        LLM_PROVIDER="kimi",
        LLM_API_KEY="real-3",
        WEBHOOK_SECRET="shared",
        STAFF_NOTICE_URL="https://robot.example/?key=real-5",
        WECOM_ROBOT_URL="https://robot.example/?key=real-6",
        KEFU_RERANK_URL="https://rerank.example/v1",
        KEFU_RERANK_MODEL="m",
        KEFU_RERANK_API_KEY="real-6",
        QINGYUNKE_URL="http://robot.example/api.php",
    )
    settings = load_settings().with_sandbox("http://127.0.0.1:6061/")
    bases = {provider.name: provider.base_url for provider in settings.providers()}
    assert bases == {
        "moonshot": "http://127.0.0.1:6061/model/moonshot/v1",
        "deepseek": "http://127.0.0.1:6061/model/deepseek/v1",
        "claude": "http://127.0.0.1:6061/model/claude",
    }
    assert settings.webhook_url == "http://127.0.0.1:6061/webhook/deliver"
    assert settings.staff_notice_url == SecretStr("http://127.0.0.1:6061/staff/notice")
    robot = "http://127.0.0.1:6061/wecom/webhook/send?key=sandbox-credential"
    assert settings.wecom_robot_url == SecretStr(robot)
    assert settings.rerank_url == "http://127.0.0.1:6061/rerank/v1"
    assert settings.qingyunke_url == "http://127.0.0.1:6061/qingyunke/api.php"
    assert not [value for value in settings.secret_values() if "real" in value]
    assert settings.webhook_secret == SecretStr("shared")


def test_the_sandbox_alone_configures_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, KEFU_SANDBOX_URL="http://127.0.0.1:6061")
    settings = load_settings()
    assert settings.providers() == ()
    assert settings.webhook_url == "http://127.0.0.1:6061/webhook/deliver"
    assert settings.webhook_secret is None, "a sandbox without a secret signs nothing"
    assert settings.rerank_url == ""
    assert settings.qingyunke_url == "", "small talk stays off"


def test_variables_without_effect_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, TRAE_SECRET_KEY="secret-of-trae", KB_TOP_K="4")
    assert load_settings().without_effect() == ("KEFU_TRAE_SECRET_KEY",)


def test_every_setting_is_documented_once() -> None:
    docs = describe_settings()
    names = [name for doc in docs for name in (doc.name, *doc.aliases)]
    assert len(names) == len(set(names)), "a variable belongs to one setting"
    assert len(docs) == len(Settings.model_fields)
    assert all(doc.name.startswith("KEFU_") and doc.meaning for doc in docs)
    assert all(doc.default == "" for doc in docs if doc.secret)


def test_the_markdown_has_a_row_for_each_setting() -> None:
    rows = [line for line in settings_markdown().splitlines() if line.startswith("| `KEFU_")]
    assert len(rows) == len(describe_settings())
    assert "| `KEFU_PORT` | `AI_CS_PORT`, `PORT` | `6060` |" in settings_markdown()
    assert all(row.replace("\\|", "").count("|") == 5 for row in rows)


def test_the_database_is_a_file_in_the_data_folder_by_default(tmp_path: Path) -> None:
    dsn = load_settings(data_dir=tmp_path / "d").database_dsn()
    assert dsn == f"sqlite:///{tmp_path / 'd' / 'kefu.db'}"


@pytest.mark.parametrize(
    "text",
    ["橘子=restore,cutout; 婷婷 = design", '{"橘子": ["restore", "cutout"], "婷婷": ["design"]}'],
)
def test_skills_are_pairs_or_json(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    _set(monkeypatch, TUHUI_SKILLS=text)
    assert load_settings().tuhui_skills == {"橘子": ("restore", "cutout"), "婷婷": ("design",)}


@pytest.mark.parametrize("text", ["橘子", "橘子=", "=restore", "{", '{"橘子": []}', '{"橘子": 1}'])
def test_skills_that_say_nothing_are_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    _set(monkeypatch, TUHUI_SKILLS=text)
    with pytest.raises(ConfigurationError, match="TUHUI_SKILLS"):
        load_settings()


def test_an_images_api_needs_a_model_and_the_sandbox_plays_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _set(monkeypatch, IMAGES_URL="https://images.example/v1", IMAGES_API_KEY="sk-images")
    with pytest.raises(ConfigurationError, match="KEFU_IMAGES_MODEL"):
        load_settings()
    played = load_settings(images_model="m", sandbox_url="http://127.0.0.1:6061")
    assert (played.images_url, played.images_model) == ("http://127.0.0.1:6061/images/v1", "m")
    assert played.images_api_key is not None
    assert "sk-images" not in played.images_api_key.get_secret_value()


def test_the_picture_library_is_a_folder_that_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _set(monkeypatch, PICTURE_LIBRARY=str(tmp_path / "missing"))
    with pytest.raises(ConfigurationError, match="PICTURE_LIBRARY"):
        load_settings()
    _set(monkeypatch, PICTURE_LIBRARY=str(tmp_path))
    assert load_settings().picture_library == tmp_path
