"""Knowledge entries, and how files become entries.

A file is read, decoded (utf-8, then gb18030) and parsed by its suffix (`knowledge.formats`). What
cannot be used is reported with its reason and skips only itself. Everything here is synchronous:
run `load_paths` in a thread.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from domain.errors import KnowledgeError
from domain.text import clean
from knowledge.formats import PARSERS, Draft

MAX_FILE_BYTES = 20 * 1024 * 1024
MAX_QUESTION_CHARS = 500
MAX_ANSWER_CHARS = 20_000

Progress = Callable[[int, int], None]
"""Called with (done, total)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One meaning: a question, its other wordings (``aliases``) and its answer.

    ``id`` follows from source and question, so that an edited answer keeps it; ``content_hash``
    covers everything else that is stored, so that an unchanged entry is recognised.
    ``source`` is ``document#topic``, or ``document`` where there is no topic; ``position`` is where
    in the document a reader finds it, in their words (``第 3 页``, ``价目表 第 5 行``, ``安装 > 费用``).
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
    progress: Progress | None = None,
) -> LoadReport:
    """Entries of all files at ``paths``; folders are walked for files of a known format.

    ``category`` overrides what files say; without it an entry's category is its row's, else the
    file's name without suffix.
    """
    loaded = _Loaded()
    files = list(_files(paths, loaded.failures))
    for done, (path, name) in enumerate(files, start=1):
        if name in loaded.documents:
            loaded.failures.append(KnowledgeError(str(path), f"另一个文件也叫 {name!r}，请改名"))
        else:
            _load_file(path, name, category, loaded)
        if progress is not None:
            progress(done, len(files))
    return LoadReport(
        tuple(loaded.entries.values()), tuple(loaded.failures), frozenset(loaded.documents)
    )


def _files(
    paths: Iterable[Path | str], failures: list[KnowledgeError]
) -> Iterator[tuple[Path, str]]:
    for path in map(Path, paths):
        if path.is_dir():
            for child in sorted(path.rglob("*")):
                if child.is_file() and child.suffix.lower() in PARSERS:
                    yield child, _readable_name(child.relative_to(path).as_posix())
        elif path.is_file():
            yield path, _readable_name(path.name)
        else:
            failures.append(KnowledgeError(str(path), "文件不存在"))


def _readable_name(name: str) -> str:
    """Names from other systems may be GBK bytes, which Python hands over as lone surrogates."""
    raw = os.fsencode(name)
    for encoding in ("utf-8", "gb18030"):
        with contextlib.suppress(UnicodeDecodeError):
            return raw.decode(encoding)
    return name.encode("utf-8", "replace").decode()


def _load_file(path: Path, name: str, category: str | None, loaded: _Loaded) -> None:
    parser = PARSERS.get(path.suffix.lower())
    if parser is None:
        known = " ".join(sorted(PARSERS))
        loaded.failures.append(KnowledgeError(name, f"不支持的文件格式；支持 {known}"))
        return
    try:
        drafts = parser(read_text(path, name))
        entries = list(_entries(drafts, name, category, loaded.failures))
    except KnowledgeError as error:
        loaded.failures.append(KnowledgeError(name, error.reason))
        return
    loaded.documents.add(name)
    if not entries:
        loaded.failures.append(KnowledgeError(name, "没有找到任何问答"))
    for entry in entries:
        loaded.add(entry)


def _entries(
    drafts: Iterable[Draft], name: str, category: str | None, failures: list[KnowledgeError]
) -> Iterator[Entry]:
    for draft in drafts:
        problem = _problem(draft)
        if problem:
            failures.append(KnowledgeError(f"{name}:{draft.line}", problem))
            continue
        yield make_entry(
            draft.question,
            draft.answer,
            source=f"{name}#{draft.topic}" if draft.topic else name,
            aliases=draft.aliases,
            category=category or draft.category or Path(name).stem,
            tags=draft.tags,
            position=draft.position,
        )


def _problem(draft: Draft) -> str:
    if not draft.question:
        return "缺少问题"
    if not draft.answer:
        return f"问题 {draft.question[:40]!r} 没有答案"
    if len(draft.question) > MAX_QUESTION_CHARS:
        return f"问题超过 {MAX_QUESTION_CHARS} 字"
    if len(draft.answer) > MAX_ANSWER_CHARS:
        return f"答案超过 {MAX_ANSWER_CHARS} 字"
    return ""


def read_text(path: Path, name: str) -> str:
    """Decoded text of a file. Raises KnowledgeError for what is too big, binary or unreadable."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise KnowledgeError(name, f"文件超过 {MAX_FILE_BYTES // 1024 // 1024} MB")
        return decode(path.read_bytes(), name)
    except OSError as error:
        raise KnowledgeError(name, f"无法读取：{error.strerror}") from error


def decode(data: bytes, name: str) -> str:
    if b"\x00" in data:
        raise KnowledgeError(name, "不是文本文件")
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise KnowledgeError(name, "编码既不是 UTF-8 也不是 GB18030")


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()
