"""`kefu client`: who may report messages. On the database itself, so without a service too."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from api.cli.console import AsJson, DataDir, output, print_json
from api.cli.records import with_records

if TYPE_CHECKING:
    from engine.clients.clients import Clients, NewKey
    from storage.clients import Listed

T = TypeVar("T")
BY = "kefu client"
"""In the audit log."""
RoleName = Literal["agent", "admin", "viewer"]
AgentId = Annotated[str, typer.Argument(help="The client's agent_id.")]
MAX_LISTED = 100_000

client = typer.Typer(help="Clients that report messages.", no_args_is_help=True)


@client.command()
def add(
    agent_id: AgentId,
    name: Annotated[str, typer.Option(help="As staff sees it.")] = "",
    role: Annotated[RoleName, typer.Option(help="agent, admin or viewer.")] = "agent",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Add a client and print its key, which is shown this once."""
    from pydantic import TypeAdapter, ValidationError

    from api.fields import Identifier, Name
    from domain.clients import ClientRole

    try:
        usable = TypeAdapter(Identifier).validate_python(agent_id)
        called = TypeAdapter(Name).validate_python(name)
    except ValidationError as error:
        raise typer.BadParameter(error.errors()[0]["msg"]) from None

    async def work(clients: "Clients") -> "NewKey":
        return await clients.add(usable, name=called, role=ClientRole(role), by=BY)

    _say_key(_with_clients(data_dir, work), as_json)


@client.command("list")
def list_(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """All clients, with their keys and whether they are there."""
    from api.clients.endpoints import shown
    from engine.clients.clients import ClientPolicy

    async def work(clients: "Clients") -> "tuple[list[Listed], ClientPolicy]":
        found, _ = await clients.listed(limit=MAX_LISTED, offset=0)
        return found, clients.policy

    found, policy = _with_clients(data_dir, work)
    items = [shown(one, policy) for one in found]
    if as_json:
        print_json({"items": items})
        return
    if not items:
        typer.echo("还没有客户端。添加一个:kefu client add AGENT_ID")
        return
    console = output()
    for item in items:
        state = item["state"] if item["enabled"] else "disabled"
        keys = " ".join(f"{key['id']}:{key['prefix']}…({key['state']})" for key in item["keys"])
        seen = item["last_seen_at"] or "-"
        console.print(f"{item['agent_id']}  {item['name']}  {item['role']} {state} {seen}  {keys}")


@client.command()
def rotate(
    agent_id: AgentId,
    overlap_hours: Annotated[
        float | None,
        typer.Option(min=0, max=8_784, help="The old keys go on; CLIENT_KEY_OVERLAP_HOURS."),
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """A new key beside the old ones, which end by themselves; shown this once."""
    overlap_s = None if overlap_hours is None else overlap_hours * 3_600

    async def work(clients: "Clients") -> "NewKey":
        return await clients.rotate(agent_id, by=BY, overlap_s=overlap_s)

    _say_key(_with_clients(data_dir, work), as_json)


@client.command()
def revoke(
    agent_id: AgentId,
    key: Annotated[int | None, typer.Option(help="The key's number; default: all.")] = None,
    data_dir: DataDir = None,
) -> None:
    """End keys, and the tokens that were issued for them, at once."""

    async def work(clients: "Clients") -> int:
        return await clients.revoke(agent_id, key, by=BY)

    typer.echo(f"已吊销 {_with_clients(data_dir, work)} 个密钥")


@client.command()
def disable(agent_id: AgentId, data_dir: DataDir = None) -> None:
    """It cannot sign in any more, and its tokens end at once."""
    _change(data_dir, agent_id, enabled=False)
    typer.echo(f"已停用 {agent_id}")


@client.command()
def enable(agent_id: AgentId, data_dir: DataDir = None) -> None:
    """It may sign in again, with the keys that it has."""
    _change(data_dir, agent_id, enabled=True)
    typer.echo(f"已启用 {agent_id}")


def _change(data_dir: DataDir, agent_id: str, *, enabled: bool) -> None:
    async def work(clients: "Clients") -> "Listed":
        return await clients.change(agent_id, by=BY, enabled=enabled)

    _with_clients(data_dir, work)


def _say_key(made: "NewKey", as_json: bool) -> None:
    if as_json:
        said = {"agent_id": made.client.agent_id, "key_id": made.id, "api_key": made.text}
        print_json(said)
        return
    typer.echo(f"客户端 {made.client.agent_id} 的新密钥(只显示这一次):", err=True)
    typer.echo(made.text)


def _with_clients(data_dir: DataDir, work: "Callable[[Clients], Awaitable[T]]") -> T:
    from engine.clients.build import client_records

    return with_records(data_dir, client_records, work)
