"""The settings as a person reads them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from engine.settings.settings import Settings, field_names, is_secret


@dataclass(frozen=True, slots=True)
class SettingDoc:
    """``name`` is the variable that wins, ``aliases`` are read after it; ``default`` as text."""

    name: str
    aliases: tuple[str, ...]
    default: str
    meaning: str
    secret: bool


GROUPS = cast(tuple[type[BaseSettings], ...], Settings.__bases__)


def _group_docs(group: type[BaseSettings]) -> Iterator[SettingDoc]:
    fields: dict[str, FieldInfo] = group.model_fields
    for field, info in fields.items():
        names = field_names(field)
        meaning = info.description or ""
        default = _default_text(info.default)
        yield SettingDoc(names[0], names[1:], default, meaning, is_secret(field))


def _default_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, dict):
        return ",".join(f"{name}={given}" for name, given in value.items())
    return str(value)


def describe_settings() -> list[SettingDoc]:
    """Every setting, by group and in reading order."""
    return [doc for group in GROUPS for doc in _group_docs(group)]


def settings_markdown() -> str:
    """The settings as Markdown, one table for each group."""
    return "\n".join(_group_markdown(group) for group in GROUPS)


def _group_markdown(group: type[BaseSettings]) -> str:
    lines = [f"### {group.__doc__}", "", "| Variable | Also read | Default | Meaning |"]
    lines.append("|---|---|---|---|")
    for doc in _group_docs(group):
        others = ", ".join(f"`{name}`" for name in doc.aliases)
        default = f"`{doc.default}`" if doc.default else ""
        meaning = doc.meaning.replace("|", "\\|") + (" *Secret.*" if doc.secret else "")
        lines.append(f"| `{doc.name}` | {others} | {default} | {meaning} |")
    return "\n".join([*lines, ""])
