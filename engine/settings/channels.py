"""The plain channels, notices to staff, the human desk, and Tianwang's tasks."""

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
)
from pydantic_settings import BaseSettings, NoDecode

from domain.desk_hours import Hours, parse_holidays, parse_hours
from engine.settings.fields import (
    ExistingFile,
    HttpUrl,
    Name,
    PositiveSeconds,
    Seconds,
    SecretUrl,
    UrlPath,
    WebSocketUrl,
    holiday_dates,
    hours_text,
    listed,
    lower,
    notice_targets,
    setting,
    skills,
)
from tools.notify.targets import Target, parse_targets


class ChannelSettings(BaseSettings):
    """Channels, staff and desk"""

    webhook_url: HttpUrl = setting(
        "WEBHOOK_URL",
        "",
        "Where answers of the webhook channel are posted; needs KEFU_WEBHOOK_SECRET.",
    )
    webhook_secret: SecretStr | None = setting(
        "WEBHOOK_SECRET", None, "Secret of the webhook signatures, both ways."
    )
    webhook_account: str = setting(
        "WEBHOOK_ACCOUNT",
        "shop",
        "Account name of the webhook channel.",
        min_length=1,
        max_length=128,
    )
    service_status: Annotated[Literal["online", "offline"], BeforeValidator(lower)] = setting(
        "SERVICE_STATUS",
        "online",
        "Whether somebody is at the human desk: online or offline. Offline, customers are told so "
        "and keep their place.",
    )
    max_queue_length: int = setting(
        "MAX_QUEUE_LENGTH",
        10,
        "Customers that may wait when POST /api/transfer_service asks for a person; what the bot "
        "itself hands over is never turned away.",
        ge=0,
        le=100_000,
    )


class NoticeSettings(BaseSettings):
    """Notices to staff"""

    notification_enabled: bool = setting(
        "NOTIFICATION_ENABLED", True, "false: staff is not notified."
    )
    notification_channel: Annotated[str, AfterValidator(notice_targets)] = setting(
        "NOTIFICATION_CHANNEL",
        "",
        "Where staff is notified, a comma list of telegram:ID, feishu, dingtalk, mail:ADDRESS, "
        "wecom:USERID|USERID (messages of the application WECOM_AGENT_ID), wecom (the group of "
        "WECOM_ROBOT_URL) and url (STAFF_NOTICE_URL); each gets every notice. Empty: "
        "WECOM_ROBOT_URL, or else STAFF_NOTICE_URL.",
    )
    staff_notice_url: SecretUrl = setting(
        "STAFF_NOTICE_URL",
        None,
        "Where notices to staff are posted. A secret, since such addresses carry keys.",
    )
    wecom_robot_url: SecretUrl = setting(
        "WECOM_ROBOT_URL",
        None,
        "A WeCom group robot, its whole address with the key: notices to staff and designers go to "
        "its group, and no more to STAFF_NOTICE_URL.",
    )
    telegram_token: SecretStr | None = setting(
        "TELEGRAM_TOKEN TELEGRAM_TOKEN TELEGRAM_BOT_TOKEN", None, "Token of the Telegram bot."
    )
    telegram_api_base: HttpUrl = setting(
        "TELEGRAM_API_BASE",
        "https://api.telegram.org",
        "Telegram's API, or a Bot API server of your own.",
    )
    feishu_robot_url: SecretUrl = setting(
        "FEISHU_ROBOT_URL", None, "A Feishu or Lark custom robot, its whole address."
    )
    feishu_robot_secret: SecretStr | None = setting(
        "FEISHU_ROBOT_SECRET", None, "Its signing secret, where signatures are switched on."
    )
    dingtalk_robot_url: SecretUrl = setting(
        "DINGTALK_ROBOT_URL", None, "A DingTalk custom robot, its whole address with access_token."
    )
    dingtalk_robot_secret: SecretStr | None = setting(
        "DINGTALK_ROBOT_SECRET", None, "Its signing secret (SEC…), where signatures are on."
    )
    smtp_host: str = setting(
        "SMTP_HOST",
        "",
        "Mail server that takes notices.",
        pattern=r"^[A-Za-z0-9._:\-]*$",
        max_length=253,
    )
    smtp_port: int = setting(
        "SMTP_PORT", 0, "Its port; 0: 465, 587 or 25, as SMTP_SECURITY has it.", ge=0, le=65_535
    )
    smtp_security: Annotated[Literal["tls", "starttls", "none"], BeforeValidator(lower)] = setting(
        "SMTP_SECURITY",
        "tls",
        "tls, starttls, or none: a relay that asks for no password.",
    )
    smtp_user: str = setting("SMTP_USER", "", "User name there.", max_length=254)
    smtp_password: SecretStr | None = setting(
        "SMTP_PASSWORD", None, "Password or authorisation code of that user."
    )
    smtp_from: str = setting(
        "SMTP_FROM",
        "",
        "Address that the mails come from; default: SMTP_USER.",
        pattern=r"^([^\s<>@,;:\"]+@[A-Za-z0-9.\-]+)?$",
        max_length=254,
    )
    smtp_ca_file: ExistingFile = setting(
        "SMTP_CA_FILE", None, "PEM file of the authority that signed the mail server's certificate."
    )

    @property
    def notice_targets(self) -> tuple[Target, ...]:
        """The places that NOTIFICATION_CHANNEL names."""
        return parse_targets(self.notification_channel)

    @property
    def wecom_staff(self) -> tuple[str, ...]:
        """UserIDs that NOTIFICATION_CHANNEL names."""
        named = (one.to.split("|") for one in self.notice_targets if one.kind == "wecom")
        return tuple(dict.fromkeys(user for users in named for user in users if user))


