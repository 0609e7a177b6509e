"""Imports and rebuilds as jobs; versions, and taking them back."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api.dependencies import TheActor, TheKefu
from api.envelopes import Json
from api.fields import Identifier
from api.knowledge.changes import conflicts, follow
from api.knowledge.entries import entry_out
from api.knowledge.imports import Imports
from api.knowledge.schemas import ERRORS, PageNumber, PageSize, RollbackIn, RowId, UndoIn
from api.knowledge.uploads import fields_of, read_form
from knowledge.base import Change

router = APIRouter(prefix="/api/knowledge", tags=["knowledge"], responses=ERRORS)
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {
                            "type": "array",
                            "maxItems": 100,
                            "items": {"type": "string", "format": "binary"},
                            "description": "At most 20 MB each, 100 MB together.",
                        },
                        "category": {"type": "string", "description": "Default: as files say."},
                        "tags": {"type": "string", "description": "Several by commas."},
                        "refresh": {
                            "type": "boolean",
                            "description": "Entries that left these files go.",
                        },
                        "rebuild": {
                            "type": "boolean",
                            "description": "The base holds exactly these files afterwards.",
                        },
                    },
                }
            }
        },
    }
}


async def _the_imports(request: Request) -> Imports:
    imports: Imports = request.app.state.imports
    return imports


TheImports = Annotated[Imports, Depends(_the_imports)]


@router.post("/imports", status_code=202, openapi_extra=_FORM)
async def start_import(request: Request, imports: TheImports, actor: TheActor) -> Response:
    """Import uploaded files in the background; the job tells how it goes.

    One import runs at a time, others wait. A file that cannot be used is named among the job's
    failures and skips only itself; one that is too large refuses the upload.
    """
    with imports.admitted():
        form = await read_form(request)
        try:
            job = await imports.add(form, fields_of(form), by=actor)
        except BaseException:
            form.close()
            raise
    location = f"{router.prefix}/imports/{job.id}"
    return Json(asdict(job), status_code=202, headers={"Location": location})


@router.get("/imports")
async def list_imports(kefu: TheKefu, page: PageNumber = 1, page_size: PageSize = 20) -> Response:
    """Imports and rebuilds, newest first, those of the command line too."""
    found = await kefu.knowledge.base.list_jobs(page_size + 1, (page - 1) * page_size)
    return Json(_page([asdict(job) for job in found], page, page_size))


@router.get("/imports/{job_id}")
async def get_import(job_id: Identifier, kefu: TheKefu) -> Response:
    """``state`` is queued, running, done, failed or interrupted; ``phase`` read, write, index or
    rebuild, with ``done`` of ``total`` steps of it."""
    return Json(asdict(await kefu.knowledge.base.get_job(job_id)))


@router.post("/rebuild", status_code=202)
async def rebuild(imports: TheImports, actor: TheActor) -> Response:
    """Make the index anew, vectors included, in the background; the old one serves meanwhile."""
    with imports.admitted():
        job = await imports.rebuild(by=actor)
    location = f"{router.prefix}/imports/{job.id}"
    return Json(asdict(job), status_code=202, headers={"Location": location})


@router.get("/versions")
async def list_versions(kefu: TheKefu, page: PageNumber = 1, page_size: PageSize = 20) -> Response:
    """Every change of the knowledge, newest first."""
    found = await kefu.knowledge.base.versions(page_size + 1, (page - 1) * page_size)
    return Json(_page([version._asdict() for version in found], page, page_size))


@router.get("/versions/{version}")
async def get_version(
    version: RowId, kefu: TheKefu, page: PageNumber = 1, page_size: PageSize = 50
) -> Response:
    """A version and one page of what it changed. ``current``: nothing changed the entry since."""
    base = kefu.knowledge.base
    row = await base.version(version)
    found = await base.changes_of(version, page_size + 1, (page - 1) * page_size)
    changes = _page([_change_out(change) for change in found], page, page_size)
    return Json({**row._asdict(), "changes": changes})


@router.post("/versions/{version}/undo")
async def undo_version(
    version: RowId, kefu: TheKefu, actor: TheActor, body: UndoIn | None = None
) -> Response:
    """Restore what a version changed, as a new version. 409 names the entries that were changed
    again since; ``force`` gives those later changes up."""
    wanted = body or UndoIn()
    with conflicts("version"):
        summary = await kefu.knowledge.base.undo(
            version, by=actor, note=wanted.note, force=wanted.force
        )
    return Json({"summary": asdict(summary), "searchable": await follow(kefu)})


@router.post("/rollback")
async def roll_back(body: RollbackIn, kefu: TheKefu, actor: TheActor) -> Response:
    """Undo all versions after ``to`` as one new version, which can be undone like any other."""
    with conflicts("to"):
        summary = await kefu.knowledge.base.rollback(body.to, by=actor, note=body.note)
    return Json({"summary": asdict(summary), "searchable": await follow(kefu)})


def _page(found: Sequence[dict[str, Any]], page: int, page_size: int) -> dict[str, Any]:
    """``found`` holds one more where there is another page."""
    more = len(found) > page_size
    return {"items": found[:page_size], "page": page, "page_size": page_size, "more": more}


def _change_out(change: Change) -> dict[str, Any]:
    return {
        "entry_id": change.entry_id,
        "before": entry_out(change.before) if change.before else None,
        "after": entry_out(change.after) if change.after else None,
        "current": change.current,
    }
