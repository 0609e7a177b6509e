"""Where regressions are kept: one file each, in a folder of the data folder or a chosen one."""

import asyncio
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from domain.errors import InvalidInput, NotFound
from engine.regressions.lines import MAX_BYTES, ScriptError
from engine.regressions.script import ENDINGS, ReadScript, Script, read_scripts, scripts_of, written
from engine.settings import Settings

FOLDER = "regressions"
MAX_FILES = 2_000
_NAME = re.compile(r"\w[\w-]{0,79}")


@dataclass(frozen=True, slots=True)
class KeptFile:
    """``scripts``: empty where ``problem`` says why they cannot be read."""

    name: str
    text: str
    saved_ts: float
    scripts: tuple[ReadScript, ...]
    problem: str = ""

    @property
    def sources(self) -> frozenset[str]:
        """What they were saved from (channel:account), of those that say it."""
        return frozenset(one.script.source for one in self.scripts if one.script.source)


def regressions_folder(settings: Settings) -> Path:
    chosen = settings.regressions_dir
    return chosen.expanduser() if chosen else settings.data_dir.expanduser() / FOLDER


class Regressions:
    """Files are written whole or not at all; every method works in a thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def listed(self) -> list[KeptFile]:
        """By name."""
        return await asyncio.to_thread(self._listed)

    async def get(self, name: str) -> KeptFile:
        """Raises NotFound."""
        return await asyncio.to_thread(self._get, name)

    async def keep(
        self,
        name: str,
        script: Script,
        *,
        comment: str = "",
        pictures: Mapping[str, bytes] | None = None,
        replace: bool = False,
    ) -> KeptFile:
        """``pictures``: by the names under which the script shows them. Raises InvalidInput: 409
        where there is one of this name already."""
        text = written(script, comment=comment)
        return await asyncio.to_thread(self._write, name, text, pictures or {}, replace)

    async def put(self, name: str, text: str) -> KeptFile:
        """A file as a person wrote it. Raises InvalidInput with the line of a fault."""
        return await asyncio.to_thread(self._put, name, text)

    async def drop(self, name: str) -> None:
        """With its pictures. Raises NotFound."""
        await asyncio.to_thread(self._drop, name)

    def _listed(self) -> list[KeptFile]:
        if not self.folder.is_dir():
            return []
        files = sorted(one for one in self.folder.iterdir() if one.suffix in ENDINGS)
        return [self._read(one) for one in files[:MAX_FILES]]

    def _get(self, name: str) -> KeptFile:
        return self._read(self._found(name))

    def _read(self, path: Path) -> KeptFile:
        saved = path.stat().st_mtime
        try:
            scripts = tuple(read_scripts(path, shown=path.name))
        except ScriptError as error:
            return KeptFile(path.stem, _text_of(path), saved, (), str(error))
        return KeptFile(path.stem, _text_of(path), saved, scripts)

    def _put(self, name: str, text: str) -> KeptFile:
        try:
            scripts_of(f"{name}.yaml", text.encode(), self.folder)
        except ScriptError as error:
            raise InvalidInput("text", f"第 {error.line} 行：{error.reason}") from None
        return self._write(name, text, {}, True)

    def _write(
        self, name: str, text: str, pictures: Mapping[str, bytes], replace: bool
    ) -> KeptFile:
        path = self._path(name)
        if path.exists() and not replace:
            raise InvalidInput("name", f"已有同名的回归用例 {name!r}", status=409)
        self.folder.mkdir(parents=True, exist_ok=True)
        for picture, data in pictures.items():
            _write_whole(self.folder / picture, data)
        _write_whole(path, text.encode())
        return self._read(path)

    def _drop(self, name: str) -> None:
        path = self._found(name)
        path.unlink(missing_ok=True)
        for picture in self.folder.glob(f"{path.stem}.*.*"):
            picture.unlink(missing_ok=True)

    def _found(self, name: str) -> Path:
        path = self._path(name)
        if not path.is_file():
            raise NotFound("name", name)
        return path

    def _path(self, name: str) -> Path:
        if _NAME.fullmatch(name) is None:
            raise InvalidInput("name", "只能用文字、数字、_ 和 -，最多 80 个字符")
        return self.folder / f"{name}.yaml"


def picture_name(name: str, number: int, data: bytes) -> str:
    """Beside the file ``name``, and going with it."""
    kinds = ((b"\x89PNG", "png"), (b"\xff\xd8", "jpg"), (b"GIF8", "gif"))
    ending = next((kind for start, kind in kinds if data.startswith(start)), "webp")
    return f"{name}.{number}.{ending}"


def name_for(question: str, turn_id: str) -> str:
    """A name that tells what it is about and is nobody else's."""
    words = re.sub(r"\W+", "-", question).strip("-")[:40].strip("-") or "conversation"
    return f"{words}-{turn_id[-6:]}"


def _text_of(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(MAX_BYTES).decode("utf-8", "replace")


def _write_whole(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    os.replace(part, path)
