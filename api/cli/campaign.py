"""`kefu campaign`: proactive messages, made, tried, started and stopped.

Everything goes over HTTP to the running service. Exit code 1: the service refused; 2: it could not
be asked.
"""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.console import AsJson, output, print_json
from api.cli.service import Url, asked
from domain.campaigns import STATUS_WORDS

if TYPE_CHECKING:
    from rich.table import Table

PATH = "/api/v1/campaigns"
MAX_FILE_BYTES = 1 << 20
REASONS = {
    "opted_out": "已退订",
    "black": "黑名单",
    "with_person": "人工接待中",
    "recent": "近期已发过",
    "talking": "正在对话",
    "no_channel": "渠道不能主动发送",
    "quota": "平台额度不足",
    "ended": "活动已结束",
}

campaign = typer.Typer(
    help="Proactive messages: create, try, start, pause, cancel.", no_args_is_help=True
)
CampaignId = Annotated[int, typer.Argument(help="The campaign's number.", min=1)]
File = Annotated[
    typer.FileBinaryRead,
    typer.Argument(help="JSON as POST /api/v1/campaigns takes it; - for stdin.", metavar="FILE"),
]


@campaign.command("list")
def list_(
    status: Annotated[str, typer.Option(help="Only with this status.")] = "",
    before: Annotated[int, typer.Option(min=0, help="Older than this number.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 50,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Campaigns, the newest first."""
    query: dict[str, Any] = {"before": before, "limit": limit}
    query |= {"status": status} if status else {}
    found = asked(url, "GET", PATH, query=query)
    if as_json:
        print_json(found)
        return
    output().print(_table(found["items"]))


@campaign.command()
def show(campaign_id: CampaignId, url: Url = "", as_json: AsJson = False) -> None:
    """One campaign, and what became of its people."""
    _print(asked(url, "GET", f"{PATH}/{campaign_id}"), as_json)


@campaign.command()
def create(file: File, url: Url = "", as_json: AsJson = False) -> None:
    """A draft from FILE; nothing is sent yet."""
    _print(asked(url, "POST", PATH, _read(file)), as_json)


@campaign.command("dry-run")
def dry_run(file: File, url: Url = "", as_json: AsJson = False) -> None:
    """Whom the campaign in FILE would write to now, and whom not."""
    found = asked(url, "POST", f"{PATH}/dry-run", _read(file))
    if as_json:
        print_json(found)
        return
    typer.echo(
        f"符合条件 {found['matched']} 人,将发送 {found['sends']} 条,约 {found['seconds']} 秒"
    )
    for reason, number in found["skipped"].items():
        typer.echo(f"  不发送:{REASONS.get(reason, reason)} {number} 人")
    for line in found["sample"]:
        typer.echo(f"  例:{line}")


@campaign.command()
def start(
    campaign_id: CampaignId,
    at: Annotated[str, typer.Option(help="Later: ISO 8601 with an offset.")] = "",
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Begin, or go on after a pause."""
    body = {"starts_at": at} if at else {}
    _print(asked(url, "POST", f"{PATH}/{campaign_id}/start", body), as_json)


@campaign.command()
def pause(campaign_id: CampaignId, url: Url = "", as_json: AsJson = False) -> None:
    """Stop for now."""
    _print(asked(url, "POST", f"{PATH}/{campaign_id}/pause"), as_json)


@campaign.command()
def cancel(campaign_id: CampaignId, url: Url = "", as_json: AsJson = False) -> None:
    """Stop for good."""
    _print(asked(url, "POST", f"{PATH}/{campaign_id}/cancel"), as_json)


def _read(file: typer.FileBinaryRead) -> Any:
    content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise typer.BadParameter(f"大于 {MAX_FILE_BYTES} 字节", param_hint="FILE")
    try:
        return json.loads(content)
    except ValueError as error:
        raise typer.BadParameter(f"不是 JSON:{error}", param_hint="FILE") from None


def _print(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    output().print(_table([found]))
    for label, number in (found.get("people") or {}).items():
        kind, _, reason = label.partition(":")
        said = {"planned": "待发送", "sent": "已发出", "skipped": "不发送"}[kind]
        typer.echo(f"  {said}{' ' + REASONS.get(reason, reason) if reason else ''}:{number}")


def _table(items: list[dict[str, Any]]) -> "Table":
    from rich.table import Table

    table = Table("编号", "名称", "状态", "每分钟", "开始", "结束")
    for one in items:
        state, starts = STATUS_WORDS[one["status"]], one["starts_at"] or ""
        ends = one["ended_at"] or one["ends_at"] or ""
        table.add_row(str(one["id"]), one["name"], state, str(one["per_minute"]), starts, ends)
    return table