class DeskSettings(BaseSettings):
    """The human desk"""

    desk_hours: Annotated[str, AfterValidator(hours_text)] = setting(
        "DESK_HOURS",
        "",
        "When people are at the desk, weekdays from Monday 1, e.g. "
        "1-5 09:00-12:00,13:30-18:00; 6 10:00-16:00. Default: always.",
    )
    desk_holidays: Annotated[
        tuple[str, ...], NoDecode, BeforeValidator(listed), AfterValidator(holiday_dates)
    ] = setting(
        "DESK_HOLIDAYS",
        (),
        "Days on which nobody is, with commas between them, e.g. 2026-10-01; with ! before it a "
        "day is worked though its weekday is not, e.g. !2026-10-10.",
    )
    desk_assign: bool = setting(
        "DESK_ASSIGN",
        True,
        "true: who waits is given to the online agent with the least to do. false: agents take.",
    )
    desk_first_reply_s: PositiveSeconds = setting(
        "DESK_FIRST_REPLY_S",
        60,
        "Seconds in which a person has to say the first word; then another agent gets the "
        "customer, or staff is notified.",
    )
    desk_reply_s: PositiveSeconds = setting(
        "DESK_REPLY_S", 180, "The same for each later word that the customer waits for."
    )
    desk_agent_away_s: Annotated[float, Field(ge=5, le=86_400, allow_inf_nan=False)] = setting(
        "DESK_AGENT_AWAY_S",
        90,
        "Seconds without a sign of life of an agent's console, after which their customers go back "
        "to the front of the queue.",
    )
    desk_idle_s: PositiveSeconds = setting(
        "DESK_IDLE_S",
        1_800,
        "Seconds of a customer's silence after which their talk with a person is resolved.",
    )
    desk_max_load: int = setting(
        "DESK_MAX_LOAD", 8, "Customers that a new agent has at once at most.", ge=1, le=1_000
    )
    desk_session_hours: Annotated[float, Field(gt=0, le=720, allow_inf_nan=False)] = setting(
        "DESK_SESSION_HOURS", 12, "Hours for which an agent stays signed in."
    )
    desk_rating: bool = setting(
        "DESK_RATING", True, "true: customers are asked how it was when a person has resolved it."
    )
    desk_tell_s: PositiveSeconds = setting(
        "DESK_TELL_S",
        60,
        "A customer who waits for a person and goes on writing is told of the queue at most once "
        "in so many seconds.",
    )
    desk_patience_s: PositiveSeconds = setting(
        "DESK_PATIENCE_S",
        600,
        "Seconds for which nobody but a person answers who asked for one; then the bot says what "
        "it surely knows beside. Complaints always wait for a person.",
    )
    desk_loop_s: PositiveSeconds = setting(
        "DESK_LOOP_S",
        86_400,
        "Seconds in which the bot hands the same question over at most DESK_LOOP_LIMIT times; then "
        "it says so and offers a person instead.",
    )
    desk_loop_limit: int = setting(
        "DESK_LOOP_LIMIT", 1, "See DESK_LOOP_S. Who asks for a person gets one.", ge=1, le=100
    )

    def hours(self) -> Hours:
        """When people are at the desk, in the service's time zone."""
        closed, worked = parse_holidays(self.desk_holidays)
        return Hours(parse_hours(self.desk_hours), closed, worked)


