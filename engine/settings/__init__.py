"""Every setting: its environment variables, default, limits and meaning.

``load_settings()`` is the only reader of the environment and of the ``.env`` files in the working
directory; everything else is handed a ``Settings`` or a value of it. A variable with the prefix
``KEFU_`` beats the other names of the same setting, the environment beats ``.env``, and an
override beats both.
"""

from engine.settings.channels import NoticeSettings, TaskSettings
from engine.settings.describing import SettingDoc, describe_settings, settings_markdown
from engine.settings.fields import (
    CUSTOM_PROVIDER,
    ENV_FILES,
    PREFIX,
    PROVIDERS,
    SANDBOX_CREDENTIAL,
    SANDBOX_MAIL_FROM,
    SANDBOX_TELEGRAM_TOKEN,
    find_zone,
    is_loopback,
)
from engine.settings.loading import load_settings
from engine.settings.models import ProviderSettings
from engine.settings.platforms import SANDBOX_WECHAT, SANDBOX_WECOM, WechatIdentity, WecomIdentity
from engine.settings.settings import Settings

__all__ = [
    "CUSTOM_PROVIDER",
    "ENV_FILES",
    "PREFIX",
    "PROVIDERS",
    "SANDBOX_CREDENTIAL",
    "SANDBOX_MAIL_FROM",
    "SANDBOX_TELEGRAM_TOKEN",
    "SANDBOX_WECHAT",
    "SANDBOX_WECOM",
    "NoticeSettings",
    "ProviderSettings",
    "SettingDoc",
    "Settings",
    "TaskSettings",
    "WechatIdentity",
    "WecomIdentity",
    "describe_settings",
    "find_zone",
    "is_loopback",
    "load_settings",
    "settings_markdown",
]
