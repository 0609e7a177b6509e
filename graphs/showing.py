"""What is shown to whoever watches a run."""

from typing import Any

from graphs.context import TurnContext


def show_first(text: str, context: TurnContext) -> None:
    """``text`` on lines of its own; an answer that starts anew starts behind it."""
    emit, text = context.emit, f"{text}\n"

    def emit_after(event: str, data: dict[str, Any]) -> None:
        emit(event, data)
        if event == "restart":
            emit("token", {"text": text})

    emit("token", {"text": text})
    context.emit = emit_after
