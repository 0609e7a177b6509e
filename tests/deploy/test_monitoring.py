"""What is in deploy/ for Prometheus and Grafana is right: checked by promtool, and every metric and
label that it names is one that a running service shows."""

import itertools
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from domain.alerts import AlertName
from engine.settings import Settings
from tests.api.service import Service, running_service

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS, GRAFANA = ROOT / "deploy" / "prometheus", ROOT / "deploy" / "grafana"
RULES = PROMETHEUS / "kefu-rules.yml"
DASHBOARD = GRAFANA / "dashboards" / "kefu.json"
OURS = re.compile(r"\b(?:kefu|process)_[a-z0-9_]+\b(?!\s*\()")
RECORDED = re.compile(r"\bkefu:[a-z0-9_:]+")
GROUPED = re.compile(r"\b(?:by|without)\s*\(([^)]*)\)")
MATCHED = re.compile(r"\b([a-z_]+)\s*(?:=~|!~|!=|=)\s*\"")
ADDED_BY_PROMETHEUS = {"instance", "job", "le", "alertstate", "alertname"}


def promtool(*arguments: str | Path) -> str:
    done = subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules() -> list[dict[str, Any]]:
    found = yaml.safe_load(RULES.read_text("utf-8"))
    return [rule for group in found["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text("utf-8"))
    return found


def shown() -> list[str]:
    """Every expression of the dashboard."""
    panels = dashboard()["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


EXPRESSIONS = sorted({rule["expr"] for rule in rules()} | set(shown()))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("measured")) as running:
        running.ask("你好", message_id="1", chat_id="ann")
        yield running


@pytest.fixture(scope="module")
def exposed(service: Service) -> dict[str, str]:
    """Names of the metrics and their types, as scraped."""
    lines = service.client.get("/metrics").text.splitlines()
    types = (line.split()[2:] for line in lines if line.startswith("# TYPE "))
    return {line[0]: line[1] for line in types}


def test_promtool_takes_the_rules_and_the_configuration(tmp_path: Path) -> None:
    assert "SUCCESS" in promtool("check", "rules", RULES)
    promtool("check", "config", "--syntax-only", PROMETHEUS / "prometheus.yml")
    # With its files where the compose file puts them.
    key, config = tmp_path / "key", tmp_path / "prometheus.yml"
    key.write_text("secret", "utf-8")
    written = (PROMETHEUS / "prometheus.yml").read_text("utf-8")
    config.write_text(written.replace("/etc/prometheus/kefu-key", str(key)), "utf-8")
    (tmp_path / "kefu-rules.yml").write_text(RULES.read_text("utf-8"), "utf-8")
    assert "SUCCESS" in promtool("check", "config", config)


def test_each_alert_fires_when_it_should_and_is_quiet_when_it_should_not() -> None:
    assert "SUCCESS" in promtool("test", "rules", Path(__file__).parent / "kefu-rules.test.yml")


def test_every_expression_of_the_dashboard_is_promql(tmp_path: Path) -> None:
    recorded = [
        {"record": f"panel:{number}", "expr": expression}
        for number, expression in enumerate(shown())
    ]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}), "utf-8")
    assert f"{len(recorded)} rules found" in promtool("check", "rules", file)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_metric_that_is_named_exists(exposed: dict[str, str], expression: str) -> None:
    series = dict(exposed)
    for name, kind in exposed.items():
        if kind == "histogram":
            series |= {f"{name}_{part}": kind for part in ("bucket", "sum", "count")}
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    named = set(OURS.findall(RECORDED.sub("", expression)))
    assert named - series.keys() == set()
    assert set(RECORDED.findall(expression)) - recorded == set()
    assert named or RECORDED.search(expression) or "up{" in expression


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_label_that_is_named_is_one_of_the_metrics(service: Service, expression: str) -> None:
    collectors = service.kefu.metrics.registry._names_to_collectors
    known = set(ADDED_BY_PROMETHEUS)
    for name in OURS.findall(RECORDED.sub("", expression)):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        collector: Any = collectors.get(name) or collectors.get(base)
        known |= set(getattr(collector, "_labelnames", ()))
    if RECORDED.search(expression):
        return
    grouped = itertools.chain.from_iterable(part.split(",") for part in GROUPED.findall(expression))
    named = {label.strip() for label in grouped} | set(MATCHED.findall(expression))
    assert named - known == set()


def test_rates_are_of_counters_and_nothing_else(exposed: dict[str, str]) -> None:
    for expression in EXPRESSIONS:
        for name in re.findall(r"(?:rate|increase)\((\w+)", expression):
            assert name.endswith(("_total", "_sum", "_count", "_bucket")), expression
            assert exposed.get(name, "counter") == "counter"


def test_panels_are_numbered_apart_lie_apart_and_ask_the_provisioned_source() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    source = yaml.safe_load((GRAFANA / "provisioning/datasources/kefu.yml").read_text("utf-8"))
    uid = source["datasources"][0]["uid"]
    targets = [target for panel in panels for target in panel.get("targets", ())]
    assert {target["datasource"]["uid"] for target in targets} == {uid}
    provider = yaml.safe_load((GRAFANA / "provisioning/dashboards/kefu.yml").read_text("utf-8"))
    compose = (ROOT / "deploy" / "compose.yaml").read_text("utf-8")
    assert f":{provider['providers'][0]['options']['path']}:ro" in compose


@pytest.mark.parametrize(
    ("alert", "setting", "unit"),
    [
        ("KefuCpuHigh", "alert_cpu_percent", 100),
        ("KefuMemoryHigh", "alert_memory_percent", 100),
        ("KefuDiskHigh", "alert_disk_percent", 100),
        ("KefuResponseSlow", "alert_response_ms", 1_000),
        ("KefuAnswersLate", "alert_late_percent", 100),
        ("KefuTokensHigh", "alert_tokens_day", 1),
        ("KefuQueueAge", "alert_queue_age_s", 1),
        ("KefuOutboxAge", "alert_outbox_age_s", 1),
        ("KefuDeadLetters", "alert_dead_letters", 1),
        ("KefuProviderOpen", "alert_providers_open", 1),
        ("KefuClientOffline", "alert_clients_offline", 1),
        ("KefuProcessLost", "alert_processes_lost", 1),
    ],
)
def test_thresholds_are_the_defaults_of_the_service(alert: str, setting: str, unit: int) -> None:
    (rule,) = [one for one in rules() if one.get("alert") == alert]
    (threshold,) = re.findall(r"> ([0-9.]+)(?: and|$)", rule["expr"])
    assert float(threshold) * unit == Settings.model_fields[setting].default


def test_the_documentation_names_metrics_and_settings_that_there_are(
    exposed: dict[str, str],
) -> None:
    told = (ROOT / "docs" / "figures.md").read_text("utf-8")
    assert set(re.findall(r"`(kefu_[a-z_]+)`", told)) - exposed.keys() == set()
    settings = {f"KEFU_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"`(KEFU_ALERT[A-Z_]*)", told)) - settings == set()
    alerts = {str(name) for name in AlertName}
    assert set(re.findall(r"^\| `([a-z_]+)` \| .* \| `KEFU_ALERT", told, re.MULTILINE)) == alerts


def test_every_alert_says_in_chinese_what_it_is_about() -> None:
    for rule in rules():
        if "alert" in rule:
            assert re.search(r"[\u4e00-\u9fff]", rule["annotations"]["summary"])
            assert rule["labels"]["severity"] in {"warning", "critical"}
