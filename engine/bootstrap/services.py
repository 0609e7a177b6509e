"""What turns are handed: models, templates, pictures."""

import time
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import httpx
from pydantic import SecretStr

from domain.pricing import PriceBook
from domain.risk import RiskPolicy
from domain.rules import RuleSet
from engine.context import context_policy
from engine.metrics import Metrics
from engine.model_calls import CallsBesideTurns
from engine.rules.build import mood_policy
from engine.settings import Settings
from engine.tracing import silence_langchain
from engine.workshop import picture_fetcher
from graphs.classifier.model import IntentClassifier
from graphs.context import Searches, Services
from graphs.desk import DeskTalk
from graphs.templates import Templates
from storage import history
from storage.database import Database
from tools.models.gateway import ModelGateway
from tools.models.ledger import start_of_day
from tools.models.prices import parse_prices
from tools.models.providers import ProviderConfig, provider_config
from tools.pictures.decoding import Limits
from tools.pictures.intake import Pictures
from tools.pictures.ocr import Measurer, TextReader
from tools.pictures.store import PictureStore
from tools.pictures.vision import MAX_TOKENS, Vision
from tools.qingyunke.client import Qingyunke
from tools.registry import ToolRegistry

VISION = "vision"
"""As calls of the vision model are recorded."""
_DEFAULTS = resources.files("engine") / "defaults"


def tokens_today(settings: Settings, database: Database) -> dict[str, int]:
    """What earlier processes used of today's budgets."""
    if not settings.providers() and not settings.vision_model:
        return {}
    with database.engine.connect() as connection:
        return history.tokens_by_provider(connection, since=start_of_day(time.time()))


def build_models(
    settings: Settings, *, tokens_today: Mapping[str, int] | None = None
) -> ModelGateway | None:
    """None where no provider is configured."""
    configs = provider_configs(settings)
    if not configs:
        return None
    prices = parse_prices(default_file(settings.model_price_file, "model_prices.yaml"))
    return ModelGateway(
        configs, prices, attempt_timeout=settings.model_timeout_s, tokens_today=tokens_today
    )


def build_chatter(settings: Settings, http: httpx.AsyncClient) -> Qingyunke | None:
    return Qingyunke(settings.qingyunke_url, http) if settings.qingyunke_url else None


def provider_configs(settings: Settings) -> list[ProviderConfig]:
    return [
        provider_config(
            provider.name,
            api_key=provider.api_key,
            base_url=provider.base_url or None,
            model=provider.model or None,
            timeout_s=settings.model_timeout_s,
            max_attempts=settings.model_attempts,
            daily_token_budget=settings.model_daily_tokens or None,
        )
        for provider in settings.providers()
    ]


def build_services(
    settings: Settings,
    retriever: Searches,
    models: ModelGateway | None,
    tools: ToolRegistry | None = None,
    pictures: Pictures | None = None,
    price_book: PriceBook | None = None,
    rules: RuleSet | None = None,
) -> Services:
    """``price_book``, ``rules``: None are those that the settings name."""
    silence_langchain()
    return Services(
        classifier=IntentClassifier.load(),
        rules=rules or RuleSet.parse(default_file(settings.rules_file, "rules.yaml")),
        retriever=retriever,
        price_book=price_book
        or PriceBook.parse(default_file(settings.price_book_file, "price_book.yaml")),
        templates=build_templates(settings),
        risk_policy=RiskPolicy(settings.answer_threshold, settings.clarify_threshold),
        models=models,
        model_deadline_s=settings.model_deadline_s,
        zone=settings.zone(),
        tools=tools or ToolRegistry(),
        pictures=pictures,
        picture_deadline_s=settings.picture_read_s,
        desk=DeskTalk(
            loop_s=settings.desk_loop_s,
            loop_limit=settings.desk_loop_limit,
            told_s=settings.desk_tell_s,
            firm_s=settings.desk_patience_s,
        ),
        mood=mood_policy(settings),
        talk=context_policy(settings),
    )


def build_templates(settings: Settings) -> Templates:
    defaults = Templates.parse(default_file(None, "templates.yaml"))
    own = settings.templates_file
    return Templates.parse(own.read_text("utf-8"), defaults) if own else defaults


def default_file(chosen: Path | None, name: str) -> str:
    return chosen.read_text("utf-8") if chosen else (_DEFAULTS / name).read_text("utf-8")


def picture_limits(settings: Settings) -> Limits:
    return Limits(settings.picture_max_bytes, settings.picture_max_pixels)


def picture_store(settings: Settings, measurer: Measurer) -> PictureStore:
    limits = picture_limits(settings)
    return PictureStore(
        settings.data_dir.expanduser() / "pictures",
        max_bytes=limits.max_bytes,
        max_pixels=limits.max_pixels,
        check=measurer.check,
    )


def build_vision(
    settings: Settings, database: Database, metrics: Metrics, store: PictureStore
) -> Vision | None:
    config = vision_config(settings)
    if config is None:
        return None
    gateway = ModelGateway(
        [config],
        parse_prices(default_file(settings.model_price_file, "model_prices.yaml")),
        attempt_timeout=settings.vision_timeout_s,
        tokens_today=tokens_today(settings, database),
    )
    return Vision(
        gateway,
        store.limits,
        timeout_s=settings.vision_timeout_s,
        on_calls=CallsBesideTurns(database, metrics).keep,
    )


def vision_config(settings: Settings) -> ProviderConfig | None:
    """None where no vision model is configured. Its budget is its own."""
    if not settings.vision_model:
        return None
    preset, key, url = "custom", settings.vision_api_key or SecretStr(""), settings.vision_url
    provider = settings.vision_provider()
    if not url and provider is not None:
        preset, url = provider.name, provider.base_url
        key = settings.vision_api_key or provider.api_key
    return provider_config(
        preset,
        name=VISION,
        api_key=key,
        base_url=url or None,
        model=settings.vision_model,
        timeout_s=settings.vision_timeout_s,
        max_attempts=settings.model_attempts,
        max_tokens=MAX_TOKENS,
        daily_token_budget=settings.model_daily_tokens or None,
    )


def build_pictures(
    settings: Settings,
    database: Database,
    http: httpx.AsyncClient,
    store: PictureStore,
    measurer: Measurer,
    vision: Vision | None,
) -> Pictures:
    fetcher = picture_fetcher(settings, http, store)
    reader = TextReader(store.limits, max_waiting=settings.ocr_queue, idle_s=settings.ocr_idle_s)
    describe = vision.describe if vision is not None else None
    return Pictures(database, store, fetcher, reader, measurer=measurer, describe=describe)
