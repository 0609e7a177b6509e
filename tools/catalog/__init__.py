"""The tools that come with the engine, by family. Their effects are rows; none calls a peer."""

from typing import Any

from tools.catalog import customers, handing_over, picture_work, sending
from tools.registry import Tool

FAMILIES = (sending, handing_over, customers, picture_work)


def catalogue() -> tuple[Tool[Any], ...]:
    return tuple(tool for family in FAMILIES for tool in family.TOOLS)
