"""What agents do with conversations. An act is one transaction: the condition, the change, what the
customer is told, and the event."""

from collections.abc import Sequence
from typing import Literal

from sqlalchemy import Connection

from domain.decisions import Effect, EffectKind, as_dict
from domain.desk import Agent, Mode, Presence, in_scope
from domain.errors import InvalidInput, NotFound
from domain.messages import MAX_ID_CHARS, MAX_TEXT_CHARS, MAX_URL_CHARS, Attachment
from domain.text import clean, is_one_line, one_line
from engine.desk.parts import Conflict, DeskParts, Forbidden, held, hold, own
from engine.desk.views import CannedView, NoteView, Said
from storage import agents, desk_events, desk_talks, desk_texts, drafts, effects, history
from storage.clock import iso
from storage.desk_talks import Talk
from storage.effects import Applied, Cause
from storage.statements import Statement

Outcome = Literal["solved", "unsolved", ""]
DraftVerdict = Literal["approve", "edit", "discard"]
MAX_ATTACHMENTS = 9
MAX_SHORTCUT_CHARS, MAX_TITLE_CHARS = 32, 100
_SAID_BEFORE = Statement("SELECT 1 FROM effects WHERE key = :key")
_OUTCOMES = frozenset({"solved", "unsolved", ""})
_DECIDED: dict[str, drafts.Decided] = {
    "approve": "approved",
    "edit": "edited",
    "discard": "discarded",
}
_IN_POOL = "该客户在微信客服的接待池中，由企业微信里的接待人员接待"


