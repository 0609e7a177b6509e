"""`kefu token` prints what the service takes, or says what is missing."""

from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner, Result

from api.cli.main import cli
from api.cli.token import RoleName
from api.identity import TokenRefused, Tokens
from domain.errors import ConfigurationError
from engine.settings import describe_settings
from tests.api.tools.callers import MING, SECRET
from tools.registry import Caller, Role


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in describe_settings():
        for name in (setting.name, *setting.aliases):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def token(*options: str, secret: str = SECRET) -> Result:
    return CliRunner().invoke(cli, ["token", *options], env={"SECRET_KEY": secret})


def test_the_printed_token_names_its_bearer() -> None:
    made = token("--role", "customer", "--subject", "小明", "--contact", MING.contact_id)
    assert made.exit_code == 0, made.output
    assert Tokens(SECRET).read(made.stdout.strip()) == MING
    staff = token("--role", "agent", "--subject", "小李", "--hours", "1")
    assert Tokens(SECRET).read(staff.stdout.strip()) == Caller(Role.AGENT, "小李")


def test_it_is_good_for_as_long_as_it_was_asked_for() -> None:
    made = Tokens(SECRET).issue(MING, now=1_000_000.0, hours=1)
    with pytest.raises(TokenRefused, match="过期"):
        Tokens(SECRET).read(made)


@pytest.mark.parametrize(
    "options",
    [
        ("--role", "customer", "--subject", "x"),
        ("--role", "agent", "--subject", "x", "--contact", "a:b:c"),
        ("--role", "customer", "--subject", "x", "--contact", "a:b"),
        ("--role", "agent", "--subject", " x"),
        ("--role", "agent", "--subject", "x\ny"),
        ("--role", "agent", "--subject", ""),
        ("--role", "root", "--subject", "x"),
        ("--role", "agent", "--subject", "x", "--hours", "0"),
        ("--role", "agent", "--subject", "x", "--hours", "nan"),
        ("--role", "agent"),
    ],
    ids=" ".join,
)
def test_a_token_that_would_be_refused_is_not_made(options: tuple[str, ...]) -> None:
    result = token(*options)
    assert result.exit_code == 2, result.output
    assert "eyJ" not in result.output


@pytest.mark.parametrize("secret", ["", "short", "ssh-rsa " + "x" * 40])
def test_without_a_secret_that_can_sign_it_says_which_setting_is_wrong(secret: str) -> None:
    result = token("--role", "agent", "--subject", "x", secret=secret)
    assert isinstance(result.exception, ConfigurationError)
    assert result.exception.variable == "SECRET_KEY"


def test_the_command_knows_every_role() -> None:
    assert set(get_args(RoleName)) == set(Role)
