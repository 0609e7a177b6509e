"""The desk's parts from the settings."""

from collections.abc import Collection
from importlib import resources

from engine.desk.desk import Desk, DeskPolicy
from engine.desk.people import People
from engine.settings import Settings
from graphs.templates import Templates
from storage.database import Database
from storage.kf import CHANNEL as KF
from storage.tasks import TaskBook


def desk_policy(settings: Settings, channels: Collection[str]) -> DeskPolicy:
    """``channels``: those that deliver by themselves."""
    pool = bool(settings.wecom_corp_id) and settings.wecom_kf_hand_over == "pool"
    return DeskPolicy(
        channels=frozenset(channels),
        zone=settings.zone(),
        hours=settings.hours(),
        online=settings.service_status == "online",
        max_waiting=settings.max_queue_length,
        max_load=settings.desk_max_load,
        session_s=settings.desk_session_hours * 3_600,
        first_reply_s=settings.desk_first_reply_s,
        reply_s=settings.desk_reply_s,
        away_s=settings.desk_agent_away_s,
        idle_s=settings.desk_idle_s,
        rating=settings.desk_rating,
        assigns=settings.desk_assign,
        pooled=frozenset({KF}) if pool else frozenset(),
    )


def build_desk(
    settings: Settings,
    database: Database,
    templates: Templates,
    channels: Collection[str],
    *,
    book: TaskBook,
) -> Desk:
    """Whom it tells of queues and conversations is to be set before it acts."""
    return Desk(
        database,
        templates,
        desk_policy(settings, channels),
        book=book,
        on_queues=lambda _: None,
        on_conversations=lambda _: None,
    )


def staff_records(settings: Settings, database: Database) -> People:
    """Agents without a desk at which they work: for a command beside the service."""
    templates = (resources.files("engine") / "defaults" / "templates.yaml").read_text("utf-8")
    return People(
        database,
        Templates.parse(templates),
        desk_policy(settings, ()),
        book=TaskBook(settings.zone(), callbacks=False),
        on_queues=lambda _: None,
        on_conversations=lambda _: None,
    )