class Acting(DeskParts):
    """Raise NotFound out of scope, Forbidden (403) for viewers, Conflict (409) where another agent
    has the conversation."""

    async def take(self, who: Agent, conversation: str) -> None:
        """From the queue, the bot, or (admins only, told as a transfer) another agent. Theirs
        already: nothing happens. Exactly one of several at once wins. A turn of the bot that is
        under way is dropped at its commit."""
        now = self.clock()

        def unit(connection: Connection) -> None:
            talk = hold(connection, who, conversation)
            if talk.taken and talk.agent != who.id and who.rules:
                self._pass_on(connection, talk, who, by=who, note="", now=now)
            else:
                self._take(connection, who, talk, now)

        await self.database.write(unit, key=conversation)
        self.told()

    def _take(self, connection: Connection, who: Agent, talk: Talk, now: float) -> Talk:
        """Raises Conflict. ``talk`` is held, so that it is as it says."""
        if talk.taken and talk.agent == who.id:
            return talk
        if talk.taken:
            raise held(connection, talk)
        if talk.status == "open" and talk.mode == Mode.HUMAN:
            raise Conflict(_IN_POOL)
        due = self.policy.due(talk, now)
        if not desk_talks.take(connection, talk, who.id, now=now, due=due):
            raise held(connection, desk_talks.talk_of(connection, talk.conversation) or talk)
        found = desk_talks.talk_of(connection, talk.conversation)
        assert found is not None
        return found

    async def say(
        self,
        who: Agent,
        conversation: str,
        text: str,
        *,
        message_id: str,
        attachments: Sequence[Attachment] = (),
    ) -> Said:
        """To the customer, once per ``message_id``; takes a conversation that nobody has."""
        said = _sayable(text, attachments)
        if not 0 < len(message_id) <= MAX_ID_CHARS or not is_one_line(message_id):
            raise InvalidInput("message_id", f"应为 1 到 {MAX_ID_CHARS} 个字符")
        key, now = f"staff:{conversation}:{message_id}", self.clock()

        def unit(connection: Connection) -> tuple[Said, Applied]:
            talk = hold(connection, who, conversation)
            pushes = talk.who.channel in self.policy.channels
            done = Said(f"{key}:message", "push" if pushes else "poll")
            if _SAID_BEFORE.first(connection, {"key": done.message_id}) is not None:
                return Said(done.message_id, done.delivery, duplicate=True), Applied()
            talk = self._take(connection, who, talk, now)
            applied = self.tell(connection, talk, said, attachments, key=key, by=who.id, now=now)
            return done, applied

        done, applied = await self.database.write(unit, key=conversation)
        self.on_queues(applied.queues)
        self.told()
        return done

    def tell(
        self,
        connection: Connection,
        talk: Talk,
        said: str,
        attachments: Sequence[Attachment],
        *,
        key: str,
        by: str,
        now: float,
    ) -> Applied:
        to = as_dict(talk.who)
        parts = [{"type": "text", "text": said}] if said else []
        parts += [{"type": a.kind, "url": a.url, "text": ""} for a in attachments]
        wanted = [
            Effect(EffectKind.MESSAGE, _part_name(at), {"to": to, **part})
            for at, part in enumerate(parts)
        ]
        pushes = talk.who.channel in self.policy.channels
        applied = effects.apply(
            connection,
            wanted,
            key=key,
            cause=Cause(
                actor=by,
                conversation_id=talk.conversation,
                contact_id=talk.who.contact_id,
                shown_in="" if pushes else talk.conversation,
                said_by="staff",
            ),
            now=now,
            book=self.book,
            channels=self.policy.channels,
        )
        self._spoken(connection, talk, wanted, key=key, by=by, now=now)
        return applied

    def _spoken(
        self,
        connection: Connection,
        talk: Talk,
        wanted: Sequence[Effect],
        *,
        key: str,
        by: str,
        now: float,
    ) -> None:
        if talk.handoff is not None:
            desk_talks.replied(connection, talk.handoff, now=now)
        drafts.supersede(connection, talk.conversation, now=now)
        for one in wanted:
            said = f"{key}:{one.name}"
            row = history.message_row(connection, talk.who.channel, talk.who.account, said)
            desk_events.tell_message(
                connection,
                talk.conversation,
                now=now,
                role="staff",
                text=effects.said(one.payload),
                message=row or 0,
                agent=by,
            )

    async def note(self, who: Agent, conversation: str, text: str) -> NoteView:
        """For colleagues; nobody needs to have the conversation."""
        said, now = _bounded("text", text, MAX_TEXT_CHARS), self.clock()

        def unit(connection: Connection) -> int:
            hold(connection, who, conversation)
            return desk_texts.add_note(connection, conversation, who.id, said, now=now)

        number = await self.database.write(unit, key=conversation)
        self.told()
        return NoteView(number, who.id, who.name, said, iso(now))

    async def transfer(
        self, who: Agent, conversation: str, *, to: str = "", skill: str = "", note: str = ""
    ) -> None:
        """To the agent ``to``, or back to the front of the queue for anybody with ``skill``."""
        now, skill, note = self.clock(), one_line(skill), clean(note)[:MAX_TEXT_CHARS]

        def unit(connection: Connection) -> None:
            talk = hold(connection, who, conversation)
            if talk.taken:
                talk = own(connection, who, conversation)
            elif talk.status != "open":
                raise Conflict("该会话目前没有转给人工，请先接入")
            if note:
                desk_texts.add_note(connection, conversation, who.id, note, now=now)
            if to:
                self._hand_to(connection, talk, who, to, note=note, now=now)
            elif talk.taken:
                desk_talks.release(
                    connection, talk, by=who.id, why="transfer", skill=skill, note=note, now=now
                )
            else:
                desk_talks.send_on(connection, talk, skill, by=who.id, note=note, now=now)

        await self.database.write(unit, key=conversation)
        self.told()

    def _hand_to(
        self, connection: Connection, talk: Talk, who: Agent, to: str, *, note: str, now: float
    ) -> None:
        agent = agents.get(connection, to)
        if agent is None or not agent.enabled or not agent.acts:
            raise NotFound("to", to)
        if not in_scope(agent.scopes, talk.who.channel, talk.who.account):
            raise InvalidInput("to", f"{agent.name} 不负责该渠道")
        if agent.status is Presence.OFFLINE:
            raise Conflict(f"{agent.name} 不在线", holder=agent.id, field="to")
        if not talk.taken:
            talk = self._take(connection, who, talk, now)
        self._pass_on(connection, talk, agent, by=who, note=note, now=now)

    def _pass_on(
        self, connection: Connection, talk: Talk, to: Agent, *, by: Agent, note: str, now: float
    ) -> None:
        if talk.agent == to.id:
            return
        due = self.policy.due(talk, now)
        if not desk_talks.pass_on(
            connection, talk, to.id, by=by.id, why="transfer", note=note, now=now, due=due
        ):
            raise held(connection, desk_talks.talk_of(connection, talk.conversation) or talk)

    async def resolve(
        self, who: Agent, conversation: str, *, outcome: Outcome = "solved", ask_rating: bool = True
    ) -> None:
        """It is the bot's again; the customer is asked for a rating where DESK_RATING says so."""
        if outcome not in _OUTCOMES:
            raise InvalidInput("outcome", "应为 solved、unsolved 或空")
        now, asks = self.clock(), ask_rating and self.policy.rating

        def unit(connection: Connection) -> None:
            talk = own(connection, who, conversation)
            desk_talks.close(connection, talk, by=who.id, outcome=outcome, asks=asks, now=now)

        await self.database.write(unit, key=conversation)
        self.told(conversation)

    async def reopen(self, who: Agent, conversation: str) -> None:
        """The last hand-over goes on, with ``who``. Conflict where one is open already."""
        now = self.clock()

        def unit(connection: Connection) -> None:
            talk = hold(connection, who, conversation)
            if talk.taken and talk.agent != who.id:
                raise held(connection, talk)
            if not desk_talks.reopen(connection, talk, agent=who.id, now=now):
                raise Conflict("没有可以重新打开的人工会话，或者它已经打开")

        await self.database.write(unit, key=conversation)
        self.told()

    async def set_mode(self, who: Agent, conversation: str, mode: Mode) -> None:
        """human and copilot: how ``who`` works on what is theirs (taken first where nobody has
        it). queued: back to the queue. bot: given back without a word about the outcome."""
        now = self.clock()

        def unit(connection: Connection) -> None:
            talk = hold(connection, who, conversation)
            if mode in (Mode.HUMAN, Mode.COPILOT):
                talk = self._take(connection, who, talk, now)
                desk_talks.change_mode(connection, talk, mode, agent=who.id, now=now)
                return
            if talk.taken:
                talk = own(connection, who, conversation)
            self._let_go(connection, talk, who, mode, now)

        await self.database.write(unit, key=conversation)
        self.told(conversation)

    def _let_go(
        self, connection: Connection, talk: Talk, who: Agent, mode: Mode, now: float
    ) -> None:
        if mode is Mode.QUEUED and talk.taken:
            desk_talks.release(connection, talk, by=who.id, why="mode", now=now)
        elif mode is Mode.QUEUED and talk.status != "open":
            raise Conflict("该会话没有在等待人工")
        elif mode is Mode.BOT and talk.handoff is not None:
            desk_talks.close(connection, talk, by=who.id, why="mode", now=now)

    async def decide_draft(
        self, who: Agent, draft: int, verdict: DraftVerdict, text: str = ""
    ) -> None:
        """``text``: of an edit. Conflict for what is decided or stale."""
        if verdict not in _DECIDED:
            raise InvalidInput("verdict", "应为 approve、edit 或 discard")
        said = _bounded("text", text, MAX_TEXT_CHARS) if verdict == "edit" else ""
        now = self.clock()
        conversation = (await self.database.read(lambda c: drafts.get(c, draft))).conversation_id

        def unit(connection: Connection) -> None:
            try:
                talk = hold(connection, who, conversation)
            except NotFound:  # which says of the draft no more than that
                raise NotFound("draft_id", str(draft)) from None
            if not talk.taken or talk.agent != who.id:
                raise held(connection, talk) if talk.taken else Conflict("请先接入该会话")
            drafts.decide(connection, draft, _DECIDED[verdict], text=said, agent=who.id, now=now)
            if talk.handoff is not None and verdict != "discard":
                desk_talks.replied(connection, talk.handoff, now=now)

        await self.database.write(unit, key=conversation)
        self.told(conversation)

    # Canned replies -------------------------------------------------------------------------------

    async def canned(self, who: Agent) -> list[CannedView]:
        """Those for ``who``'s skills first, then for everybody; by shortcut."""
        found = [CannedView(**row) for row in await self.database.read(desk_texts.canned)]
        mine = [one for one in found if not one.skill or one.skill in who.skills or who.rules]
        return sorted(mine, key=lambda one: (one.skill not in who.skills, one.shortcut))

    async def put_canned(
        self,
        who: Agent,
        *,
        shortcut: str,
        title: str,
        text: str,
        skill: str = "",
        canned: int | None = None,
    ) -> CannedView:
        """A new one, or instead of number ``canned``. Admins only. Conflict for a shortcut that
        another one has."""
        if not who.rules:
            raise Forbidden("只有管理员可以修改快捷回复")
        values = {
            "shortcut": _bounded("shortcut", one_line(shortcut).lower(), MAX_SHORTCUT_CHARS),
            "title": _bounded("title", one_line(title), MAX_TITLE_CHARS),
            "text": _bounded("text", text, MAX_TEXT_CHARS),
            "skill": one_line(skill)[:MAX_SHORTCUT_CHARS],
        }
        now = self.clock()

        def unit(connection: Connection) -> int | None:
            try:
                return desk_texts.put_canned(connection, canned, values, by=who.id, now=now)
            except KeyError:
                raise NotFound("canned_id", str(canned)) from None

        number = await self.database.write(unit)
        if number is None:
            reason = f"快捷词 {values['shortcut']!r} 已被使用"
            raise Conflict(reason, field="shortcut")
        return CannedView(number, **values, updated_at=iso(now))

    async def drop_canned(self, who: Agent, canned: int) -> None:
        if not who.rules:
            raise Forbidden("只有管理员可以修改快捷回复")
        now = self.clock()
        dropped = await self.database.write(
            lambda c: desk_texts.drop_canned(c, canned, by=who.id, now=now)
        )
        if not dropped:
            raise NotFound("canned_id", str(canned))


def _part_name(at: int) -> str:
    """The first one carries the message's own key, by which a repetition is known."""
    return "message" if at == 0 else f"attachment-{at}"


def _sayable(text: str, attachments: Sequence[Attachment]) -> str:
    said = clean(text)
    if len(said) > MAX_TEXT_CHARS:
        raise InvalidInput("text", f"最长 {MAX_TEXT_CHARS} 个字符")
    if not said and not attachments:
        raise InvalidInput("text", "不能为空")
    if len(attachments) > MAX_ATTACHMENTS:
        raise InvalidInput("attachments", f"一次最多 {MAX_ATTACHMENTS} 个附件")
    for one in attachments:
        if one.kind not in ("image", "file"):
            raise InvalidInput("attachments", "附件应为 image 或 file")
        if not one.url.startswith(("http://", "https://")) or len(one.url) > MAX_URL_CHARS:
            raise InvalidInput("attachments", "附件地址应以 http:// 或 https:// 开头")
    return said


def _bounded(field: str, given: str, limit: int) -> str:
    said = clean(given)
    if not said:
        raise InvalidInput(field, "不能为空")
    if len(said) > limit:
        raise InvalidInput(field, f"最长 {limit} 个字符")
    return said
