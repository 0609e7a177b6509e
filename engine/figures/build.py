"""The figures' parts from the settings."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from domain.alerts import AlertName, rules_of
from engine.figures.alerts import Alerts
from engine.figures.gauges import Gauges
from engine.figures.machine import Machine
from engine.figures.parts import Outside
from engine.figures.stats import Stats
from engine.figures.watch import FigureWatch
from engine.metrics import Metrics
from engine.settings import Settings
from storage.database import Database
from storage.tasks import TaskBook


@dataclass(frozen=True, slots=True)
class Figures:
    stats: Stats
    alerts: Alerts
    gauges: Gauges
    watch: FigureWatch


def thresholds(settings: Settings) -> Mapping[AlertName, float]:
    return {
        AlertName.CPU_HIGH: settings.alert_cpu_percent,
        AlertName.MEMORY_HIGH: settings.alert_memory_percent,
        AlertName.DISK_HIGH: settings.alert_disk_percent,
        AlertName.RESPONSE_SLOW: settings.alert_response_ms,
        AlertName.TOKEN_HIGH: settings.alert_tokens_day,
        AlertName.ANSWERS_LATE: settings.alert_late_percent,
        AlertName.QUEUE_AGE: settings.alert_queue_age_s,
        AlertName.OUTBOX_AGE: settings.alert_outbox_age_s,
        AlertName.DEAD_LETTERS: settings.alert_dead_letters,
        AlertName.PROVIDER_OPEN: settings.alert_providers_open,
        AlertName.QUOTA_LOW: settings.alert_quota_percent,
        AlertName.CLIENT_OFFLINE: settings.alert_clients_offline,
        AlertName.PROCESS_LOST: settings.alert_processes_lost,
    }


def build_figures(
    settings: Settings,
    database: Database,
    metrics: Metrics,
    outside: Outside,
    *,
    book: TaskBook,
    channels: Collection[str],
    owner: str,
    on_queues: Callable[[Sequence[str]], None],
) -> Figures:
    machine = Machine(settings.data_dir.expanduser())
    levels = thresholds(settings)
    rules = rules_of(
        lambda name: levels[name], for_s=settings.alert_for_s, calm_s=settings.alert_calm_s
    )
    alerts = Alerts(
        database,
        rules if settings.alerts else (),
        outside,
        book=book,
        channels=channels,
        on_queues=on_queues,
    )
    rates = settings.currency_rates
    watch = FigureWatch(
        database,
        machine,
        outside,
        alerts,
        owner=owner,
        alone=database.is_sqlite,
        zone=settings.zone(),
        every_s=settings.alert_check_s,
    )
    return Figures(
        Stats(database, machine, outside, zone=settings.zone(), rates=rates),
        alerts,
        Gauges(metrics.registry, database, machine, outside, rates),
        watch,
    )
