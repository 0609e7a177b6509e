"""Files in forms."""

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request


async def media_of(request: Request) -> tuple[str, bytes] | None:
    """Name and content of the form's ``media``; None: there is none."""
    try:
        async with request.form(max_files=2, max_fields=10) as form:
            sent = form.get("media")
            if not isinstance(sent, UploadFile):
                return None
            return sent.filename or "file", await sent.read()
    except (MultiPartException, AssertionError):
        return None
