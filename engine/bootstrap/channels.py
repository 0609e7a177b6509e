"""Ways out of the process: channels, Qingjian, Tuhui."""

from collections.abc import Callable, Sequence

import httpx

from engine.channels import CallbackChannel, RobotChannel, StaffChannel, WebhookChannel
from engine.delivery import Channel
from engine.dispatch_steps import DispatchPolicy, DispatchSteps
from engine.dispatching import DispatchRunner
from engine.metrics import Metrics
from engine.orders.desk import OrderDesk
from engine.qingjian import QingjianChannel, QingjianLink
from engine.settings import Settings
from storage.database import Database
from storage.tasks import CALLBACK_CHANNEL, TaskBook
from tools.notify.client import StaffNotifier
from tools.qingjian.mapping import load_mapping
from tools.qingjian.protocol import CHANNEL as QINGJIAN
from tools.tianwang.client import CallbackClient
from tools.tuhui.client import TuhuiClient
from tools.webhook.client import WebhookClient
from tools.wecom.robot import GroupRobot


def build_qingjian(settings: Settings, database: Database, metrics: Metrics) -> QingjianLink | None:
    if not settings.qingjian_url:
        return None
    mapping = load_mapping(settings.qingjian_mapping_file)
    return QingjianLink(settings.qingjian_url, mapping, database, metrics, zone=settings.zone())


def build_dispatching(
    settings: Settings,
    http: httpx.AsyncClient,
    orders: OrderDesk,
    policy: DispatchPolicy,
    *,
    tasks: TaskBook,
    database: Database,
    owner: str,
    on_queues: Callable[[Sequence[str]], None],
) -> DispatchRunner | None:
    """None without Tuhui: designers' work goes to the human desk."""
    if not settings.tuhui_url:
        return None
    key = settings.tuhui_api_key.get_secret_value() if settings.tuhui_api_key else None
    client = TuhuiClient(settings.tuhui_url, key, http, settings.tuhui_timeout_s)
    steps = DispatchSteps(
        database, client, tasks, policy, on_step=orders.deeds.on_step, on_done=orders.deeds.on_done
    )
    runner = DispatchRunner(steps, owner=owner, alone=database.is_sqlite, on_queues=on_queues)
    orders.deeds.cancel_dispatch = steps.cancel
    return runner


def build_channels(
    settings: Settings, http: httpx.AsyncClient, qingjian: QingjianLink | None = None
) -> dict[str, Channel]:
    """Channels that can push; a channel that is not here keeps its answers for fetching."""
    channels: dict[str, Channel] = {}
    if qingjian is not None:
        channels[QINGJIAN] = QingjianChannel(qingjian)
    if settings.tianwang_callback_url:
        signs = settings.tianwang_callback_secret
        key = signs.get_secret_value() if signs else None
        client = CallbackClient(settings.tianwang_callback_url, key, http)
        channels[CALLBACK_CHANNEL] = CallbackChannel(client)
    if settings.webhook_url:
        secret = settings.webhook_secret.get_secret_value() if settings.webhook_secret else None
        channels["webhook"] = WebhookChannel(WebhookClient(settings.webhook_url, secret, http))
    staff = staff_channel(settings, http) if settings.notification_enabled else None
    return channels | ({"staff": staff} if staff is not None else {})


def staff_channel(settings: Settings, http: httpx.AsyncClient) -> Channel | None:
    """Where NOTIFICATION_CHANNEL names nothing; what it names goes before."""
    if settings.wecom_robot_url is not None:
        return RobotChannel(GroupRobot(settings.wecom_robot_url.get_secret_value(), http))
    if settings.staff_notice_url is not None:
        return StaffChannel(StaffNotifier(settings.staff_notice_url.get_secret_value(), http))
    return None
