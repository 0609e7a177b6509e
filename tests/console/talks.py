"""Customers who write to the service while agents look on."""

import uuid
from dataclasses import dataclass, field

from tests.api.service import Service

ACCOUNT = "shop"


@dataclass(slots=True)
class Customer:
    """Writes over the platform's surface; ``conversation`` is known after the first message."""

    service: Service
    name: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    conversation: str = ""

    def says(self, text: str) -> str:
        """The message's id; returns when the service has taken and answered it."""
        number = uuid.uuid4().hex
        message = {
            "id": number,
            "chat_id": self.id,
            "sender": self.name,
            "sender_id": self.id,
            "sender_name": self.name,
            "content": text,
        }
        body = {"agent_id": ACCOUNT, "message": message}
        response = self.service.client.post("/api/v1/messages", json=body)
        assert response.status_code == 200, response.text
        self.conversation = response.json()["conversation_id"]
        return number


def can(service: Service, shortcut: str, title: str, text: str) -> None:
    """A canned reply, as somebody with the service's key adds one; there already is as good."""
    body = {"shortcut": shortcut, "title": title, "text": text}
    response = service.client.put("/api/desk/canned", json=body)
    assert response.status_code in (200, 201, 409), response.text
