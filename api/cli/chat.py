"""`kefu chat`: talk to the graph in the terminal.

The engine runs in this process, or, where a running service has the data folder, that service is
asked over HTTP. Both use the platform surface's channel, so it is one conversation either way.
"""

import contextlib
import io
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import typer
from pydantic import TypeAdapter, ValidationError
from rich.text import Text as Line

from api.cli.console import AsJson, DataDir, output, print_json, settings_for
from api.cli.service import PEER, Answer, client_of
from api.fields import Identifier, Text
from domain.errors import ConfigurationError, KnowledgeError, PeerRejected, PeerUnavailable
from domain.ids import new_message_id
from domain.messages import InboundMessage

if TYPE_CHECKING:
    from engine.bootstrap import Kefu
    from engine.settings import Settings

Ask = Callable[[str], Answer]
CHANNEL, ACCOUNT = "api", "terminal"
ENDS = frozenset({"exit", "quit", "退出"})
HTTP_GRACE_S = 15.0
_TEXT: TypeAdapter[str] = TypeAdapter(Text)
_IDENTIFIER: TypeAdapter[str] = TypeAdapter(Identifier)


def chat(
    once: Annotated[
        str | None, typer.Option(help="Say this, print the answer, end.", show_default=False)
    ] = None,
    customer: Annotated[str, typer.Option(help="Id of the customer who speaks.")] = "terminal",
    explain: Annotated[
        bool, typer.Option("--explain", help="Show nodes, evidence, quote and reasons.")
    ] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Talk to the conversation graph; end with Ctrl-D or `exit`."""
    first = _checked(_TEXT, once, "--once") if once is not None else None
    speaker = _checked(_IDENTIFIER, customer, "--customer")
    settings = settings_for(data_dir)
    show = print_json if as_json else _explained if explain else _plain
    with _connection(settings, speaker) as ask:
        if first is not None:
            show(ask(first))
        else:
            _converse(ask, show)


def _checked(kind: TypeAdapter[str], value: str, option: str) -> str:
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        reason = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise typer.BadParameter(reason, param_hint=option) from None


def _converse(ask: Ask, show: Callable[[Answer], None]) -> None:
    if sys.stdin.isatty():
        typer.echo("直接输入客户的话,Ctrl-D 或 exit 结束。", err=True)
    for line in _lines():
        try:
            text = _TEXT.validate_python(line)
        except ValidationError as error:
            typer.echo(f"({error.errors()[0]['msg']})", err=True)
            continue
        show(ask(text))


def _lines() -> Iterator[str]:
    """What is typed or piped in, until it ends, or until Ctrl-C."""
    prompt = "客户> " if sys.stdin.isatty() else ""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while (line := input(prompt)).strip().lower() not in ENDS:
            if line.strip():
                yield line
        return
    if prompt:
        typer.echo()


# The two ways to the engine


@contextlib.contextmanager
def _connection(settings: "Settings", customer: str) -> Iterator[Ask]:
    from engine.bootstrap import build
    from engine.logs import configure_logging

    configure_logging("WARNING", settings.log_json, secrets=settings.secret_values())
    try:
        kefu = build(settings)
    except ConfigurationError as error:
        if not isinstance(error.__cause__, KnowledgeError):
            raise
        with _over_http(settings, customer, error) as ask:
            yield ask
        return
    with _in_process(kefu, customer) as ask:
        yield ask


@contextlib.contextmanager
def _in_process(kefu: "Kefu", customer: str) -> Iterator[Ask]:
    from anyio.from_thread import start_blocking_portal

    def ask(text: str) -> Answer:
        message = InboundMessage(
            channel=CHANNEL,
            account=ACCOUNT,
            channel_message_id=new_message_id(),
            chat_id=customer,
            sender_id=customer,
            text=text,
            sent_at=time.time(),
        )
        return portal.call(kefu.engine.ask, message)

    with start_blocking_portal() as portal:
        portal.call(_start, kefu)
        try:
            yield ask
        finally:
            portal.call(kefu.stop)


async def _start(kefu: "Kefu") -> None:
    await kefu.start()
    assert kefu.warming is not None
    await kefu.warming


@contextlib.contextmanager
def _over_http(settings: "Settings", customer: str, taken: ConfigurationError) -> Iterator[Ask]:
    """``taken``: raised if no service answers at the address either."""
    client = client_of(settings, settings.sync_deadline_s + HTTP_GRACE_S)

    def ask(text: str) -> Answer:
        message = {"id": new_message_id(), "chat_id": customer, "sender": customer, "content": text}
        return _post(client, {"agent_id": ACCOUNT, "message": message})

    with client:
        try:
            client.get("/api/health").raise_for_status()
        except httpx.HTTPError:
            raise taken from None
        typer.echo(f"数据目录正在使用中,改由运行中的服务回答:{settings.address()}", err=True)
        yield ask


def _post(client: httpx.Client, body: dict[str, Any]) -> Answer:
    try:
        response = client.post("/api/v1/messages", json=body)
    except httpx.HTTPError as error:
        raise PeerUnavailable(PEER, f"no answer ({type(error).__name__})") from error
    if response.status_code == httpx.codes.UNAUTHORIZED:
        raise ConfigurationError("KEFU_API_KEY", "the running service refuses it", "its key")
    if response.is_server_error:
        raise PeerUnavailable(PEER, response.text[:200], status=response.status_code)
    if response.is_error:
        raise PeerRejected(PEER, response.text[:200], status=response.status_code)
    answer: Answer = response.json()
    return answer


# Showing an answer


def _plain(answer: Answer) -> None:
    typer.echo(answer["content"] or f"({answer['action']})")


def _explained(answer: Answer) -> None:
    _plain(answer)
    console = output()
    console.print()
    for label, value in _facts(answer):
        console.print(Line.assemble((f"{label}  ", "cyan"), value))
    for item in answer["evidence"]:
        line = f"{item['score']:.3f} {item['question']}  ({item['source']})"
        console.print(Line.assemble(("依据  ", "green"), line))
    if answer["quote"]:
        for line in _quote_lines(answer["quote"]):
            console.print(Line.assemble(("报价  ", "yellow"), line))
    console.print()


def _facts(answer: Answer) -> Iterator[tuple[str, str]]:
    timings = answer.get("timings_ms") or {}
    nodes = " → ".join(f"{name} {timings.get(name, 0):.1f} ms" for name in answer["nodes"])
    risk = answer["risk"] or {}
    yield "经过", f"{nodes or '-'},共 {answer['latency_ms']} ms"
    yield "动作", f"{answer['action']} ({answer['decision']},来自 {answer['source'] or '-'})"
    yield "置信", f"{answer['confidence']:.3f}"
    yield "意图", f"{answer['intent'] or '-'} {answer.get('intent_confidence', 0):.2f}"
    yield "类型", f"{answer['dialogue_type'] or '-'},情绪 {answer.get('sentiment', '-')}"
    yield "风控", f"{risk.get('outcome', '-')}:{', '.join(risk.get('reasons', ())) or '-'}"
    for call in answer.get("model") or ():
        yield "模型", _call(call)


def _call(call: dict[str, Any]) -> str:
    tokens = f"{call['tokens_in']}+{call['tokens_out']} tokens"
    return f"{call['provider']} {call['model']}:{call['outcome']},{tokens},{call['latency_ms']} ms"


def _quote_lines(quote: dict[str, Any]) -> Iterator[str]:
    for item in quote["items"]:
        yield f"{item['label']} {item['amount']:.2f} 元  ({item['reason']})"
    total = "合计起步价" if quote["estimate"] else "合计"
    yield f"{total} {quote['total']:.2f} 元  ({quote['service_name']})"
