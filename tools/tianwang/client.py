"""Posts callbacks to Tianwang."""

import json

from domain.errors import PeerRejected, PeerUnavailable
from tools.signed_posts import SignedPosts
from tools.tianwang.protocol import callback_headers

PEER = "tianwang"
_ACCEPTED_CODES = frozenset({0, 200, "0", "200"})
_ACCEPTED_WORDS = frozenset({"ok", "success"})
_SHOWN_CHARS = 80


class CallbackClient(SignedPosts):
    async def deliver(self, event_id: str, body: bytes) -> None:
        """Raises PeerUnavailable for all but a clear yes: a receiver that refuses or answers
        nonsense today may be mended while the callback is still tried."""
        headers = callback_headers(self._secret, event_id, body, now=self._clock())
        try:
            answer = await self._post(PEER, body, headers)
        except PeerRejected as error:
            raise PeerUnavailable(PEER, error.reason, status=error.status) from error
        if not accepted(answer):
            shown = " ".join(answer[: 4 * _SHOWN_CHARS].decode("utf-8", "replace").split())
            raise PeerUnavailable(PEER, f"did not accept the callback: {shown[:_SHOWN_CHARS]!r}")


def accepted(answer: bytes) -> bool:
    """Of a 2xx: nothing, the word ok or success, or a JSON object without a code or with 0 or 200.

    A page of a proxy that answers 200 for everything is no yes.
    """
    try:
        said = answer.decode("utf-8-sig").strip()
        if not said or said.lower() in _ACCEPTED_WORDS:
            return True
        told = json.loads(said)
    except (ValueError, RecursionError):
        return False
    if isinstance(told, str):
        return told.strip().lower() in _ACCEPTED_WORDS
    return isinstance(told, dict) and _is_yes(told.get("code", 0))


def _is_yes(code: object) -> bool:
    return isinstance(code, int | str) and not isinstance(code, bool) and code in _ACCEPTED_CODES