class TaskSettings(BaseSettings):
    """Tasks, tools and the peers behind them"""

    task_receive: UrlPath = setting(
        "TASK_RECEIVE", "/api/task/receive", "Path on which Tianwang hands over a task."
    )
    task_status: UrlPath = setting(
        "TASK_STATUS", "/api/task/status", "Path under which Tianwang asks for a task."
    )
    task_cancel: UrlPath = setting(
        "TASK_CANCEL", "/api/task/cancel", "Path on which Tianwang cancels a task."
    )
    task_list: UrlPath = setting(
        "TASK_LIST", "/api/task/list", "Path on which Tianwang lists tasks."
    )
    health: UrlPath = setting("HEALTH", "/api/health", "Path of the health check.")
    tianwang_callback_url: HttpUrl = setting(
        "TIANWANG_CALLBACK_URL", "", "Where Tianwang is told of a task's end; default: nowhere."
    )
    tianwang_callback_secret: SecretStr | None = setting(
        "TIANWANG_CALLBACK_SECRET", None, "Secret that signs those callbacks."
    )
    callback_hours: Annotated[float, Field(ge=24, le=720, allow_inf_nan=False)] = setting(
        "CALLBACK_HOURS", 48, "Hours for which a callback is tried before it is a dead letter."
    )
    task_channel: str = setting(
        "TASK_CHANNEL",
        "",
        "Channel for customers of tasks who have not written yet; default: qingjian where "
        "QINGJIAN_URL is set.",
        pattern=r"^[a-z_]*$",
    )
    task_account: str = setting(
        "TASK_ACCOUNT", "", "Account on that channel, e.g. a shop's acc_id.", max_length=128
    )
    task_late_s: Annotated[float, Field(ge=1, le=31_536_000, allow_inf_nan=False)] = setting(
        "TASK_LATE_S",
        86_400,
        "Seconds after its time in which a time_reach task still fires, e.g. after a standstill; "
        "later it expires.",
    )
    task_backoff_base_s: PositiveSeconds = setting(
        "TASK_BACKOFF_BASE_S", 2, "Wait in seconds before a failed action is tried again; doubles."
    )
    qingjian_url: WebSocketUrl = setting(
        "QINGJIAN_URL", "", "WebSocket of the Qingjian software, ws://…; default: not connected."
    )
    qingjian_mapping_file: ExistingFile = setting(
        "QINGJIAN_MAPPING_FILE",
        None,
        "How its frames are read and written (JSON); default: what the sandbox speaks.",
    )
    tuhui_url: HttpUrl = setting(
        "TUHUI_URL", "", "Tuhui's dispatch API; default: designers' work goes to the human desk."
    )
    tuhui_api_key: SecretStr | None = setting("TUHUI_API_KEY", None, "Key of that API.")
    tuhui_timeout_s: PositiveSeconds = setting(
        "TUHUI_TIMEOUT_S", 10, "Seconds for one call of that API."
    )
    tuhui_sla_s: Seconds = setting(
        "TUHUI_SLA_S",
        1_800,
        "Seconds in which a designer has to accept; then another one gets the task. 0: no limit.",
    )
    tuhui_wait_s: PositiveSeconds = setting(
        "TUHUI_WAIT_S", 30, "Seconds between two looks for a designer while none is online."
    )
    tuhui_skills: Annotated[
        dict[Name, Annotated[tuple[Name, ...], Field(min_length=1)]],
        NoDecode,
        BeforeValidator(skills),
    ] = setting(
        "TUHUI_SKILLS",
        {},
        "What designers do (task types of Tuhui, services of the price book), name=type,type;… or"
        " JSON; who is not named does everything.",
    )
