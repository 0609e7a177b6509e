"""What is on the pictures that the customer sent? Measured before anybody names a price."""

import logging
from typing import Any

from domain.decisions import as_dict
from domain.errors import InvalidInput, KefuError
from graphs.context import TurnContext
from graphs.state import ConversationState, Update

log = logging.getLogger(__name__)
MAX_PICTURES = 9
"""As many as a customer can send at once; what is above is priced unseen."""


async def look(state: ConversationState, context: TurnContext) -> Update:
    """Gives ``pictures``: facts, and ``unseen``: source, problem (Chinese; empty where the fault
    is ours or the network's: such a picture is priced like one that nobody has looked at)."""
    pictures = context.services.pictures
    assert pictures is not None
    seen: list[dict[str, Any]] = []
    unseen: list[dict[str, str]] = []
    for source in state["classification"]["images"][:MAX_PICTURES]:
        try:
            facts = await pictures.look(source, deadline_s=context.services.picture_deadline_s)
        except InvalidInput as error:
            unseen.append({"source": source, "problem": error.reason})
        except KefuError as error:
            log.warning("a picture could not be looked at: %s", error)
            unseen.append({"source": source, "problem": ""})
        else:
            seen.append(as_dict(facts))
    return {"pictures": seen, "unseen": unseen}
