"""`kefu agent`: who answers at the human desk. On the database itself, so without a service too."""

import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from api.cli.console import AsJson, DataDir, output, print_json
from api.cli.records import with_records

if TYPE_CHECKING:
    from domain.desk import Agent
    from engine.desk.people import People

T = TypeVar("T")
RoleName = Literal["agent", "admin", "viewer"]
Login = Annotated[str, typer.Argument(help="The login: a-z, 0-9, _ . -")]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]
Skills = Annotated[
    list[str] | None, typer.Option("--skill", help="What they know; may be repeated.")
]
Scopes = Annotated[
    list[str] | None,
    typer.Option("--scope", help="*, CHANNEL or CHANNEL:ACCOUNT; may be repeated. Default: *."),
]

agent = typer.Typer(help="Agents of the human desk.", no_args_is_help=True)


@agent.command()
def add(
    login: Login,
    name: Annotated[str, typer.Option(help="As customers' colleagues see it.")] = "",
    role: Annotated[RoleName, typer.Option(help="agent, admin or viewer.")] = "agent",
    skill: Skills = None,
    scope: Scopes = None,
    max_load: Annotated[
        int | None, typer.Option(min=1, max=1_000, help="Customers at once; DESK_MAX_LOAD.")
    ] = None,
    password_stdin: FromStdin = False,
    data_dir: DataDir = None,
) -> None:
    """Add an agent; asks for the password."""
    password = _password(from_stdin=password_stdin)

    async def work(people: "People") -> "Agent":
        if await people.agent(login) is not None:
            raise typer.BadParameter(f"{login!r} 已存在,改密码用 kefu agent password")
        return await people.put_agent(
            people.local_admin(),
            login,
            name=name or None,
            role=role,
            skills=skill,
            scopes=scope,
            max_load=max_load,
            password=password,
        )

    made = _with_people(data_dir, work)
    typer.echo(f"已添加 {made.id}({made.name}),角色 {made.role},范围 {'、'.join(made.scopes)}")


@agent.command("list")
def list_(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """All agents, with what they may see and how many conversations they have."""

    async def work(people: "People") -> "list[Agent]":
        return await people.agents(people.local_admin())

    found = _with_people(data_dir, work)
    if as_json:
        print_json({"items": [asdict(one) for one in found]})
        return
    if not found:
        typer.echo("还没有坐席。添加一位:kefu agent add LOGIN --role admin")
        return
    console = output()
    for one in found:
        state = one.status.value if one.enabled else "disabled"
        about = f"{one.role} {state} {one.load}/{one.max_load} {' '.join(one.scopes)}"
        skills = f" [{'、'.join(one.skills)}]" if one.skills else ""
        console.print(f"{one.id}  {one.name}  {about}{skills}")


@agent.command()
def disable(login: Login, data_dir: DataDir = None) -> None:
    """They are signed out at once; what they had goes back to the queue."""
    _change(data_dir, login, enabled=False)
    typer.echo(f"已停用 {login}")


@agent.command()
def enable(login: Login, data_dir: DataDir = None) -> None:
    """They may sign in again."""
    _change(data_dir, login, enabled=True)
    typer.echo(f"已启用 {login}")


@agent.command()
def password(login: Login, password_stdin: FromStdin = False, data_dir: DataDir = None) -> None:
    """Set another password; asks for it. All their sessions end."""
    given = _password(from_stdin=password_stdin)
    _change(data_dir, login, password=given)
    typer.echo(f"已更换 {login} 的密码,已登录的会话全部退出")


def _change(
    data_dir: DataDir, login: str, *, enabled: bool | None = None, password: str | None = None
) -> None:
    async def work(people: "People") -> "Agent":
        if await people.agent(login) is None:
            raise typer.BadParameter(f"没有坐席 {login!r}")
        return await people.put_agent(
            people.local_admin(), login, enabled=enabled, password=password
        )

    _with_people(data_dir, work)


def _password(*, from_stdin: bool) -> str:
    """Never an argument: a command line can be read by everybody on the machine."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(typer.prompt("密码", hide_input=True, confirmation_prompt="再输入一次"))


def _with_people(data_dir: DataDir, work: "Callable[[People], Awaitable[T]]") -> T:
    from engine.desk.build import staff_records

    return with_records(data_dir, staff_records, work)
