"""The OpenAPI document with the tools' own schemas in it, so that calls get past the first check.

In the service's document a tool's arguments are any object, since which tools there are is for the
service to say (``GET /api/tools``).
"""

import copy
from typing import Any

JsonObject = dict[str, Any]

CALL = "/api/tools/{name}"
_ACTION = "TaskAction"


def sharpened(document: JsonObject, tools: list[JsonObject]) -> JsonObject:
    """``document`` with two more operations for each of ``tools`` (as ``GET /api/tools`` lists
    them), and with their arguments as the actions of tasks. Its own operations stay."""
    made = copy.deepcopy(document)
    for tool in tools:
        made["paths"][CALL.replace("{name}", tool["name"])] = _of_tool(tool, document)
    schemas = made["components"]["schemas"]
    schemas[_ACTION] = {"anyOf": [*map(_as_action, tools), schemas[_ACTION]]}
    return made


def _of_tool(tool: JsonObject, document: JsonObject) -> JsonObject:
    methods: JsonObject = copy.deepcopy(document["paths"][CALL])
    for operation in methods.values():
        operation["operationId"] += f"_{tool['name']}"
        operation["parameters"] = [p for p in operation["parameters"] if p["in"] != "path"]
    content = {"application/json": {"schema": tool["input_schema"]}}
    methods["post"]["requestBody"] = {"required": True, "content": content}
    return methods


def _as_action(tool: JsonObject) -> JsonObject:
    arguments: JsonObject = tool["input_schema"]
    return arguments | {
        "properties": {"type": {"const": tool["name"]}} | arguments.get("properties", {}),
        "required": ["type", *arguments.get("required", [])],
    }
