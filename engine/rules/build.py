"""The rules, put together."""

from importlib import resources

from engine.metrics import Metrics
from engine.rules.book import RuleBook, open_book
from engine.rules.checking import checked_rules
from engine.settings import Settings
from graphs.context import MoodPolicy
from graphs.templates import Templates
from storage.database import Database
from tools.registry import ToolRegistry


def default_rules() -> str:
    return (resources.files("engine") / "defaults" / "rules.yaml").read_text("utf-8")


def default_templates() -> Templates:
    wordings = resources.files("engine") / "defaults" / "templates.yaml"
    return Templates.parse(wordings.read_text("utf-8"))


def build_rules(
    settings: Settings,
    database: Database,
    tools: ToolRegistry,
    templates: Templates,
    metrics: Metrics,
) -> RuleBook:
    """Raises ConfigurationError where the file cannot be used."""
    return open_book(
        settings.rules_file,
        default_rules(),
        database,
        lambda text: checked_rules(text, tools, templates),
        metrics,
    )


def mood_policy(settings: Settings) -> MoodPolicy:
    return MoodPolicy(
        model=settings.sentiment_model == "auto",
        deadline_s=settings.sentiment_deadline_s,
        turns=settings.sentiment_turns,
        does=settings.sentiment_does,
    )
