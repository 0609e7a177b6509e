"""`kefu customer`: the running service is asked over HTTP, and its answers are shown."""

import json
import uuid
from pathlib import Path

from typer.testing import CliRunner, Result

from api.cli.main import cli
from tests.api.service import Service
from tests.api.test_customers import got, written


def run(service: Service, *arguments: str, said: str = "") -> Result:
    command = ["customer", *arguments, "--url", service.url]
    return CliRunner().invoke(cli, command, input=said or None)


def done(service: Service, *arguments: str, said: str = "") -> str:
    result = run(service, *arguments, said=said)
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    return result.stdout


def test_a_customer_is_listed_and_shown_with_the_arithmetic(service: Service) -> None:
    number, sender = written(service)
    assert sender in done(service, "list", "--search", sender)
    shown = done(service, "show", str(number))
    assert "满意度 0.60 × 40(没有数据,按中性值)" in shown
    assert "活跃度 1.00 × 30(近 30 天 1 / 全部 1 条消息)" in shown
    assert json.loads(done(service, "show", str(number), "--json"))["id"] == number


def test_a_list_goes_on_where_it_ended(service: Service) -> None:
    written(service)
    written(service)
    first = done(service, "list", "--limit", "1")
    cursor = first.rsplit("--cursor ", 1)[1].strip()
    second = done(service, "list", "--limit", "1", "--cursor", cursor, "--json")
    assert len(json.loads(second)["items"]) == 1


def test_tags_levels_and_deals_are_changed(service: Service) -> None:
    number, _ = written(service)
    assert "老客户" in done(service, "tag", str(number), "--add", "老客户")
    assert "黑名单*" in done(service, "level", str(number), "black")
    assert "人工指定" not in done(service, "level", str(number), "auto")
    assert "成交客户" in done(service, "deal", str(number), uuid.uuid4().hex, "120.5")
    assert got(service, number)["standing"]["paid"] == 120.5


def test_two_are_merged_and_come_apart(service: Service) -> None:
    one, other = written(service)[0], written(service)[0]
    merged = done(service, "merge", str(one), str(other))
    assert "已合并" in merged
    number = merged.split()[1].split(":")[0]
    assert "已撤销合并" in done(service, "unmerge", str(one), number)


def test_an_export_is_written_once_and_for_its_owner_only(service: Service, tmp_path: Path) -> None:
    number, _ = written(service, words="导出我")
    out = tmp_path / "customer.json"
    done(service, "export", str(number), "--out", str(out))
    assert json.loads(out.read_text("utf-8"))["messages"][0]["content"] == "导出我"
    assert out.stat().st_mode & 0o077 == 0
    assert run(service, "export", str(number), "--out", str(out)).exit_code == 2


def test_nobody_is_erased_by_a_slip(service: Service) -> None:
    number, _ = written(service)
    assert run(service, "erase", str(number), said="n\n").exit_code == 1
    assert got(service, number)["id"] == number
    assert "erased:" in done(service, "erase", str(number), "--yes")
    gone = run(service, "show", str(number))
    assert gone.exit_code == 1


def test_a_refusal_says_what_was_wrong(service: Service) -> None:
    number, _ = written(service)
    refused = run(service, "level", str(number), "golden")
    assert refused.exit_code == 1
    assert "level" in refused.stderr
