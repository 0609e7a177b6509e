"""What endpoints are handed."""

from typing import Annotated

from fastapi import Depends, Request

from engine.bootstrap import Kefu
from engine.engine import Engine
from tools.registry import Caller, NotAllowed, Role


async def the_kefu(request: Request) -> Kefu:
    kefu: Kefu = request.app.state.kefu
    return kefu


async def the_engine(request: Request) -> Engine:
    kefu: Kefu = request.app.state.kefu
    return kefu.engine


TheKefu = Annotated[Kefu, Depends(the_kefu)]
TheEngine = Annotated[Engine, Depends(the_engine)]


async def the_actor(request: Request) -> str:
    """Who acts, as the guard knows them."""
    actor: str = request.state.actor
    return actor


TheActor = Annotated[str, Depends(the_actor)]


async def the_caller(request: Request) -> Caller:
    """Who calls and what they may do, as the guard knows them."""
    caller: Caller = request.state.caller
    return caller


TheCaller = Annotated[Caller, Depends(the_caller)]


def own_account(caller: Caller, agent_id: str) -> None:
    """Nobody but an administrator speaks for an account that is not theirs. Raises NotAllowed."""
    if caller.role is not Role.ADMIN and caller.name != agent_id:
        raise NotAllowed("agent_id", f"令牌属于 {caller.name!r}，不能代表 {agent_id!r}")
