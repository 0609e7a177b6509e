"""`kefu backup` and `kefu restore`."""

import shutil
from pathlib import Path

import pytest

from domain.errors import StorageError
from engine.protection.keys import FILE as KEY
from tests.api.cli.conftest import Command


@pytest.mark.parametrize("name", ["backup", "backup.tar"])
def test_a_backup_is_put_back_and_told_of(filled: Command, tmp_path: Path, name: str) -> None:
    told = filled.json("backup", str(tmp_path / name))
    assert told["database"] == "sqlite"
    assert sum(told["rows"].values()) > 100
    other = Command(tmp_path / "other")
    said = other.done("restore", str(tmp_path / name))
    total = sum(told["rows"].values())
    assert f"已恢复:{len(told['rows'])} 张表 {total} 行" in said
    shutil.copy(filled.data_dir / KEY, other.data_dir)  # it is kept apart from backups
    assert "充电桩" in other.done("kb", "search", "充电桩怎么安装")


def test_keys_that_a_backup_lacks_are_named(filled: Command, tmp_path: Path) -> None:
    (filled.data_dir / "secret.key").write_text("a secret")
    assert "密钥不在备份中,请另行保管:" in filled.done("backup", str(tmp_path / "backup"))


def test_what_is_there_is_replaced_only_when_told_so(filled: Command, tmp_path: Path) -> None:
    filled.done("backup", str(tmp_path / "backup"))
    refused = filled("restore", str(tmp_path / "backup"))
    assert isinstance(refused.exception, StorageError)
    assert "--force" in str(refused.exception)
    filled.done("restore", str(tmp_path / "backup"), "--force")
