"""What signs the tokens where SECRET_KEY is not set."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from domain.errors import ConfigurationError
from engine.clients.secret import FILE, kept_secret, signing_secret
from tests.api.service import settings_for

GIVEN = "a secret of the tests, long enough for HS256"


def test_one_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    data = tmp_path / "new" / "data"
    first = signing_secret(settings_for(data))
    again = signing_secret(settings_for(data))
    assert first is not None
    assert again == first
    assert len(first.get_secret_value()) >= 64
    assert stat.S_IMODE((data / FILE).stat().st_mode) == 0o600
    assert [file.name for file in data.iterdir()] == [FILE]


def test_the_setting_wins_and_nothing_is_made_then(tmp_path: Path) -> None:
    found = signing_secret(settings_for(tmp_path, secret_key=GIVEN))
    assert found is not None
    assert found.get_secret_value() == GIVEN
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "more",
    [
        {"database_url": "postgresql://kefu@127.0.0.1/kefu"},
        {"host": "0.0.0.0", "api_key": "the key"},
    ],
    ids=["several processes", "other machines"],
)
def test_nothing_is_made_where_others_would_need_it_too(
    tmp_path: Path, more: dict[str, str]
) -> None:
    assert signing_secret(settings_for(tmp_path, **more)) is None
    assert list(tmp_path.iterdir()) == []


def test_who_only_looks_makes_none(tmp_path: Path) -> None:
    assert signing_secret(settings_for(tmp_path), make=False) is None
    made = signing_secret(settings_for(tmp_path))
    assert signing_secret(settings_for(tmp_path), make=False) == made


def test_processes_that_make_one_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(kept_secret, [tmp_path / FILE] * 32))
    assert len(found) == 1


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    file = tmp_path / FILE
    kept = kept_secret(file)
    file.chmod(0o644)
    assert kept_secret(file) == kept
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(ConfigurationError) as caught:
        signing_secret(settings_for(tmp_path / "data"))
    assert caught.value.variable == "SECRET_KEY"
