"""`kefu doctor`: is everything there that the service needs, and what to do where it is not."""

import asyncio
import contextlib
import os
import platform
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import httpx
import typer

from api.cli.console import AsJson, DataDir, output, print_json, settings_for
from api.cli.doctor_access import check_access
from api.cli.doctor_desk import check_desk
from api.cli.doctor_notices import check_notices, notice_addresses
from api.cli.doctor_protection import check_protection
from api.cli.doctor_scaling import check_processes
from api.cli.doctor_wx import check_wechat, check_wechat_online, check_wecom, check_wecom_online
from api.cli.findings import Finding, State
from domain.errors import ConfigurationError, KnowledgeError, PeerError

if TYPE_CHECKING:
    from engine.knowledge import IndexState
    from engine.settings import Settings
    from tools.models.providers import ProviderConfig

CONNECT_S = 3.0
DISTRIBUTION = "kefu-graph"
FILL = "导入知识:kefu kb import PATH,或 kefu kb import --samples"
PROBE = "Reply with the single word: ok"
PROBE_TOKENS = 16
_EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - what to listen on, nobody's address
RERANK_PROBE = ("怎么申请退货", ("退货怎么申请\n在订单里点申请退货。", "今天天气晴,气温 20 度。"))
"""A query, what answers it, and what does not."""


MARKS = {
    State.OK: ("正常", "green"),
    State.NOTE: ("注意", "yellow"),
    State.FAULT: ("故障", "bold red"),
}


