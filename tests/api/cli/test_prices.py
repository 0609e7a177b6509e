"""`kefu prices`: the book of a running service, and a file on its own."""

import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.cli.main import cli
from domain.errors import ConfigurationError
from tests.api.service import Service, running_service

DEFAULT = (resources.files("engine") / "defaults" / "price_book.yaml").read_text("utf-8")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["prices", *arguments])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "prices.yaml"
    path.write_text(DEFAULT.replace("name: 高清修复", "name: 高清[粗体]"), "utf-8")
    return path


@pytest.fixture
def priced(file: Path, tmp_path: Path) -> Iterator[Service]:
    with running_service(tmp_path / "data", price_book_file=file) as running:
        yield running


def test_the_book_in_use_is_shown_and_reloaded(priced: Service, file: Path) -> None:
    shown = run("show", "--url", priced.url)
    assert shown.exit_code == 0, shown.output
    assert "高清[粗体]" in shown.stdout
    assert "版本 2026.2" in shown.stdout
    assert "价目没有变化" in run("reload", "--url", priced.url).stdout
    file.write_text(DEFAULT.replace("2026.2", "2026.9"), "utf-8")
    reloaded = json.loads(run("reload", "--json", "--url", priced.url).stdout)
    assert (reloaded["changed"], reloaded["version"]) == (True, "2026.9")


def test_a_file_that_cannot_be_used_is_refused_with_1_and_shown(
    priced: Service, file: Path
) -> None:
    file.write_text(DEFAULT.replace("floor: 18", "floor: 99"), "utf-8")
    refused = run("reload", "--url", priced.url)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "price_book.services.1.floor" in refused.stderr
    assert "文件不能使用" in run("show", "--url", priced.url).stdout


def test_a_file_is_checked_without_a_service(file: Path) -> None:
    assert "可以使用:版本 2026.2" in run("check", str(file)).stdout
    file.write_text(DEFAULT.replace("base: 25", "base: x"), "utf-8")
    result = run("check", str(file))
    assert isinstance(result.exception, ConfigurationError)
    assert "(line " in str(result.exception)
    file.write_bytes(DEFAULT.encode("gbk"))
    assert run("check", str(file)).exit_code == 2
