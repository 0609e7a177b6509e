"""What is in deploy/: it names what exists, and the programs that it is for take it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from api.cli.main import cli
from engine.settings import Settings, load_settings
from engine.settings.settings import field_names

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
KNOWN = {name for field in Settings.model_fields for name in field_names(field)}
NOT_OURS = {"POSTGRES_PASSWORD", "FORWARDED_ALLOW_IPS"}
"""Read by compose.yaml and by uvicorn."""
ASSIGNED = re.compile(r"^#?([A-Z][A-Z0-9_]+)=(.*)$", re.MULTILINE)
UNITS = ("kefu-serve@.service", "kefu-worker@.service", "kefu-backup.service")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    return found


def test_the_example_of_settings_names_none_that_does_not_exist() -> None:
    named = {name for name, _ in ASSIGNED.findall((DEPLOY / "kefu.env.example").read_text("utf-8"))}
    assert named >= {"KEFU_API_KEY", "SECRET_KEY", "KEFU_FIELD_KEYS", "DATABASE_URL", "KEFU_ROLE"}
    assert named - KNOWN == NOT_OURS


def test_the_example_of_settings_starts_once_it_is_filled_in(tmp_path: Path) -> None:
    written = (DEPLOY / "kefu.env.example").read_text("utf-8")
    filled = re.sub(
        r"^((?:KEFU_API|SECRET|DEEPSEEK_API)_KEY)=$", r"\1=" + "k" * 43, written, flags=re.M
    )
    file = tmp_path / ".env"
    file.write_text(filled, "utf-8")
    settings = load_settings(env_files=(file,), host="0.0.0.0")
    assert settings.role == "api"
    assert settings.drain_s == 5
    assert settings.database_dsn().startswith("postgresql://")


def test_two_doors_leave_turns_to_two_workers(compose: dict[str, Any]) -> None:
    services = compose["services"]
    doors = [one for one in services.values() if one.get("command", [""])[0] == "serve"]
    workers = [one for one in services.values() if one.get("command", [""])[0] == "worker"]
    assert (len(doors), len(workers)) == (2, 2)
    assert all(one["environment"]["KEFU_ROLE"] == "api" for one in doors)
    for one in [*doors, *workers]:
        assert one["environment"]["DATABASE_URL"].startswith("postgresql://")
        assert one["volumes"] == ["kefu-data:/var/lib/kefu"]
        assert "/livez" in one["healthcheck"]["test"][-1]
        assert set(one["environment"]) <= KNOWN | NOT_OURS


def test_services_volumes_and_files_of_the_compose_file_exist(compose: dict[str, Any]) -> None:
    services, volumes = compose["services"], compose["volumes"]
    for name, one in services.items():
        assert "image" in one, name
        assert set(one.get("depends_on", ())) <= set(services)
        for mount in one.get("volumes", ()):
            source = mount.split(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in volumes
    mounted = {mount.split(":")[0] for one in services.values() for mount in one.get("volumes", ())}
    assert set(volumes) <= mounted


def test_nginx_passes_on_to_the_doors_of_the_compose_file(compose: dict[str, Any]) -> None:
    written = (DEPLOY / "nginx" / "upstream.conf").read_text("utf-8")
    named = set(re.findall(r"server ([\w-]+):6060", written))
    doors = {n for n, one in compose["services"].items() if one.get("command", [""])[0] == "serve"}
    assert named == doors


def test_chroma_is_the_server_of_the_client_that_is_locked(compose: dict[str, Any]) -> None:
    locked = re.search(r"^chromadb==(\S+)", (ROOT / "requirements.lock").read_text(), re.M)
    assert locked is not None
    assert compose["services"]["chroma"]["image"] == f"chromadb/chroma:{locked[1]}"


def test_the_image_gets_every_package_of_the_product() -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    found = re.search(r'^include = \[(".*")\]$', project, re.M)
    assert found is not None
    packages = {name.strip('"* ') for name in found[1].split(",")}
    let_in = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    assert packages <= {line[1:] for line in let_in if line.startswith("!")}
    assert all((ROOT / line[1:]).exists() for line in let_in if line.startswith("!"))


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_takes_the_units(unit: str, tmp_path: Path) -> None:
    written = (DEPLOY / "systemd" / unit).read_text("utf-8")
    kefu = Path(sys.executable).with_name("kefu")
    name = unit.replace("@", "@6060")
    (tmp_path / name).write_text(written.replace("/opt/kefu/.venv/bin/kefu", str(kefu)), "utf-8")
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(tmp_path / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stderr
    assert name not in verified.stderr


@pytest.mark.parametrize(("unit", "most"), list(zip(UNITS, (20, 20, 40), strict=True)))
def test_what_a_unit_may_do_is_little(unit: str, most: int) -> None:
    """Exposure in tenths, as `systemd-analyze security` counts it: 96 without any of this."""
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={most}"]
    rated = subprocess.run(
        [*command, str(DEPLOY / "systemd" / unit)], capture_output=True, text=True, check=False
    )
    assert rated.returncode == 0, rated.stdout[-300:]


def test_units_leave_time_for_an_end_in_order() -> None:
    """Drain, uvicorn's 15 s, turns 10 s, deliveries 10 s, runners 10 s each."""
    for unit in UNITS[:2]:
        assert "TimeoutStopSec=90" in (DEPLOY / "systemd" / unit).read_text("utf-8")


def test_programs_of_these_tests_are_there() -> None:
    """`make test` installs them; a test that is left out proves nothing."""
    assert shutil.which("systemd-analyze")
    assert shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


def test_the_guide_names_settings_commands_and_files_that_exist() -> None:
    guide = (ROOT / "docs" / "deployment.md").read_text("utf-8")
    settings = set(re.findall(r"\bKEFU_[A-Z0-9_]+\b", guide)) - {"KEFU_HTTP_PORT"}  # compose.yaml's
    assert settings >= {"KEFU_ROLE", "KEFU_DRAIN_S", "KEFU_WORKER_PORT"}
    assert settings <= KNOWN
    commands = set(typer.main.get_command(cli).commands)  # type: ignore[attr-defined]
    assert set(re.findall(r"^(?:\w+=\S+ )*kefu (\w+)", guide, re.M)) <= commands
    for path in re.findall(r"`((?:deploy|tests|docs|engine|storage)/[\w/.-]*)`", guide):
        assert (ROOT / path).exists(), path
