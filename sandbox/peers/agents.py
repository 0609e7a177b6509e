"""Agents at the service's human desk: robots that work there with a login of theirs."""

import asyncio
from typing import Any, ClassVar

from fastapi import HTTPException

from sandbox.agents import Hiring, Robot
from sandbox.peer import Peer, Sandbox

MAX_ROBOTS = 200


class AgentsPeer(Peer):
    name = "agents"
    title = "人工客服机器人"
    summary = (
        "用客服账号登录人工台:answer 接待并回复,idle 在线不理人,leave 回复一句后离开,"
        "collide 与同事抢同一个会话。"
    )
    links: ClassVar[tuple[tuple[str, str], ...]] = (("机器人", "/_sandbox/agents/robots"),)

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self._robots: dict[str, Robot] = {}
        self._work: dict[str, asyncio.Task[None]] = {}
        add = self.admin.add_api_route
        add("/robots", self.hire, methods=["POST"], status_code=201)
        add("/robots", self.robots, methods=["GET"])
        add("/robots/{login}", self.robot, methods=["GET"])
        add("/robots/{login}", self.fire, methods=["DELETE"])

    async def hire(self, hiring: Hiring) -> dict[str, Any]:
        """It signs in with this login and begins; the same login again is another habit of it."""
        if hiring.login not in self._robots and len(self._robots) >= MAX_ROBOTS:
            raise HTTPException(422, f"at most {MAX_ROBOTS} robots")
        await self._dismiss(hiring.login)
        robot = Robot(hiring, lambda: self.sandbox.target, self.sandbox.changes.notify)
        self._robots[hiring.login] = robot
        self._work[hiring.login] = asyncio.create_task(robot.work(), name=f"robot {hiring.login}")
        return robot.shown()

    async def robots(self) -> dict[str, Any]:
        return {"robots": [robot.shown() for robot in self._robots.values()]}

    async def robot(
        self, login: str, did: str = "", at_least: int = 1, wait: float = 0.0
    ) -> dict[str, Any]:
        """What it did; may wait until it did ``did`` so often."""
        robot = self._known(login)
        if did:
            await self.sandbox.changes.until(lambda: robot.done[did] >= at_least, wait)
        return robot.shown()

    async def fire(self, login: str) -> dict[str, Any]:
        """It is gone without signing out, as when a browser crashes."""
        robot = self._known(login)
        await self._dismiss(login)
        return robot.shown()

    def _known(self, login: str) -> Robot:
        robot = self._robots.get(login)
        if robot is None:
            raise HTTPException(404, f"robot {login!r} is not hired")
        return robot

    async def _dismiss(self, login: str) -> None:
        robot, work = self._robots.pop(login, None), self._work.pop(login, None)
        if robot is not None and robot.state == "working":
            robot.state = "fired"
        if work is not None:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    def facts(self) -> dict[str, Any]:
        done = {login: dict(robot.done) for login, robot in self._robots.items()}
        return {"robots": len(done), "done": done}

    async def stop(self) -> None:
        for login in list(self._robots):
            await self._dismiss(login)

    async def reset(self) -> None:
        await self.stop()
