"""Access tokens of WeCom (reference wecom.md, section 2): one per app, that is per secret."""

from tools.wx.api import Issued, WxCalls, issued


class CorpTokens:
    def __init__(self, calls: WxCalls, corp_id: str, secret: str) -> None:
        self._calls, self._corp_id, self._secret = calls, corp_id, secret

    async def fetch(self, refused: str | None) -> Issued:
        """The same again until it expires, or until WeCom takes it back: ``refused`` is of no use
        to it. Raises PeerError."""
        answer = await self._calls.json(
            "GET",
            "/gettoken",
            {"corpid": self._corp_id, "corpsecret": self._secret},
            hidden=(self._secret,),
        )
        return issued(self._calls.peer, answer, "access_token")


class DirectTokens:
    """For a few calls beside the service: WeCom gives every process the same token."""

    def __init__(self, source: CorpTokens) -> None:
        self._source, self._token = source, ""

    async def token(self) -> str:
        self._token = self._token or (await self._source.fetch(None)).token
        return self._token

    async def renew(self, bad: str) -> str:
        self._token = (await self._source.fetch(bad)).token
        return self._token
