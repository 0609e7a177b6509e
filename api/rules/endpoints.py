"""/api/v1/rules: the rules in use, their versions, and what new ones would have done."""

import logging
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import StreamingResponse
from starlette.responses import Response

from api.dependencies import TheActor, TheKefu
from api.envelopes import FAILED, SERVICE_AWAY, STORAGE_AWAY, Json, error_body
from api.platform.schemas import ErrorOut
from api.rules.schemas import (
    Checked,
    DryRunIn,
    RevertIn,
    RulesIn,
    RulesOut,
    RulesText,
    VersionContent,
    VersionList,
    shown_book,
    shown_rules,
    shown_version,
)
from domain.errors import InvalidInput, KefuError, StorageError
from engine.bootstrap import Kefu
from storage import rules

log = logging.getLogger(__name__)
router = APIRouter(prefix="/api/v1/rules", tags=["rules"])
ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorOut} for code in (400, 401, 403, 404, 409, 413, 415, 422, 503)
}
WEEK_S = 7 * 86_400.0
RuleVersionNo = Annotated[int, Path(ge=1, le=2**31 - 1)]


@router.get("", response_model=RulesOut, responses=ERRORS)
async def get_rules(kefu: TheKefu) -> Response:
    """The version in use, with what each of its rules did in the last seven days. ``refused``:
    what is wrong with the file, or the newest version, while an older one stays in use."""
    return Json(await _shown(kefu))


@router.put("", response_model=RulesOut, responses=ERRORS)
async def put_rules(body: RulesIn, kefu: TheKefu, actor: TheActor) -> Response:
    """A new version, in use at once here and within seconds in other processes."""
    await kefu.rules.put(body.content, after=body.version, author=actor, note=body.note)
    return Json(await _shown(kefu))


@router.post("/validate", response_model=Checked, responses=ERRORS)
async def validate(body: RulesText, kefu: TheKefu) -> Response:
    """Whether these rules could be used; nothing is changed."""
    found = await kefu.rules.validate(body.content)
    changed = found.fingerprint != kefu.rules.rules.fingerprint
    shown = shown_rules(found, await _counts(kefu))
    return Json({"fingerprint": found.fingerprint, "changed": changed, "rules": shown})


@router.post("/reload", response_model=RulesOut, responses=ERRORS)
async def reload(kefu: TheKefu) -> Response:
    """Read the file now instead of within seconds of its change. 422: it cannot be used, and the
    version in use stays."""
    await kefu.rules.reload()
    refused = kefu.rules.refused
    if refused is not None:
        version = kefu.rules.version.version
        reason = f"规则文件不能使用,仍使用第 {version} 版:{refused.reason}"
        raise InvalidInput(refused.field, reason)
    return Json(await _shown(kefu))


@router.get("/versions", response_model=VersionList, responses=ERRORS)
async def list_versions(
    kefu: TheKefu,
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """The newest first."""
    found = await kefu.rules.versions(before=before or 2**31 - 1, limit=limit)
    after = found[-1].version if len(found) == limit else None
    return Json({"items": [one.shown() for one in found], "next": after})


@router.get("/versions/{version}", response_model=VersionContent, responses=ERRORS)
async def get_version(version: RuleVersionNo, kefu: TheKefu) -> Response:
    return Json(shown_version(await kefu.rules.get(version)))


@router.post("/versions/{version}/revert", response_model=RulesOut, responses=ERRORS)
async def revert(
    version: RuleVersionNo, body: RevertIn, kefu: TheKefu, actor: TheActor
) -> Response:
    """An earlier version's rules as a new one."""
    await kefu.rules.revert(version, after=body.version, author=actor)
    return Json(await _shown(kefu))


@router.post(
    "/dry-run",
    responses=ERRORS | {200: {"content": {"application/x-ndjson": {}}}},
    response_class=StreamingResponse,
)
async def dry_run(body: DryRunIn, kefu: TheKefu, request: Request) -> Response:
    """What these rules would have done in past conversations, and how that differs from those in
    use: JSON lines, ``progress`` and then one ``result``; ``error`` where it failed on the way."""
    kefu.dry_runs.check()
    present = kefu.rules.rules
    proposed = await kefu.rules.validate(body.content) if body.content is not None else present
    lines = _lines(kefu.dry_runs.run(proposed, present, body.wanted()), request.url.path)
    return StreamingResponse(
        lines,
        media_type="application/x-ndjson",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _lines(events: AsyncIterator[dict[str, Any]], path: str) -> AsyncIterator[bytes]:
    """The status line has gone out, so a failure is a line too."""
    try:
        async for event in events:
            yield orjson.dumps(event) + b"\n"
    except InvalidInput as error:
        yield _error(path, error.status, error.reason)
    except StorageError as error:
        log.error("%s: %s", path, error)
        yield _error(path, 503, STORAGE_AWAY)
    except KefuError as error:
        log.error("%s: %s", path, error)
        yield _error(path, 503, SERVICE_AWAY)
    except Exception:
        log.exception("%s failed", path)
        yield _error(path, 500, FAILED)


def _error(path: str, status: int, message: str) -> bytes:
    return orjson.dumps({"event": "error", **error_body(path, status, message)}) + b"\n"


async def _shown(kefu: Kefu) -> dict[str, Any]:
    return shown_book(kefu.rules, await _counts(kefu))


async def _counts(kefu: Kefu) -> dict[str, dict[str, Any]]:
    since = time.time() - WEEK_S
    return await kefu.engine.database.read(lambda c: rules.firing_counts(c, since=since))
