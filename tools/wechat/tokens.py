"""Access tokens of official accounts (reference wechat_official.md, section 6)."""

from tools.wx.api import Issued, WxCalls, issued

_GRANT = "client_credential"


class AccountTokens:
    """``stable``: by the call that gives all callers the same token. The other one makes a new
    token each time and ends the one before, also another program's."""

    def __init__(self, calls: WxCalls, app_id: str, secret: str, *, stable: bool = True) -> None:
        self._calls, self._app_id, self._secret, self._stable = calls, app_id, secret, stable

    async def fetch(self, refused: str | None) -> Issued:
        """Forced to be another where the platform would hand out ``refused`` again: at most 20
        times a day. Raises PeerError."""
        if not self._stable:
            return await self._classic()
        found = await self._get_stable(force=False)
        return found if found.token != refused else await self._get_stable(force=True)

    async def _get_stable(self, *, force: bool) -> Issued:
        body = {
            "grant_type": _GRANT,
            "appid": self._app_id,
            "secret": self._secret,
            "force_refresh": force,
        }
        answer = await self._calls.json(
            "POST", "/cgi-bin/stable_token", {}, hidden=(self._secret,), body=body
        )
        return issued(self._calls.peer, answer, "access_token")

    async def _classic(self) -> Issued:
        query = {"grant_type": _GRANT, "appid": self._app_id, "secret": self._secret}
        answer = await self._calls.json("GET", "/cgi-bin/token", query, hidden=(self._secret,))
        return issued(self._calls.peer, answer, "access_token")
