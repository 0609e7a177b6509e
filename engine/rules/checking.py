"""Rules that this service can use: what they name is there, and would take what it is given."""

from domain import message_fields, rule_fields
from domain.errors import ConfigurationError, InvalidInput, NotFound
from domain.rule_triggers import Step
from domain.rules import RuleSet
from graphs.templates import NAMES, Templates
from tools.registry import Role, ToolRegistry

ROLE = Role.ADMIN
"""Rules are an administrator's word."""
_ADD_TAG = "add_tag"


def checked_rules(text: str, tools: ToolRegistry, templates: Templates) -> RuleSet:
    """Raises ConfigurationError that names the wrong key."""
    rules = RuleSet.parse(text)
    for at, trigger in enumerate(rules.file.triggers):
        for number, step in enumerate(trigger.then):
            _check(step, f"rules.yaml.triggers.{at}.then.{number}", tools, templates)
    return rules


def _check(step: Step, place: str, tools: ToolRegistry, templates: Templates) -> None:
    if step.template and (step.template not in NAMES or NAMES[step.template].required):
        free = ", ".join(sorted(name for name, takes in NAMES.items() if not takes.required))
        raise ConfigurationError(f"{place}.template", f"no wording {step.template!r}", free)
    if step.tag:
        _check_tool(_ADD_TAG, {"tags": list(step.tag)}, f"{place}.tag", tools)
    if step.tool:
        _check_tool(step.tool, dict(step.arguments), place, tools)


def _check_tool(name: str, arguments: dict[str, object], place: str, tools: ToolRegistry) -> None:
    try:
        tool = tools.get(name)
    except NotFound:
        usable = ", ".join(one.name for one in tools if ROLE in one.roles)
        raise ConfigurationError(f"{place}.tool", f"no tool {name!r}", usable) from None
    if ROLE not in tool.roles:
        raise ConfigurationError(f"{place}.tool", f"{name!r} may not be used by rules", "another")
    try:
        tool.parse(message_fields.fill(arguments, rule_fields.longest_values()))
    except InvalidInput as error:
        raise ConfigurationError(
            f"{place}.arguments.{error.field}", error.reason, f"arguments of the tool {name}"
        ) from error
