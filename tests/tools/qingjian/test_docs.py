"""The mapping in the documentation is one, and reads the frame beside it."""

import json
import re
from pathlib import Path

from domain.messages import InboundMessage
from tools.qingjian.mapping import QingjianMapping, parse_mapping
from tools.qingjian.protocol import CustomerFrame, OutgoingMessage, message_frame, read_frame

TEXT = (Path(__file__).parents[3] / "docs" / "qingjian.md").read_text("utf-8")


def documented() -> QingjianMapping:
    (block,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    return parse_mapping(block, "docs/qingjian.md")


def read() -> InboundMessage:
    shown = re.search(r'`(\{"cmd": "recv".*?)`', TEXT, re.DOTALL)
    assert shown is not None
    frame = read_frame(documented(), shown[1], received_at=1_800_000_000.0)
    assert isinstance(frame, CustomerFrame)
    return frame.message


def test_the_documented_mapping_reads_the_documented_frame() -> None:
    message = read()
    assert (message.account, message.sender_id, message.text) == ("9", "u1", "在吗")
    assert (message.sender_name, message.sent_at) == ("小明", 1_700_000_000.123)


def test_the_documented_mapping_answers_without_a_group_outside_of_one() -> None:
    answer = OutgoingMessage("t1", "9", "AliWorkbench", "u1", "u1", "text", text="在的")
    sent = json.loads(message_frame(documented(), answer, now=0.0))
    assert sent["data"] == {"shop": "9", "uid": "u1", "text": "在的"}


def test_every_key_of_the_file_is_documented() -> None:
    for name, field in QingjianMapping.model_fields.items():
        assert name == "comment" or f"`{name}" in TEXT, name
        for key in getattr(field.annotation, "model_fields", {}):
            ways = (f"`{key}", f"{{{key}", f"`{name}.{key}")
            assert any(way in TEXT for way in ways), f"{name}.{key}"
