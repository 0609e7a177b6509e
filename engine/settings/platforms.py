"""WeCom and the WeChat official account."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    SecretStr,
)
from pydantic_settings import BaseSettings, NoDecode

from engine.settings.fields import (
    HttpUrl,
    Name,
    listed,
    lower,
    networks,
    order_fields,
    pairs,
    setting,
)


class WecomSettings(BaseSettings):
    """WeCom"""

    wecom_corp_id: str = setting(
        "WECOM_CORP_ID",
        "",
        "WeCom company id; with WECOM_AGENT_SECRET, WeCom is used.",
        max_length=64,
    )
    wecom_agent_id: str = setting("WECOM_AGENT_ID", "", "WeCom application id.")
    wecom_agent_secret: SecretStr | None = setting(
        "WECOM_AGENT_SECRET", None, "WeCom application secret."
    )
    wecom_token: SecretStr | None = setting(
        "WECOM_TOKEN", None, "Token of the WeCom callback, whose address is /wecom/callback."
    )
    wecom_aes_key: SecretStr | None = setting(
        "WECOM_AES_KEY WECOM_AES_KEY WECOM_ENCODING_AES_KEY",
        None,
        "EncodingAESKey of the WeCom callback.",
    )
    wecom_api_base: HttpUrl = setting(
        "WECOM_API_BASE",
        "https://qyapi.weixin.qq.com/cgi-bin",
        "WeCom's API, up to and with /cgi-bin.",
    )
    wecom_kf_accounts: Annotated[tuple[Name, ...], NoDecode, BeforeValidator(listed)] = setting(
        "WECOM_KF_ACCOUNTS",
        (),
        "Accounts of WeChat customer service (open_kfid) to serve, with commas between them; "
        "default: all of the application's.",
    )
    wecom_kf_hand_over: Annotated[Literal["auto", "pool", "desk"], BeforeValidator(lower)] = (
        setting(
            "WECOM_KF_HAND_OVER",
            "auto",
            "Where a customer of WeChat customer service waits for a person: pool is the account's "
            "waiting pool, in which servicers answer with the WeCom client and the bot keeps quiet "
            "until they end the session; desk is the human desk here; auto is the desk once it has "
            "an agent, else the pool. What the pool refuses stays with the desk.",
        )
    )
    wecom_kf_servicers: Annotated[tuple[Name, ...], NoDecode, BeforeValidator(listed)] = setting(
        "WECOM_KF_SERVICERS",
        (),
        "Servicers (userid) who get such a customer at once, the first of them who receives, with "
        "commas between them; default: whoever takes them from the pool.",
    )
    wecom_welcome_name: str = setting(
        "WECOM_WELCOME_NAME",
        "本店",
        "What a customer who adds a member is welcomed to, e.g. the company's name.",
        min_length=1,
        max_length=64,
    )
    wecom_new_customer_tag: str = setting(
        "WECOM_NEW_CUSTOMER_TAG",
        "新客户",
        "Company tag of customers who add a member; made where there is none. Empty: none.",
        max_length=30,
    )
    wecom_app_messages: bool = setting(
        "WECOM_APP_MESSAGES",
        False,
        "Whether members who write to the application WECOM_AGENT_ID are answered.",
    )
    wecom_callback_ips: Annotated[
        tuple[Name, ...], NoDecode, BeforeValidator(listed), AfterValidator(networks)
    ] = setting(
        "WECOM_CALLBACK_IPS",
        (),
        "From where callbacks of WeCom are taken, with commas between them: addresses, ranges as "
        "101.226.103.0/24 or 1.2.3.*; default: from everywhere, the signature decides. "
        "kefu doctor --online shows WeCom's own list, which is not always whole.",
    )


class WechatSettings(BaseSettings):
    """WeChat official account"""

    wechat_token: SecretStr | None = setting(
        "WECHAT_TOKEN",
        None,
        "Token of the callback, whose address is /api/wechat; with APPID, the account is served.",
    )
    appid: str = setting("APPID", "", "Id of the official account.", max_length=64)
    appsecret: SecretStr | None = setting(
        "APPSECRET",
        None,
        "Secret of the official account. Without it only the response to a message can carry an "
        "answer: one that takes longer than 15 s is given to the customer's next message.",
    )
    wechat_aes_key: SecretStr | None = setting(
        "WECHAT_AES_KEY WECHAT_AES_KEY WECHAT_ENCODING_AES_KEY",
        None,
        "EncodingAESKey of the callback.",
    )
    wechat_mode: Annotated[
        Literal["auto", "plain", "compatible", "safe"], BeforeValidator(lower)
    ] = setting(
        "WECHAT_MODE",
        "auto",
        "Which callbacks are taken: plain, safe (encrypted) or compatible (either); auto is safe "
        "where WECHAT_AES_KEY is set, else plain.",
    )
    wechat_api_base: HttpUrl = setting(
        "WECHAT_API_BASE", "https://api.weixin.qq.com", "The official account's API."
    )
    wechat_reply_s: float = setting(
        "WECHAT_REPLY_S",
        4.5,
        "Seconds after a message within which its response may carry the answer; the platform "
        "hangs up after 5. Later answers are sent as customer-service messages.",
        gt=0,
        le=4.8,
    )
    wechat_quota: int = setting(
        "WECHAT_QUOTA",
        5,
        "Customer-service messages that the platform allows within 48 hours after a message.",
        ge=1,
        le=1_000,
    )
    wechat_order_template: str = setting(
        "WECHAT_ORDER_TEMPLATE",
        "",
        "Id of a template message that tells the customer of a delivered order; empty: none is "
        "sent.",
        max_length=128,
    )
    wechat_order_fields: Annotated[
        dict[str, str], NoDecode, BeforeValidator(pairs), AfterValidator(order_fields)
    ] = setting(
        "WECHAT_ORDER_FIELDS",
        {},
        "Which fields of that template show order, service, status and time; default: "
        "order=keyword1,service=keyword2,status=keyword3,time=keyword4.",
    )


@dataclass(frozen=True, slots=True)
class WecomIdentity:
    corp_id: str
    agent_id: str
    token: str
    aes_key: str


SANDBOX_WECOM = WecomIdentity(
    "wwsandbox00000001",
    "1000002",
    "sandboxcallback",
    "sandboxsandboxsandboxsandboxsandboxsandboxt",
)
"""Who the simulated WeCom takes us for: nothing of it is a secret."""


@dataclass(frozen=True, slots=True)
class WechatIdentity:
    app_id: str
    token: str
    aes_key: str


SANDBOX_WECHAT = WechatIdentity(
    "wxsandbox00000001",
    "sandboxaccount",
    "accountaccountaccountaccountaccountaccountt",
)
"""The simulated official account: nothing of it is a secret."""
