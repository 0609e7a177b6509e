"""Knowledge entries, and how files become entries.

A file is read within bounds and parsed by its suffix, if its content is what that says
(`knowledge.formats`). What cannot be used is reported with its reason and skips only itself.
Everything here is synchronous: run `load_paths` and `load_bytes` in a thread.
"""

import contextlib
import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from domain.errors import KnowledgeError
from domain.instructions import gives_orders
from domain.text import clean, one_line
from knowledge.formats import Draft, is_named_document, parse

log = logging.getLogger(__name__)

MAX_FILE_BYTES = 20 * 1024 * 1024
MAX_QUESTION_CHARS = 500
MAX_ANSWER_CHARS = 20_000
MAX_ENTRIES = 100_000
"""Of one document."""

_READ_BYTES = 64 * 1024

Progress = Callable[[int, int], None]
"""Called with (done, total)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One meaning: a question, its other wordings (``aliases``) and its answer.

    ``id`` follows from source and question, so that an edited answer keeps it; ``content_hash``
    covers everything else that is stored, so that an unchanged entry is recognised.
    ``source`` is ``document#topic``, or ``document`` where there is no topic; ``position`` is where
    in the document a reader finds it, in their words (``第 3 页``, ``第 5 行``, ``安装 > 费用``).
    """

    id: str
    question: str
    answer: str
    aliases: tuple[str, ...] = ()
    category: str = ""
    tags: tuple[str, ...] = ()
    source: str = ""
    position: str = ""
    content_hash: str = ""

    @property
    def document(self) -> str:
        return document_of(self.source)


def document_of(source: str) -> str:
    """``charging_pile.md#安装`` -> ``charging_pile.md``."""
    return source.partition("#")[0]


def make_entry(
    question: str,
    answer: str,
    *,
    source: str,
    aliases: Sequence[str] = (),
    category: str = "",
    tags: Sequence[str] = (),
    position: str = "",
) -> Entry:
    """An entry with its id and hash; aliases lose duplicates and the question itself."""
    question, answer = clean(question), clean(answer)
    wordings = dict.fromkeys(clean(alias) for alias in aliases)
    others = tuple(alias for alias in wordings if alias and alias != question)
    digest = _digest(question, answer, *others, "\x1e", category, "\x1e", *tags, "\x1e", position)
    return Entry(
        id="k_" + _digest(source, question)[:20],
        question=question,
        answer=answer,
        aliases=others,
        category=category,
        tags=tuple(tags),
        source=source,
        position=position,
        content_hash=digest,
    )


@dataclass(frozen=True, slots=True)
class LoadReport:
    """``documents``: names of the files that were read, also those that yielded no entry."""

    entries: tuple[Entry, ...] = ()
    failures: tuple[KnowledgeError, ...] = ()
    documents: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Loaded:
    entries: dict[str, Entry] = field(default_factory=dict)
    failures: list[KnowledgeError] = field(default_factory=list)
    documents: set[str] = field(default_factory=set)

    def add(self, entry: Entry) -> None:
        """The same heading twice under one topic is one entry with both texts."""
        known = self.entries.get(entry.id)
        if known is not None:
            answers = dict.fromkeys((known.answer, entry.answer))
            entry = make_entry(
                known.question,
                "\n\n".join(answers),
                source=known.source,
                aliases=known.aliases + entry.aliases,
                category=known.category,
                tags=tuple(dict.fromkeys(known.tags + entry.tags)),
                position=known.position,
            )
        self.entries[entry.id] = entry


def load_paths(
    paths: Iterable[Path | str],
    category: str | None = None,
    *,
    tags: Sequence[str] = (),
    progress: Progress | None = None,
) -> LoadReport:
    """Entries of all files at ``paths``; folders are walked for files of a known format.

    ``category`` overrides what files say; without it an entry's category is its row's, else the
    file's name without suffix. ``tags`` are added to those of each entry.
    """
    loaded = _Loaded()
    files = list(_files(paths, loaded.failures))
    for done, (path, name) in enumerate(files, start=1):
        if name in loaded.documents:
            loaded.failures.append(KnowledgeError(str(path), f"另一个文件也叫 {name!r}，请改名"))
        else:
            _load(name, partial(_read, path), _Labels(category, tuple(tags)), loaded)
        if progress is not None:
            progress(done, len(files))
    return _report(loaded)


def load_bytes(
    name: str, data: bytes, category: str | None = None, tags: Sequence[str] = ()
) -> LoadReport:
    """The same for one document that was sent rather than found; ``name`` may hold folders."""
    loaded = _Loaded()
    _load(_readable_name(name), lambda: _bounded(data), _Labels(category, tuple(tags)), loaded)
    return _report(loaded)