def doctor(
    online: Annotated[
        bool,
        typer.Option(
            "--online",
            help="Really ask every model provider for a few tokens, WeCom and WeChat too.",
        ),
    ] = False,
    list_settings: Annotated[
        bool, typer.Option("--settings", help="Print all settings with default and meaning.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Check settings, storage, index, providers and peers; exit code 1 if there is a fault."""
    if list_settings:
        _show_settings(as_json=as_json)
        return
    findings = list(examine(data_dir, online=online))
    faults = sum(finding.state is State.FAULT for finding in findings)
    if as_json:
        print_json({"ok": not faults, "findings": [asdict(finding) for finding in findings]})
    else:
        _show(findings, faults)
    raise typer.Exit(1 if faults else 0)


def examine(data_dir: Path | None, *, online: bool) -> Iterator[Finding]:
    """Everything that can be said; after unusable settings only what needs none."""
    yield from check_packages()
    try:
        settings = settings_for(data_dir)
    except ConfigurationError as error:
        remedy = f"改正 {error.variable};全部设置见 kefu doctor --settings"
        yield Finding("settings", State.FAULT, str(error), remedy)
        return
    yield from check_settings(settings)
    yield check_data_folder(settings)
    yield check_database(settings)
    yield from check_processes(settings)
    yield from check_index(settings)
    yield from check_providers(settings, online=online)
    yield from check_reranker(settings, online=online)
    yield from check_peers(settings)
    yield from check_orders(settings)
    yield from check_protection(settings)
    yield from check_access(settings)
    yield from check_desk(settings)
    yield from check_notices(settings, online=online)
    yield from check_wecom(settings)
    yield from check_wecom_online(settings, online=online)
    yield from check_wechat(settings)
    yield from check_wechat_online(settings, online=online)
    yield check_port(settings)


# Program


def check_packages() -> Iterator[Finding]:
    """Python's version, and each package against what the distribution asks for."""
    yield Finding("python", State.OK, f"{platform.python_version()} ({sys.executable})")
    try:
        needed = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        yield Finding("packages", State.FAULT, f"未安装 {DISTRIBUTION}", "运行 make setup")
        return
    problems, versions = _compare(needed)
    if problems:
        yield Finding("packages", State.FAULT, "; ".join(problems), "运行 make setup")
    else:
        yield Finding("packages", State.OK, ", ".join(versions))


def _compare(needed: list[str]) -> tuple[list[str], list[str]]:
    from packaging.requirements import Requirement

    problems: list[str] = []
    versions: list[str] = []
    for wanted in map(Requirement, needed):
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            found = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            problems.append(f"缺少 {wanted.name}")
            continue
        versions.append(f"{wanted.name} {found}")
        if not wanted.specifier.contains(found, prereleases=True):
            problems.append(f"{wanted.name} {found} 不满足 {wanted.specifier}")
    return problems, versions


def check_settings(settings: "Settings") -> Iterator[Finding]:
    yield Finding("settings", State.OK, f"已读取,日志级别 {settings.effective_log_level()}")
    idle = settings.without_effect()
    if idle:
        names = ", ".join(idle)
        yield Finding("settings", State.NOTE, f"此版本不使用:{names}", "可以保留,也可以删除")


# Storage


def check_data_folder(settings: "Settings") -> Finding:
    from knowledge.lock import FolderLock

    folder = settings.data_dir.expanduser()
    if not folder.exists():
        return Finding("data", State.OK, f"{folder} 尚不存在,首次启动时创建")
    try:
        FolderLock(folder).release()
    except KnowledgeError as error:
        return Finding("data", State.OK, f"{folder} 正在使用中({error.reason.partition(';')[0]})")
    except OSError as error:
        remedy = "改用可写的目录(KEFU_DATA_DIR 或 --data-dir),或修正权限"
        return Finding("data", State.FAULT, f"{folder}:{error.strerror}", remedy)
    return Finding("data", State.OK, f"{folder.resolve()} 可写")


def check_database(settings: "Settings") -> Finding:
    """Looks without migrating, so that it can be run beside any version of the service."""
    dsn = settings.database_dsn()
    file = Path(dsn.removeprefix("sqlite:///")) if dsn.startswith("sqlite:///") else None
    if file is not None and not file.exists():
        return Finding("database", State.OK, f"{file} 尚不存在,首次启动时创建")
    shown = str(file) if file else f"PostgreSQL {urlsplit(dsn).hostname}"
    try:
        revision = _revision(dsn)
    except Exception as error:  # whatever the driver says, the operator must act
        remedy = "检查 DATABASE_URL、数据库是否启动、账号与权限"
        return Finding("database", State.FAULT, f"{shown}:{_first_line(error)}", remedy)
    return _judge_revision(shown, revision)


def _revision(dsn: str) -> str | None:
    from sqlalchemy import create_engine

    from storage.database import normalise_url
    from storage.migrate import current_revision

    url = normalise_url(dsn)
    waiting = {"timeout" if url.startswith("sqlite") else "connect_timeout": int(CONNECT_S)}
    engine = create_engine(url, connect_args=waiting)
    try:
        with engine.connect() as connection:
            return current_revision(connection)
    finally:
        engine.dispose()


def _judge_revision(shown: str, revision: str | None) -> Finding:
    from storage.migrate import HEAD

    if revision == HEAD:
        return Finding("database", State.OK, f"{shown},结构版本 {revision}")
    if revision is None or revision < HEAD:
        detail = f"{shown},结构版本 {revision or '无'},程序需要 {HEAD}"
        return Finding("database", State.NOTE, detail, "下次启动 kefu serve 时自动升级;先备份")
    detail = f"{shown} 的结构版本 {revision} 比程序的 {HEAD} 新"
    return Finding("database", State.FAULT, detail, "升级程序,或恢复旧版本的备份")


def check_index(settings: "Settings") -> Iterator[Finding]:
    """The knowledge, its index, and the model that ranks; nothing is migrated or written."""
    from engine.knowledge import index_state
    from storage.database import Database

    dsn = settings.database_dsn()
    file = Path(dsn.removeprefix("sqlite:///")) if dsn.startswith("sqlite:///") else None
    if file is not None and not file.exists():
        yield Finding("index", State.NOTE, "还没有知识,问题会转人工", FILL)
        return
    if not _has_schema(dsn):
        return
    database = Database(dsn)
    try:
        state = index_state(settings, database)
    except KnowledgeError as error:
        remedy = "启动 kefu serve 时会按数据库自动重建;若仍失败,检查数据目录的权限"
        yield Finding("index", State.FAULT, str(error), remedy)
        return
    finally:
        database.close()
    yield _judge_index(state)
    model = f"第 {state.model_version} 版" if state.model_version else "出厂模型"
    yield Finding("model", State.OK, f"检索排序使用{model}")


def _has_schema(dsn: str) -> bool:
    """`check_database` says what is wrong where this is False."""
    from storage.migrate import HEAD

    try:
        return _revision(dsn) == HEAD
    except Exception:
        return False


def _judge_index(state: "IndexState") -> Finding:
    if not state.entries:
        return Finding("index", State.NOTE, "知识库是空的,问题会转人工", FILL)
    name = f"{state.embedder['name']} {state.embedder['version']}"
    follow = "运行 kefu serve 或 kefu kb rebuild,索引会自动跟上"
    if state.stored is None:
        return Finding("index", State.NOTE, f"{state.entries} 条知识,还没有索引", follow)
    if dict(state.stored) != dict(state.embedder):
        made_by = f"{state.stored.get('name')} {state.stored.get('version')}"
        detail = f"{state.entries} 条知识;向量由 {made_by} 生成,现在使用 {name}"
        return Finding("index", State.NOTE, detail, "下次启动时自动重算向量;或 kefu kb rebuild")
    lag = state.newest - state.revision
    if lag:
        detail = f"{state.entries} 条知识,索引还差 {abs(lag)} 个修订(已索引 {state.indexed} 条)"
        return Finding("index", State.NOTE, detail, follow)
    return Finding(
        "index", State.OK, f"{state.entries} 条知识,修订 {state.newest} 已全部索引,向量 {name}"
    )


# Models and peers


def check_providers(settings: "Settings", *, online: bool) -> Iterator[Finding]:
    from engine.bootstrap import provider_configs

    try:
        configs = provider_configs(settings)
    except ConfigurationError as error:
        yield Finding("models", State.FAULT, str(error), f"设置 {error.variable}")
        return
    if not configs:
        yield Finding("models", State.OK, "未配置模型:由规则、分类器和知识库回答")
    elif not online:
        names = ", ".join(f"{config.name} ({config.model})" for config in configs)
        yield Finding("models", State.OK, f"按顺序:{names};加 --online 实际询问")
    else:
        yield from asyncio.run(_ask_all(configs, settings.model_deadline_s))


async def _ask_all(configs: "list[ProviderConfig]", deadline: float) -> list[Finding]:
    return await asyncio.gather(*(_ask_provider(config, deadline) for config in configs))


async def _ask_provider(config: "ProviderConfig", deadline: float) -> Finding:
    """A gateway of its own for each, so that none is skipped because another answered."""
    from tools.models.calls import ChatMessage
    from tools.models.errors import ModelsExhausted
    from tools.models.gateway import ModelGateway

    part = f"models/{config.name}"
    gateway = ModelGateway([config], attempt_timeout=config.timeout_s)
    try:
        # Importing an SDK takes seconds, which are not the provider's.
        await gateway.warm()
        answer = await gateway.generate(
            [ChatMessage("user", PROBE)],
            purpose="doctor",
            deadline=deadline,
            max_tokens=PROBE_TOKENS,
        )
    except ModelsExhausted as error:
        remedy = f"检查 {config.name} 的密钥、地址、模型名与余额"
        return Finding(part, State.FAULT, str(error), remedy)
    finally:
        await gateway.aclose()
    call = answer.calls[-1]
    tokens = f"{call.tokens_in}+{call.tokens_out} tokens"
    return Finding(part, State.OK, f"{config.model} 已回答,{call.latency_ms:.0f} ms,{tokens}")


def check_reranker(settings: "Settings", *, online: bool) -> Iterator[Finding]:
    if not settings.rerank_url:
        return
    reached = _check_peer("rerank", "KEFU_RERANK_URL", settings.rerank_url)
    if reached.state is State.OK and online:
        reached = asyncio.run(_ask_reranker(settings))
    yield reached


async def _ask_reranker(settings: "Settings") -> Finding:
    from engine.knowledge import build_reranker

    part, remedy = "peer/rerank", "检查 KEFU_RERANK_URL、KEFU_RERANK_MODEL 与密钥"
    reranker = build_reranker(settings)
    assert reranker is not None
    began = time.perf_counter()
    try:
        right, wrong = await reranker.ask(*RERANK_PROBE)
    except PeerError as error:
        return Finding(part, State.FAULT, str(error), remedy)
    finally:
        await reranker.aclose()
    took = f"{settings.rerank_model} 已回答,{(time.perf_counter() - began) * 1000:.0f} ms"
    if right <= wrong:
        detail = f"{took},但把不相关的文本排在前面({right:.2f} 与 {wrong:.2f})"
        return Finding(part, State.NOTE, detail, "换一个支持中文的重排模型")
    return Finding(part, State.OK, took)


def check_peers(settings: "Settings") -> Iterator[Finding]:
    """Whether something listens; nothing is sent, since every request to a peer has effects."""
    notice, robot = settings.staff_notice_url, settings.wecom_robot_url
    peers = (
        ("webhook", "KEFU_WEBHOOK_URL", settings.webhook_url),
        ("staff", "KEFU_STAFF_NOTICE_URL", notice.get_secret_value() if notice else ""),
        ("wecom", "WECOM_ROBOT_URL", robot.get_secret_value() if robot else ""),
        ("tianwang", "TIANWANG_CALLBACK_URL", settings.tianwang_callback_url),
        ("qingjian", "QINGJIAN_URL", settings.qingjian_url),
        ("wecom_api", "WECOM_API_BASE", settings.wecom_api_base if settings.wecom_corp_id else ""),
        ("wechat_api", "WECHAT_API_BASE", settings.wechat_api_base if settings.appsecret else ""),
        ("tuhui", "TUHUI_URL", settings.tuhui_url),
        ("images", "KEFU_IMAGES_URL", settings.images_url),
        ("image_search", "KEFU_IMAGE_SEARCH_URL", settings.image_search_url),
        ("sandbox", "KEFU_SANDBOX_URL", settings.sandbox_url),
        *notice_addresses(settings),
    )
    for name, variable, url in peers:
        if url:
            yield _check_peer(name, variable, url)
    yield from check_callbacks(settings)
    yield from check_mapping(settings)


def check_orders(settings: "Settings") -> Iterator[Finding]:
    """Who does the work on pictures, and whether customers can open what is sent to them."""
    from engine.settings import is_loopback

    library = settings.picture_library
    finders = [f"图库 {library}"] if library else []
    finders += ["找图服务"] if settings.image_search_url else []
    images = f"{settings.images_model},不成则" if settings.images_url else ""
    designers = "图绘派单" if settings.tuhui_url else "人工台"
    found = "、".join(finders) or "无(转设计师)"
    detail = f"找图:{found};处理:{images}本地处理;设计师:{designers}"
    yield Finding("orders", State.OK, detail)
    if library is not None and not os.access(library, os.R_OK | os.X_OK):
        remedy = "修正该目录的权限,或改 KEFU_PICTURE_LIBRARY"
        yield Finding("library", State.FAULT, f"{library} 不能读取", remedy)
    host = urlsplit(settings.address()).hostname or ""
    is_here = is_loopback(host) or host in _EVERY_ADDRESS
    if settings.webhook_url and not settings.sandbox_url and is_here:
        detail = f"发给客户的图片地址以 {settings.address()} 开头,别的机器打不开"
        yield Finding("pictures", State.NOTE, detail, "把 KEFU_PUBLIC_URL 设为对外的地址")
    if settings.secret_key is None and settings.database_dsn().startswith("postgresql"):
        detail = "未设置 KEFU_SECRET_KEY,图片地址只在签发它的数据目录有效"
        yield Finding("links", State.NOTE, detail, "多个进程或多台机器时设置同一个 KEFU_SECRET_KEY")


def check_callbacks(settings: "Settings") -> Iterator[Finding]:
    """Seed 000's own example has the service call itself back."""
    url, name = settings.tianwang_callback_url, "callbacks"
    if not url:
        return
    parts = urlsplit(url)
    if parts.port == settings.port and parts.hostname in {settings.host, "localhost", "127.0.0.1"}:
        detail = "TIANWANG_CALLBACK_URL 指向本服务自己,回调不会送达天网"
        yield Finding(name, State.FAULT, detail, "改为天网服务器接收回调的地址")
    if settings.tianwang_callback_secret is None:
        detail = "未设置 TIANWANG_CALLBACK_SECRET,回调不带签名"
        yield Finding(name, State.NOTE, detail, "与天网约定密钥并在两边设置")


def check_mapping(settings: "Settings") -> Iterator[Finding]:
    from tools.qingjian.mapping import load_mapping

    if settings.qingjian_mapping_file is None:
        return
    try:
        load_mapping(settings.qingjian_mapping_file)
    except ConfigurationError as error:
        yield Finding("qingjian", State.FAULT, str(error), "按 docs/qingjian.md 改正映射文件")


def _check_peer(name: str, variable: str, url: str) -> Finding:
    """Only the host is shown: paths of such addresses may be keys."""
    parts = urlsplit(url)
    host, port = (
        parts.hostname or "",
        parts.port or (443 if parts.scheme in {"https", "wss"} else 80),
    )
    try:
        socket.create_connection((host, port), CONNECT_S).close()
    except OSError as error:
        detail = f"{host}:{port} 连接不上({error.strerror or type(error).__name__})"
        return Finding(f"peer/{name}", State.FAULT, detail, f"检查 {variable} 与网络")
    return Finding(f"peer/{name}", State.OK, f"{host}:{port} 可以连接")


def check_port(settings: "Settings") -> Finding:
    where = f"{settings.host}:{settings.port}"
    problem = _bind_problem(settings.host, settings.port)
    if problem is None:
        return Finding("port", State.OK, f"{where} 空闲")
    if _is_ours(settings):
        return Finding("port", State.OK, f"{where} 上已有 Kefu Graph 在运行")
    remedy = "停止占用它的程序,或用 KEFU_PORT 换一个端口"
    return Finding("port", State.FAULT, f"{where} 不能使用({problem})", remedy)


def _bind_problem(host: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or type(error).__name__
    return None


def _is_ours(settings: "Settings") -> bool:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    with contextlib.suppress(httpx.HTTPError, ValueError):
        url = f"http://{host}:{settings.port}/health"
        body = httpx.get(url, timeout=CONNECT_S, trust_env=False).json()
        return isinstance(body, dict) and body.get("service") == DISTRIBUTION
    return False


def _first_line(error: Exception) -> str:
    """The driver's own words, without SQLAlchemy's link; a password is never among them."""
    cause = getattr(error, "orig", None) or error
    text = str(cause).strip() or type(cause).__name__
    return text.splitlines()[0]


# Showing


def _show(findings: list[Finding], faults: int) -> None:
    from rich.text import Text

    console = output()
    for finding in findings:
        word, style = MARKS[finding.state]
        line = Text.assemble((word, style), f"  {finding.part:<12} {finding.detail}")
        console.print(line)
        if finding.remedy:
            console.print(f"      {'':<12} → {finding.remedy}")
    notes = sum(finding.state is State.NOTE for finding in findings)
    console.print(f"{faults} 处故障,{notes} 处注意")


def _show_settings(*, as_json: bool) -> None:
    from engine.settings import describe_settings

    docs = describe_settings()
    if as_json:
        print_json([asdict(doc) for doc in docs])
        return
    console = output()
    for doc in docs:
        others = f" (也读 {', '.join(doc.aliases)})" if doc.aliases else ""
        default = f" = {doc.default}" if doc.default else ""
        console.print(f"{doc.name}{default}{others}")
        console.print(f"    {doc.meaning}{' [secret]' if doc.secret else ''}")
