"""Kinds of values, and how a setting names its variables."""

import ipaddress
import json
from datetime import timedelta, timezone, tzinfo
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    AliasChoices,
    Field,
    SecretStr,
)
from pydantic_core import PydanticCustomError

from domain.desk_hours import HoursRefused, parse_holidays, parse_hours
from tools.notify.targets import parse_targets
from tools.wx.addresses import network

ENV_FILES = (Path(".env.tianwang"), Path(".env"))
"""Read in this order, a later file wins. The first is the one that seed 000 names."""

PREFIX = "KEFU_"
PROVIDERS = ("deepseek", "openai", "claude", "moonshot", "qwen", "gemini", "ernie", "trae")
CUSTOM_PROVIDER = "custom"
SANDBOX_CREDENTIAL = "sandbox-credential"
SANDBOX_MODEL = "sandbox-images"
SANDBOX_TELEGRAM_TOKEN = "1000001:sandbox-credential"  # noqa: S105 - of the sandbox
SANDBOX_MAIL_FROM = "kefu@sandbox.example"
OTHER_PROVIDER_NAMES = {
    "kimi": "moonshot",
    "anthropic": "claude",
    "gpt": "openai",
    "google": "gemini",
    "dashscope": "qwen",
    "tongyi": "qwen",
    "qianfan": "ernie",
    "wenxin": "ernie",
    "traecn": "trae",
}
PROVIDER_HOSTS = {
    "moonshot.": "moonshot",
    "deepseek.com": "deepseek",
    "openai.com": "openai",
    "anthropic.com": "claude",
    "dashscope": "qwen",
    "googleapis.com": "gemini",
    "baidubce.com": "ernie",
    "traecn.com": "trae",
}


def setting(names: str, default: Any, meaning: str, **limits: Any) -> Any:
    """A field read from ``KEFU_`` and the first of ``names``, then from the others in order.

    A lone name is read without the prefix too.
    """
    own, *others = names.split()
    alias = AliasChoices(PREFIX + own, *(others or (own,)))
    return Field(default, validation_alias=alias, description=meaning, **limits)


def refuse(expected: str) -> PydanticCustomError:
    return PydanticCustomError("setting", "Input should be {expected}", {"expected": expected})


def http_url(value: str) -> str:
    if not value:
        return value
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or "@" in parts.netloc:
        raise refuse("an http:// or https:// URL without user name and password")
    return value.rstrip("/")


def websocket_url(value: str) -> str:
    if value and not value.startswith(("ws://", "wss://")):
        raise refuse("a ws:// or wss:// URL without user name and password")
    http_url(value.replace("ws", "http", 1))
    return value.rstrip("/")


def secret_http_url(value: SecretStr | None) -> SecretStr | None:
    if value is not None:
        http_url(value.get_secret_value())
    return value


def database_address(value: SecretStr | None) -> SecretStr | None:
    scheme = value.get_secret_value().partition(":")[0].partition("+")[0] if value else "sqlite"
    if scheme not in {"sqlite", "postgresql", "postgres"}:
        raise refuse("a URL that starts with sqlite:/// or postgresql://")
    return value


def notice_targets(value: str) -> str:
    try:
        return ",".join(target.name for target in parse_targets(value))
    except ValueError as error:
        raise refuse(str(error)) from None


def path(value: str) -> str:
    if not value.startswith("/") or any(sign in value for sign in "?#{} "):
        raise refuse("a URL path that starts with /")
    return value.rstrip("/")


def existing_file(value: Path | None) -> Path | None:
    if value is None:
        return None
    if not value.expanduser().is_file():
        raise refuse("the path of an existing file")
    return value.expanduser()


def upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def provider(value: str) -> str:
    """The canonical name of a provider: ``Kimi`` is ``moonshot``."""
    name = OTHER_PROVIDER_NAMES.get(value.strip().lower(), value.strip().lower())
    if name not in {"", *PROVIDERS, CUSTOM_PROVIDER}:
        raise refuse("one of " + ", ".join((*PROVIDERS, CUSTOM_PROVIDER)))
    return name


def provider_order(value: object) -> object:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, tuple | list):
        return value
    known = (provider(str(name)) for name in names)
    return tuple(dict.fromkeys(name for name in known if name))


def pairs(value: object) -> object:
    """``webhook=1.2,web=0`` as a mapping."""
    if not isinstance(value, str):
        return value
    pairs = [part.partition("=") for part in value.split(",") if part.strip()]
    return {name.strip(): given.strip() for name, _, given in pairs}


_ORDER_FIELDS = {
    "order": "keyword1",
    "service": "keyword2",
    "status": "keyword3",
    "time": "keyword4",
}


def order_fields(value: dict[str, str]) -> dict[str, str]:
    if not value:
        return _ORDER_FIELDS
    if not value.keys() <= _ORDER_FIELDS.keys() or not all(value.values()):
        raise refuse("order=, service=, status= and time= with names of the template's fields")
    return value


def skills(value: object) -> object:
    """``橘子=restore,cutout;婷婷=design``, or the same as a JSON object of lists."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("{"):
        try:
            return json.loads(value)
        except ValueError:
            raise refuse('JSON such as {"name": ["type"]}, or name=type,type;…') from None
    pairs = [part.partition("=") for part in value.split(";") if part.strip()]
    return {name.strip(): words(types) for name, _, types in pairs}


def words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def listed(value: object) -> object:
    return words(value) if isinstance(value, str) else value


def networks(value: tuple[str, ...]) -> tuple[str, ...]:
    try:
        for entry in value:
            network(entry)
    except ValueError:
        raise refuse("addresses such as 101.226.103.0/24, 1.2.3.4 or 1.2.3.*") from None
    return value


def hours_text(value: str) -> str:
    try:
        parse_hours(value)
    except HoursRefused as error:
        raise refuse(error.expected) from None
    return value


def holiday_dates(value: tuple[str, ...]) -> tuple[str, ...]:
    try:
        parse_holidays(value)
    except HoursRefused as error:
        raise refuse(error.expected) from None
    return value


def existing_folder(value: Path | None) -> Path | None:
    if value is None:
        return None
    if not value.expanduser().is_dir():
        raise refuse("the path of an existing folder")
    return value.expanduser()


def zone_name(value: str) -> str:
    try:
        find_zone(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise refuse("a time zone name such as Asia/Shanghai") from None
    return value


def find_zone(name: str) -> tzinfo:
    """Asia/Shanghai works without a time zone database too: it has had no summer time since 1991.

    Raises ZoneInfoNotFoundError, ValueError or OSError for a name that is no zone.
    """
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:
        if name == "Asia/Shanghai":
            return timezone(timedelta(hours=8), name)
        raise


def is_loopback(host: str) -> bool:
    """A name other than ``localhost`` counts as public: what it resolves to may change."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


HttpUrl = Annotated[str, AfterValidator(http_url)]
WebSocketUrl = Annotated[str, AfterValidator(websocket_url)]
SecretUrl = Annotated[SecretStr | None, AfterValidator(secret_http_url)]
UrlPath = Annotated[str, AfterValidator(path)]
ExistingFile = Annotated[Path | None, AfterValidator(existing_file)]
ExistingFolder = Annotated[Path | None, AfterValidator(existing_folder)]
Days = Annotated[float, Field(ge=0, le=3_650, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=128)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
