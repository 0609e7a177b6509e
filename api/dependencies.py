"""What endpoints are handed."""

from typing import Annotated

from fastapi import Depends, Request

from engine.bootstrap import Kefu
from engine.engine import Engine
from tools.registry import Caller


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
