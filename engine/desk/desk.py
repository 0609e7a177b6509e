"""The human desk as agents use it. Rows and conditional updates decide, so that any number of
processes may serve it; every change and its event are one transaction."""

from engine.desk.acting import Acting
from engine.desk.acting import DraftVerdict as DraftVerdict
from engine.desk.acting import Outcome as Outcome
from engine.desk.looking import Looking
from engine.desk.parts import LOCAL as LOCAL
from engine.desk.parts import Conflict as Conflict
from engine.desk.parts import DeskPolicy as DeskPolicy
from engine.desk.parts import Forbidden as Forbidden
from engine.desk.people import People
from engine.desk.people import SignInRefused as SignInRefused


class Desk(People, Looking, Acting):
    """Who agents are (`People`), what they see (`Looking`), what they do (`Acting`)."""

    async def start(self) -> None:
        """The feed of events for this process's listeners."""
        await self.feed.start()

    async def stop(self) -> None:
        await self.feed.stop()
