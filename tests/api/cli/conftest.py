"""Commands run in an empty folder, with nothing of the machine's own settings."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from api.cli.main import cli
from engine.settings import describe_settings
from tests.api.service import copy_knowledge

RESTORED_LOGGERS = ("", "uvicorn", "uvicorn.error", "uvicorn.access")


@dataclass(frozen=True, slots=True)
class Command:
    """`kefu` in this process, on the data folder ``data_dir``."""

    data_dir: Path

    def __call__(self, *arguments: str, said: str | None = None) -> Result:
        every = [*arguments, "--data-dir", str(self.data_dir)]
        return CliRunner().invoke(cli, every, input=said)

    def done(self, *arguments: str, said: str | None = None) -> str:
        """Standard output of a command that must succeed."""
        result = self(*arguments, said=said)
        assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
        return result.stdout

    def json(self, *arguments: str, said: str | None = None) -> Any:
        return json.loads(self.done(*arguments, "--json", said=said))


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in describe_settings():
        for name in (setting.name, *setting.aliases):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """A command configures the logging of its process, which here is the test run's."""
    loggers = [logging.getLogger(name) for name in RESTORED_LOGGERS]
    before = [(one, one.level, one.handlers[:], one.propagate, one.disabled) for one in loggers]
    yield
    for one, level, handlers, propagate, disabled in before:
        one.setLevel(level)
        one.handlers[:], one.propagate, one.disabled = handlers, propagate, disabled


@pytest.fixture
def kefu(tmp_path: Path) -> Command:
    """On a data folder that does not exist yet."""
    return Command(tmp_path / "data")


@pytest.fixture
def filled(kefu: Command, knowledge_folder: Path) -> Command:
    """On a data folder with the sample bases."""
    copy_knowledge(knowledge_folder, kefu.data_dir)
    return kefu
