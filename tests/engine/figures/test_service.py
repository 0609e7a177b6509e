"""An alert of a running service reaches staff, once, and so does its end."""

from pathlib import Path

from sqlalchemy import text

from tests.api.service import Service, running_service
from tests.api.wecom.test_callback import until
from tests.databases import open_database
from tests.sandbox_server import SandboxServer

PARKED = (
    "INSERT INTO dead_letters (conversation_id, message_ids, error, attempts, status, created_at)"
    " VALUES ('c', '[]', 'e', 3, 'parked', 'now')"
)


def told(sandbox: SandboxServer) -> list[str]:
    return [item["text"] for item in sandbox.get("/_sandbox/staff/inbox")["items"]]


def execute(service: Service, statement: str) -> None:
    with service.kefu.engine.database.engine.begin() as connection:
        connection.execute(text(statement))


def test_staff_reads_of_an_alert_once_and_of_its_end_once(
    sandbox_server: SandboxServer, tmp_path: Path
) -> None:
    with running_service(
        tmp_path,
        sandbox_url=sandbox_server.url,
        alerts=True,
        alert_check_s=0.1,
        alert_calm_s=0,
        alert_cpu_percent=-1,
    ) as service:
        execute(service, PARKED)
        until(lambda: len(told(sandbox_server)) == 1)
        execute(service, PARKED)
        execute(service, "DELETE FROM dead_letters")
        until(lambda: len(told(sandbox_server)) == 2)
    assert told(sandbox_server) == [
        "当前 1 条，超过阈值 0 条。处理失败 1 条，投递失败 0 条，请在「投递」页查看。",
        "当前 0 条（阈值 0 条），告警持续了 1 分钟。",
    ]


def test_a_process_that_stops_leaves_nothing_to_miss_it_by(tmp_path: Path) -> None:
    with running_service(tmp_path, alerts=True, alert_check_s=0.1) as service:
        until(lambda: service.rows("processes") == 1)
    with (
        open_database(f"sqlite:///{tmp_path / 'kefu.db'}") as database,
        database.engine.connect() as connection,
    ):
        assert connection.execute(text("SELECT COUNT(*) FROM processes")).scalar_one() == 0
