from typing import Any

import pytest
from pydantic import SecretStr

from domain.errors import ConfigurationError
from tools.models.providers import ALIASES, PRESETS, call_arguments, provider_config


def body(preset: str, model: str | None = None, *, json_mode: bool = False) -> dict[str, Any]:
    config = provider_config(preset, api_key="sk-test", model=model)
    arguments = call_arguments(config, max_tokens=99, json_mode=json_mode)
    found: dict[str, Any] = arguments["extra_body"]
    return found


@pytest.mark.parametrize("preset", sorted(set(PRESETS) - {"custom"}))
def test_a_key_is_all_that_a_preset_needs(preset: str) -> None:
    config = provider_config(preset, api_key="sk-test")
    assert config.base_url.startswith("https://")
    assert config.model


@pytest.mark.parametrize("preset", sorted(set(PRESETS) - {"custom"}))
def test_a_preset_without_its_key_is_refused(preset: str) -> None:
    with pytest.raises(ConfigurationError, match="api_key"):
        provider_config(preset, api_key="")


def test_every_alias_leads_to_a_preset() -> None:
    assert set(ALIASES.values()) <= set(PRESETS)


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="deepseek"):
        provider_config("skynet", api_key="sk-test")


@pytest.mark.parametrize(("base_url", "model"), [("", "m"), ("host/v1", "m"), ("http://h/v1", "")])
def test_a_custom_host_needs_an_address_and_a_model(base_url: str, model: str) -> None:
    with pytest.raises(ConfigurationError):
        provider_config("custom", api_key="k", base_url=base_url, model=model)


def test_a_custom_host_may_do_without_a_key() -> None:
    config = provider_config("custom", api_key="", base_url="http://127.0.0.1:1/v1", model="m")
    assert config.base_url == "http://127.0.0.1:1/v1"


def test_the_address_may_be_the_full_path_as_documents_print_it() -> None:
    url = "https://api.example.com/v1/chat/completions"
    assert provider_config("trae", api_key="k", base_url=url, model="m").base_url == (
        "https://api.example.com/v1"
    )


@pytest.mark.parametrize(
    ("preset", "model", "expected"),
    [
        ("deepseek", None, {"thinking": {"type": "disabled"}, "max_tokens": 99}),
        ("moonshot", None, {"thinking": {"type": "disabled"}, "max_completion_tokens": 99}),
        ("moonshot", "kimi-k3", {"reasoning_effort": "low", "max_completion_tokens": 99}),
        ("moonshot", "kimi-k2.7-code", {"max_completion_tokens": 99}),
        ("moonshot", "moonshot-v1-8k", {"max_completion_tokens": 99}),
        ("qwen", None, {"enable_thinking": False, "max_tokens": 99}),
        ("qwen", "qwen3-next-thinking", {"max_tokens": 99}),
        ("gemini", None, {"reasoning_effort": "low", "max_tokens": 99}),
        ("ernie", None, {"max_tokens": 99}),
        ("openai", None, {"reasoning_effort": "none", "max_completion_tokens": 99}),
        ("openai", "gpt-5-mini", {"reasoning_effort": "minimal", "max_completion_tokens": 99}),
        ("openai", "gpt-4.1-mini", {"max_completion_tokens": 99}),
    ],
)
def test_thinking_is_off_where_it_can_be_and_the_limit_has_the_providers_name(
    preset: str, model: str | None, expected: dict[str, Any]
) -> None:
    assert body(preset, model) == expected


@pytest.mark.parametrize(
    ("preset", "model", "sends"),
    [
        ("deepseek", "deepseek-flash", True),
        ("moonshot", "kimi-k2.6", False),
        ("moonshot", "moonshot-v1-8k", True),
        ("claude", "claude-opus-5-5", False),
        ("openai", "gpt-5.4-mini", False),
        ("openai", "o4-mini", False),
        ("openai", "gpt-4.1-mini", True),
        ("qwen", "qwen-plus", True),
    ],
)
def test_temperature_goes_only_where_it_is_welcome(preset: str, model: str, sends: bool) -> None:
    assert provider_config(preset, api_key="k", model=model).send_sampling is sends


def test_json_mode_is_asked_for_where_the_protocol_knows_it() -> None:
    assert body("qwen", json_mode=True)["response_format"] == {"type": "json_object"}
    claude = provider_config("claude", api_key="k")
    assert call_arguments(claude, max_tokens=99, json_mode=True) == {"max_tokens": 99}


def test_the_operators_wishes_win_over_the_preset() -> None:
    config = provider_config(
        "deepseek", api_key="k", extra_body={"thinking": {"type": "enabled"}}, timeout_s=3.0
    )
    assert config.extra_body == {"thinking": {"type": "enabled"}}
    assert config.timeout_s == 3.0


def test_no_repr_shows_a_secret() -> None:
    config = provider_config(
        "custom",
        api_key=SecretStr("sk-very-secret"),
        base_url="https://h/v1",
        model="m",
        headers={"X-Key": "sk-header-secret"},
        extra_body={"token": "sk-body-secret"},
    )
    assert "secret" not in repr(config)
