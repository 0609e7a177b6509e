"""Bad results are found out, good ones pass."""

import pytest
from PIL import Image

from domain.pictures import PictureFacts
from tests.tools.pictures.drawing import blurred, encoded, landscape, paper
from tests.tools.pictures.making import PICTURES
from tools.pictures.checks import check
from tools.pictures.decoding import Limits
from tools.pictures.inspect import inspect
from tools.pictures.operations import perform
from tools.pictures.plans import Plan, plan_of

SCENE = landscape(600, 450)
BEFORE = encoded(SCENE)


def _facts(data: bytes) -> PictureFacts:
    return inspect(data, "0" * 64, Limits())


def _plan(said: str, before: bytes = BEFORE) -> Plan:
    plan = plan_of([said], "process", _facts(before))
    assert plan is not None
    return plan


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("photo_slightly_soft", "变清晰"),
        ("photo_landscape", "放大2倍,转成webp"),
        ("photo_portrait", "换成蓝底"),
        ("photo_portrait", "去掉背景"),
        ("photo_landscape", "改成1080x1920"),
        ("photo_landscape", "变成黑白"),
        ("photo_landscape", "转成png"),
    ],
)
def test_what_the_operations_make_passes(name: str, said: str) -> None:
    before = PICTURES[name]()
    plan = _plan(said, before)
    assert check(plan, before, perform(before, plan.operations).data) == ()


@pytest.mark.parametrize(
    ("said", "after", "why"),
    [
        ("变清晰", BEFORE, "一模一样"),
        ("变清晰", encoded(blurred(SCENE, 1.5)), "没有比原图更清晰"),
        ("变清晰", encoded(paper(1200, 900)), "空白"),
        ("变清晰", encoded(landscape(600, 450, seed=90).rotate(180)), "差别太大"),
        ("变清晰", encoded(SCENE.resize((64, 64))), "比原图小"),
        ("放大2倍", encoded(SCENE.resize((900, 675))), "应放大 2 倍"),
        ("改成800x800", encoded(SCENE.resize((800, 600))), "尺寸应是 800×800"),
        ("转成png", encoded(SCENE, "JPEG"), "格式应是 PNG"),
        ("去掉背景", encoded(SCENE.resize((601, 451))), "没有透明部分"),
        ("去掉背景", encoded(Image.new("RGBA", (600, 450), (1, 2, 3, 0))), "空白"),
        ("换成蓝底", encoded(SCENE.rotate(2)), "不是要求的背景色"),
        ("变成黑白", encoded(SCENE.rotate(1)), "还有颜色"),
        ("压缩到20K", BEFORE, "20KB 以内"),
        ("变清晰", b"not a picture", "打不开"),
    ],
)
def test_a_bad_result_has_its_reason(said: str, after: bytes, why: str) -> None:
    assert why in ";".join(check(_plan(said), BEFORE, after))


def test_without_a_plan_what_holds_for_every_result_is_checked() -> None:
    assert check(None, BEFORE, BEFORE)
    assert check(None, BEFORE, encoded(paper(600, 450)))
    assert check(None, BEFORE, encoded(blurred(SCENE, 2))) == ()
