"""What `kefu doctor` says of how customers' data is kept. Nothing is made or written."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from api.cli.findings import Finding, State
from domain.errors import ConfigurationError

if TYPE_CHECKING:
    from engine.settings import Settings

PART = "protection"
MAKE = "kefu keys new 生成一个,写入每个进程的 KEFU_FIELD_KEYS"
KEEP = "另外保管它:备份里没有,丢失后姓名、电话和地址无法恢复"


def check_protection(settings: "Settings") -> Iterator[Finding]:
    yield _keys(settings)
    yield _retention(settings)


def _keys(settings: "Settings") -> Finding:
    from engine.protection.keys import FILE, LOCAL, OFF, field_keys

    told = settings.field_keys.get_secret_value().strip() if settings.field_keys else ""
    if told == OFF:
        return Finding(PART, State.NOTE, "KEFU_FIELD_KEYS 为 off:姓名、电话和地址按原样存放", MAKE)
    try:
        ids = field_keys(settings, make=False).ids
    except ConfigurationError as error:
        return Finding(PART, State.FAULT, str(error), f"改正 {error.variable}")
    if not ids and not settings.database_dsn().startswith("sqlite"):
        return Finding(PART, State.NOTE, "没有密钥:姓名、电话和地址按原样存放", MAKE)
    if not ids:
        return Finding(PART, State.OK, f"首次启动时在数据目录生成密钥 {FILE}")
    if ids[0] == LOCAL:
        return Finding(PART, State.OK, f"姓名、电话和地址用数据目录的 {FILE} 加密。{KEEP}")
    others = f";{', '.join(ids[1:])} 只用于读取" if ids[1:] else ""
    return Finding(PART, State.OK, f"姓名、电话和地址用密钥 {ids[0]} 加密{others}")


def _retention(settings: "Settings") -> Finding:
    from engine.protection.sweep import retention_days

    days = retention_days(settings)
    kept = ", ".join(f"{kind} {days[kind]:g} 天" for kind in days if days[kind])
    return Finding("retention", State.OK, f"到期删除:{kept}" if kept else "数据一直保留")
