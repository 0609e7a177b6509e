"""Calls that ask: tokens' tickets, users, addresses."""

from collections.abc import Iterator

from sandbox.wechat.followers import Followers
from sandbox.wechat.tokens import TicketWanted, Tokens
from sandbox.wx.calls import GET, Body, Endpoint, JsonObject, Nothing


class UserWanted(Body):
    openid: str = ""
    lang: str = "zh_CN"


class AccountApi:
    def __init__(self, followers: Followers, tokens: Tokens) -> None:
        self._followers, self._tokens = followers, tokens

    def endpoints(self) -> Iterator[Endpoint]:
        yield Endpoint("ticket/getticket", TicketWanted, self._tokens.ticket, GET)
        yield Endpoint("user/info", UserWanted, self.user, GET, says_ok=False)
        yield Endpoint("getcallbackip", Nothing, self.addresses, GET, says_ok=False)
        yield Endpoint("get_api_domain_ip", Nothing, self.addresses, GET, says_ok=False)

    def user(self, wanted: UserWanted) -> JsonObject:
        """Since 2021 without name and picture; of who has left only that."""
        follower = self._followers.get(wanted.openid)
        if not follower.subscribed:
            return {"subscribe": 0, "openid": follower.openid}
        return {
            "subscribe": 1,
            "openid": follower.openid,
            "nickname": "",
            "headimgurl": "",
            "language": wanted.lang,
            "subscribe_time": int(follower.subscribed_at),
            "unionid": "",
            "remark": "",
            "groupid": 0,
            "tagid_list": [],
            "subscribe_scene": "ADD_SCENE_QR_CODE" if follower.scene else "ADD_SCENE_SEARCH",
            "qr_scene": 0,
            "qr_scene_str": follower.scene,
        }

    def addresses(self, _: Nothing) -> JsonObject:
        """Where callbacks come from."""
        return {"ip_list": ["127.0.0.1"]}
