"""Campaigns, put together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from domain.campaigns import CampaignPolicy, opted
from engine.campaigns.desk import CampaignDesk
from engine.campaigns.runner import CampaignRunner
from engine.campaigns.sending import Room, Sending
from engine.metrics import Metrics
from engine.settings import Settings
from graphs.templates import Templates
from storage import kf_windows, reply_windows
from storage.campaigns import CampaignBook, note_opted
from storage.database import Database
from storage.inbox import Claim
from storage.kf import CHANNEL as KF
from storage.kf_windows import Whose
from storage.recipients import RecipientRow
from storage.tasks import TaskBook
from tools.wechat.messages import CHANNEL as WECHAT

_DAY_S = 86_400.0


@dataclass(slots=True)
class Campaigns:
    desk: CampaignDesk
    runner: CampaignRunner


def build_campaigns(
    settings: Settings,
    database: Database,
    templates: Templates,
    channels: frozenset[str],
    metrics: Metrics,
    *,
    book: TaskBook,
    owner: str,
    on_queues: Callable[[Sequence[str]], None],
) -> Campaigns:
    """``channels``: those that deliver."""
    sending = Sending(
        campaign_policy(settings),
        channels,
        book,
        rooms(),
        hint=templates.render("campaign_hint", seed=""),
    )
    campaigns = CampaignBook()
    runner = CampaignRunner(
        database,
        campaigns,
        sending,
        zone=settings.zone(),
        owner=owner,
        alone=database.is_sqlite,
        lease_s=settings.lease_s,
        on_queues=on_queues,
        on_settled=lambda outcome: metrics.campaign_people.labels(outcome).inc(),
    )
    desk = CampaignDesk(database, campaigns, sending, on_due=runner.wake)
    return Campaigns(desk, runner)


def campaign_policy(settings: Settings) -> CampaignPolicy:
    return CampaignPolicy(
        quiet=settings.campaign_quiet,
        gap_s=settings.campaign_gap_days * _DAY_S,
        talking_s=settings.campaign_talking_s,
        spare=settings.campaign_spare,
        most_a_minute=settings.campaign_per_minute,
    )


def rooms() -> Mapping[str, Room]:
    """Of the channels whose platform counts what we send."""
    return {KF: _kf_room, WECHAT: _wechat_room}


def _kf_room(connection: Connection, to: RecipientRow, now: float) -> int:
    return kf_windows.room(connection, Whose(to.channel, to.account, to.sender_id), now=now)


def _wechat_room(connection: Connection, to: RecipientRow, now: float) -> int:
    return reply_windows.left(connection, to.channel, to.account, to.sender_id, now=now)


def heard(connection: Connection, claim: Claim, now: float) -> None:
    """A customer who wants no more proactive messages says so to whoever answers."""
    for message in claim.messages:
        word = opted(message.text) if message.text else None
        if word is not None:
            note_opted(connection, claim.contact_id, word, now=now)
