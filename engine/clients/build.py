"""The clients' parts from the settings."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from pydantic import SecretStr

from engine.clients.clients import ClientPolicy, Clients
from engine.clients.secret import signing_secret
from engine.clients.watch import ClientNotices, ClientWatch
from engine.settings import Settings
from storage.database import Database
from storage.tasks import TaskBook


@dataclass(frozen=True, slots=True)
class Access:
    """``secret``: signs tokens; None: none are issued or accepted."""

    clients: Clients
    watch: ClientWatch
    secret: SecretStr | None


def build_access(
    settings: Settings,
    database: Database,
    channels: Collection[str],
    *,
    book: TaskBook,
    owner: str,
    on_queues: Callable[[Sequence[str]], None],
) -> Access:
    """``channels``: those that deliver by themselves."""
    policy, notices = client_policy(settings), ClientNotices(book, channels, settings.zone())
    return Access(
        Clients(database, policy, back=notices.back, on_queues=on_queues),
        ClientWatch(
            database,
            policy,
            notices,
            owner=owner,
            alone=database.is_sqlite,
            on_queues=on_queues,
        ),
        signing_secret(settings),
    )


def client_records(settings: Settings, database: Database) -> Clients:
    """For a command beside the service."""
    return Clients(database, client_policy(settings))


def client_policy(settings: Settings) -> ClientPolicy:
    return ClientPolicy(
        token_s=settings.client_token_hours * 3_600,
        heartbeat_s=settings.client_heartbeat_s,
        silence_s=settings.client_heartbeat_s * settings.client_missed_heartbeats,
        overlap_s=settings.client_key_overlap_hours * 3_600,
    )
