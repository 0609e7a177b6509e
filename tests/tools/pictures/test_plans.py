"""What is planned of a customer's words, and what is left to a person."""

from dataclasses import replace

import pytest

from domain.pictures import PictureFacts, PictureKind
from tools.pictures.operations import (
    Background,
    Compress,
    Convert,
    Denoise,
    Enlarge,
    Operation,
    Resize,
    Rotate,
    Sharpen,
    TrimBorders,
)
from tools.pictures.plans import COLOURS, finish_of, plan_of

FACTS = PictureFacts("a" * 64, 1_000, "JPEG", 1_200, 900, sharpness=0.6)
BLUE, WHITE = COLOURS["蓝"], COLOURS["白"]


@pytest.mark.parametrize(
    ("said", "operations"),
    [
        ("放大两倍", [Enlarge(2)]),
        ("把图片放大一倍，转成PNG格式", [Enlarge(2), Convert("png")]),
        ("帮我把这张图弄清晰一点", [Sharpen()]),
        ("去掉白色背景", [Background()]),
        ("抠图", [Background()]),
        ("不要背景", [Background()]),
        ("换成蓝底", [Background(BLUE)]),
        ("把白色背景换成蓝色", [Background(BLUE)]),
        ("去掉背景，做成白底图", [Background(WHITE)]),
        ("改成1080x1920", [Resize(1080, 1920, "pad", WHITE)]),
        ("改成 800*600 像素,300k以内", [Resize(800, 600, "cover", WHITE), Compress(307_200)]),
        ("宽度改成600", [Resize(600, 450, "cover", WHITE)]),
        ("裁掉白边", [TrimBorders()]),
        ("顺时针旋转90度", [Rotate(90)]),
        ("加急,放大2倍", [Enlarge(2)]),
    ],
)
def test_plain_requests_become_operations(said: str, operations: list[Operation]) -> None:
    plan = plan_of([said], "process", FACTS)
    assert plan is not None
    assert list(plan.operations) == operations


@pytest.mark.parametrize(
    "said",
    [
        "字改成红色", "去掉路人", "去水印", "把logo去掉", "修复老照片", "转成矢量", "黑白照片上色",
        "背景换成海边", "背景去掉,头发要精细", "把背景换成浅蓝色", "放大五倍", "不要放大",
        "背景不要去掉", "图片很模糊帮我变清晰", "把图片旋转一下", "一寸蓝底", "",
    ],
)  # fmt: skip
def test_what_needs_a_person_has_no_plan(said: str) -> None:
    assert plan_of([said], "process", FACTS) is None


def test_services_done_by_hand_blurred_blank_and_moving_pictures_have_no_plan() -> None:
    assert plan_of(["转成png"], "retouch", FACTS) is None
    assert plan_of(["变清晰"], "restore", replace(FACTS, sharpness=0.1)) is None
    assert plan_of(["转成png"], "process", replace(FACTS, frames=8)) is None
    assert plan_of(["放大2倍"], "process", replace(FACTS, kind=PictureKind.BLANK)) is None


def test_the_service_says_what_words_leave_open() -> None:
    cut = plan_of([], "cutout", FACTS)
    assert cut is not None
    assert cut.operations == (Background(),)
    noisy = plan_of([], "restore", replace(FACTS, noise=0.5))
    assert noisy is not None
    assert noisy.operations == (Denoise(1.5), Sharpen())
    assert noisy.wanted.sharper


def test_all_lines_of_an_order_must_be_understood() -> None:
    assert plan_of(["放大2倍", "字改成红色"], "process", FACTS) is None


def test_only_size_and_format_are_exact() -> None:
    exact = plan_of(["改成800x600", "转成webp"], "process", FACTS)
    touched = plan_of(["换成蓝底"], "process", FACTS)
    assert exact is not None
    assert exact.exact
    assert touched is not None
    assert not touched.exact


def test_size_and_format_are_kept_for_what_a_model_makes() -> None:
    finish = finish_of(["去掉路人", "转成jpg"], FACTS)
    assert finish is not None
    assert finish.operations == (Convert("jpg"),)
    assert finish_of(["去掉路人"], FACTS) is None
