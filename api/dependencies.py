"""What endpoints are handed."""

from typing import Annotated

from fastapi import Depends, Request

from engine.bootstrap import Kefu
from engine.engine import Engine


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
