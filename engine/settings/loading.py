"""The only reader of the environment and of the ``.env`` files."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from dotenv import dotenv_values
from pydantic import (
    ValidationError,
)
from pydantic_core import ErrorDetails

from domain.errors import ConfigurationError
from engine.settings.fields import ENV_FILES
from engine.settings.settings import Settings, field_names, is_secret


def load_settings(
    *, env_files: tuple[Path, ...] | None = ENV_FILES, **overrides: object
) -> Settings:
    """Settings from the environment and ``env_files``; ``overrides`` are named like the fields.

    Raises ConfigurationError for the first setting that is unusable.
    """
    unknown = overrides.keys() - Settings.model_fields.keys()
    if unknown:
        raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
    try:
        settings = Settings(_env_file=env_files, **cast(dict[str, Any], overrides))
    except ValidationError as error:
        raise _configuration_error(error.errors(), overrides, env_files or ()) from None
    except (OSError, UnicodeDecodeError) as error:
        names = ", ".join(str(path) for path in env_files or ())
        raise ConfigurationError(
            names, f"cannot be read ({type(error).__name__})", "readable UTF-8 text"
        ) from None
    return settings.with_sandbox(settings.sandbox_url) if settings.sandbox_url else settings


def _configuration_error(
    errors: list[ErrorDetails], overrides: Mapping[str, object], env_files: tuple[Path, ...]
) -> ConfigurationError:
    detail = errors[0]
    field = _field_of(str(detail["loc"][0]))
    variable = field if field in overrides else _variable_in_use(field, env_files)
    shown = "the value" if is_secret(field) else _shortened(detail["input"])
    more = f" ({len(errors) - 1} more settings are wrong)" if len(errors) > 1 else ""
    return ConfigurationError(variable, f"{shown} cannot be used", _expected(detail) + more)


def _expected(detail: ErrorDetails) -> str:
    message = detail["msg"].removeprefix("Input should be ").partition(", unable to")[0]
    return message.removeprefix("Input should ").removeprefix("Value error, ")


def _shortened(value: object, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _field_of(location: str) -> str:
    """pydantic reports a field by its first alias, or by its name if it was an override."""
    for field in Settings.model_fields:
        if location == field or location in field_names(field):
            return field
    return location


def _variable_in_use(field: str, env_files: tuple[Path, ...]) -> str:
    names = field_names(field)
    files = (dotenv_values(path) for path in reversed(env_files))
    sources: list[Mapping[str, str | None]] = [os.environ, *files]
    for source in sources:
        given = {name.upper() for name, value in source.items() if value}
        used = next((name for name in names if name in given), None)
        if used:
            return used
    return names[0]