@dataclass(frozen=True, slots=True)
class _Labels:
    category: str | None
    tags: tuple[str, ...]


def _report(loaded: _Loaded) -> LoadReport:
    return LoadReport(
        tuple(loaded.entries.values()), tuple(loaded.failures), frozenset(loaded.documents)
    )


def _files(
    paths: Iterable[Path | str], failures: list[KnowledgeError]
) -> Iterator[tuple[Path, str]]:
    for path in map(Path, paths):
        if path.is_dir():
            for child in sorted(path.rglob("*")):
                if child.is_file() and is_named_document(child.suffix):
                    yield child, _readable_name(child.relative_to(path).as_posix())
        elif path.is_file():
            yield path, _readable_name(path.name)
        else:
            failures.append(KnowledgeError(str(path), "文件不存在"))


def _readable_name(name: str) -> str:
    """Names from other systems may be GBK bytes, which Python hands over as lone surrogates.

    In an entry's source ``#`` separates document and topic, so that a name keeps it full width.
    """
    readable = name.encode("utf-8", "replace").decode()
    for encoding in ("gb18030", "utf-8"):
        with contextlib.suppress(UnicodeError):
            readable = name.encode("utf-8", "surrogateescape").decode(encoding)
    return one_line(readable).replace("#", "＃")


def _load(name: str, read: Callable[[], bytes], labels: _Labels, loaded: _Loaded) -> None:
    failures: list[KnowledgeError] = []
    try:
        entries = list(_entries(_drafts(name, read), name, labels, failures))
    except KnowledgeError as error:
        loaded.failures.append(KnowledgeError(name, error.reason))
        return
    loaded.documents.add(name)
    loaded.failures += failures
    if not entries:
        loaded.failures.append(KnowledgeError(name, "没有找到任何问答"))
    for entry in entries:
        loaded.add(entry)


def _drafts(name: str, read: Callable[[], bytes]) -> Iterator[Draft | KnowledgeError]:
    """Raises KnowledgeError for whatever a document does to its parser."""
    try:
        yield from parse(name, read())
    except KnowledgeError:
        raise
    except Exception as error:
        log.warning("%s could not be parsed", name, exc_info=True)
        raise KnowledgeError(name, "文件已损坏，或内容超出能够解析的范围") from error


def _read(path: Path) -> bytes:
    """Never more than the file system tells, should the file grow or be no common one."""
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise _too_big()
        with path.open("rb") as file:
            return _bounded(file.read(max(size, _READ_BYTES) + 1))
    except OSError as error:
        raise KnowledgeError(path.name, f"无法读取：{error.strerror}") from error


def _bounded(data: bytes) -> bytes:
    if len(data) > MAX_FILE_BYTES:
        raise _too_big()
    return data


def _too_big() -> KnowledgeError:
    return KnowledgeError("", f"文件超过 {MAX_FILE_BYTES // 1024 // 1024} MB")


def _entries(
    drafts: Iterable[Draft | KnowledgeError],
    name: str,
    labels: _Labels,
    failures: list[KnowledgeError],
) -> Iterator[Entry]:
    for number, draft in enumerate(drafts, start=1):
        if number > MAX_ENTRIES:
            raise KnowledgeError(name, f"条目超过 {MAX_ENTRIES} 条，请拆分后再导入")
        if isinstance(draft, KnowledgeError):
            failures.append(KnowledgeError(name, draft.reason))
            continue
        problem = _problem(draft)
        if problem:
            failures.append(_located(name, draft, problem))
            continue
        yield make_entry(
            draft.question,
            draft.answer,
            source=f"{name}#{draft.topic}" if draft.topic else name,
            aliases=draft.aliases,
            category=labels.category or draft.category or Path(name).stem,
            tags=tuple(dict.fromkeys((*draft.tags, *labels.tags))),
            position=draft.position,
        )


def _located(name: str, draft: Draft, problem: str) -> KnowledgeError:
    if draft.line:
        return KnowledgeError(f"{name}:{draft.line}", problem)
    return KnowledgeError(name, f"{draft.position}：{problem}" if draft.position else problem)


def _problem(draft: Draft) -> str:
    if not draft.question:
        return "缺少问题"
    if not draft.answer:
        return f"问题 {draft.question[:40]!r} 没有答案"
    if len(draft.question) > MAX_QUESTION_CHARS:
        return f"问题超过 {MAX_QUESTION_CHARS} 字"
    if len(draft.answer) > MAX_ANSWER_CHARS:
        return f"答案超过 {MAX_ANSWER_CHARS} 字"
    if any(map(gives_orders, (draft.question, draft.answer, *draft.aliases))):
        return f"问题 {draft.question[:40]!r} 的内容像是写给模型的指令，未导入"
    return ""


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()
