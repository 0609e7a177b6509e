"""Knowledge: tried out, imported, suggested, and what nobody could answer."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Path, Query, Request
from starlette.responses import Response

from api.console.failures import PageRoute
from api.console.reader import TheReader, TheRuler, TheUnscoped, TheUnscopedActor
from api.console.rendering import see
from api.console.shell import PAGE_SIZE, shown
from api.dependencies import TheKefu
from api.fields import OptionalText
from api.knowledge.changes import conflicts, follow, readable
from api.knowledge.schemas import Answer, ClusterStates, Question, SuggestionStates
from api.knowledge.uploads import fields_of, read_form
from api.knowledge.versions import TheImports
from domain.text import one_line
from knowledge.documents import make_entry

KNOWLEDGE_PATH = "/desk/knowledge"
UPLOAD_PATH = f"{KNOWLEDGE_PATH}/imports"
router = APIRouter(route_class=PageRoute, include_in_schema=False, prefix=KNOWLEDGE_PATH)
PageNumber = Annotated[int, Query(ge=1, le=10_000)]
RowId = Annotated[int, Path(ge=1, le=2**62)]
MAX_HITS = 8
SOURCE, POSITION = "console", "人工录入"


@router.get("")
async def tried(
    request: Request,
    kefu: TheKefu,
    reader: TheReader,
    q: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """What the knowledge base says to a question; nothing is stored or counted."""
    wanted, found = one_line(q), None
    if wanted:
        with readable():
            found = await kefu.knowledge.retriever.search(wanted, top_k=MAX_HITS)
    documents = await kefu.knowledge.base.documents()
    return await shown(
        request,
        reader,
        "knowledge.html",
        q=wanted,
        found=found,
        answer_at=kefu.settings.answer_threshold,
        clarify_at=kefu.settings.clarify_threshold,
        documents=documents,
        entries=sum(one.entries for one in documents),
    )


@router.post("/entries")
async def add_entry(
    kefu: TheKefu,
    reader: TheUnscopedActor,
    question: Annotated[Question, Form()],
    answer: Annotated[Answer, Form()],
    category: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """A new entry, or another answer to a question that was written here before."""
    entry = make_entry(
        question, answer, source=SOURCE, category=one_line(category), position=POSITION
    )
    with conflicts():
        await kefu.knowledge.base.put([entry], by=reader.id, note="控制台新增知识")
    await follow(kefu)
    return see(f"{KNOWLEDGE_PATH}", "entry_saved")


@router.get("/imports")
async def imports_page(
    request: Request, kefu: TheKefu, reader: TheUnscoped, page: PageNumber = 1
) -> Response:
    jobs = await kefu.knowledge.base.list_jobs(PAGE_SIZE + 1, (page - 1) * PAGE_SIZE)
    running = any(job.state in ("queued", "running") for job in jobs)
    return await shown(
        request,
        reader,
        "imports.html",
        jobs=jobs[:PAGE_SIZE],
        more=len(jobs) > PAGE_SIZE,
        page=page,
        running=running,
    )


@router.post("/imports")
async def start_import(request: Request, imports: TheImports, reader: TheRuler) -> Response:
    with imports.admitted():
        form = await read_form(request)
        try:
            await imports.add(form, fields_of(form), by=reader.id)
        except BaseException:
            form.close()
            raise
    return see(UPLOAD_PATH, "import_started")


@router.get("/suggestions")
async def suggestions_page(
    request: Request,
    kefu: TheKefu,
    reader: TheUnscoped,
    state: SuggestionStates = "pending",
    page: PageNumber = 1,
) -> Response:
    learning = kefu.knowledge.learning
    found = await learning.suggestions(state=state, limit=PAGE_SIZE, offset=(page - 1) * PAGE_SIZE)
    return await shown(
        request,
        reader,
        "suggestions.html",
        items=found.items,
        more=found.total > page * PAGE_SIZE,
        page=page,
        state=state,
        numbers=await learning.counts(),
    )


@router.post("/suggestions/{suggestion}")
async def decide_suggestion(
    kefu: TheKefu,
    reader: TheUnscopedActor,
    suggestion: RowId,
    act: Annotated[Literal["accept", "reject", "undo", "reopen"], Form()],
    question: Annotated[OptionalText, Form()] = "",
    answer: Annotated[OptionalText, Form()] = "",
    replaces: Annotated[OptionalText, Form()] = "",
) -> Response:
    """``replaces``: the entry that an accepted one contradicts, and whose answer it becomes."""
    learning, by = kefu.knowledge.learning, reader.id
    with conflicts("suggestion_id"):
        if act == "accept":
            await learning.accept(
                suggestion,
                by=by,
                question=question or None,
                answer=answer or None,
                replaces=replaces or None,
            )
        elif act == "reject":
            await learning.reject(suggestion, by=by)
        elif act == "undo":
            await learning.undo(suggestion, by=by)
        else:
            await learning.reopen(suggestion, by=by)
    if act in ("accept", "undo"):
        await follow(kefu)
    return see(f"{KNOWLEDGE_PATH}/suggestions", f"suggestion_{act}")


@router.get("/unknown")
async def unknown_page(
    request: Request,
    kefu: TheKefu,
    reader: TheUnscoped,
    state: ClusterStates = "open",
    page: PageNumber = 1,
) -> Response:
    questions = kefu.knowledge.questions
    found = await questions.clusters(
        state=state, order="count", missed=False, limit=PAGE_SIZE, offset=(page - 1) * PAGE_SIZE
    )
    return await shown(
        request,
        reader,
        "unknown.html",
        items=found.items,
        more=found.total > page * PAGE_SIZE,
        page=page,
        state=state,
        numbers=await questions.counts(),
    )


@router.post("/unknown/{cluster}")
async def decide_cluster(
    kefu: TheKefu,
    reader: TheUnscopedActor,
    cluster: RowId,
    act: Annotated[Literal["answer", "dismiss", "reopen"], Form()],
    answer: Annotated[OptionalText, Form()] = "",
) -> Response:
    learning, questions, by = kefu.knowledge.learning, kefu.knowledge.questions, reader.id
    if act == "answer":
        with conflicts():
            await learning.answer_cluster(cluster, answer, by=by, question=None, accept=True)
        await follow(kefu)
    elif act == "dismiss":
        await questions.dismiss(cluster, by=by)
    else:
        await questions.reopen(cluster, by=by)
    return see(f"{KNOWLEDGE_PATH}/unknown", f"cluster_{act}")
