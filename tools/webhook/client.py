"""Posts answers to the shop's webhook."""

from tools.signed_posts import SignedPosts
from tools.webhook.protocol import OutboundText, outbound_body, signed_headers


class WebhookClient(SignedPosts):
    async def deliver(self, message: OutboundText) -> None:
        """Raises PeerUnavailable (deliver again: ``message_id`` stays) or PeerRejected."""
        body = outbound_body(message)
        headers = signed_headers(self._secret, body, now=self._clock()) if self._secret else {}
        await self._post("webhook", body, headers)
