"""Classical operations: what comes out, what is said of it, what is refused."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.tools.pictures.drawing import encoded, paper
from tests.tools.pictures.making import PICTURES
from tools.pictures.operations import (
    Background,
    CannotDo,
    Compress,
    Convert,
    Crop,
    Denoise,
    Enlarge,
    Flip,
    Grayscale,
    Operation,
    Resize,
    Rotate,
    Sharpen,
    TrimBorders,
    perform,
)


def _opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("times", [2, 3, 4])
def test_enlarging_multiplies_both_sides_and_promises_no_detail(times: int) -> None:
    done = perform(PICTURES["photo_tiny"](), [Enlarge(times)])
    before = _opened(PICTURES["photo_tiny"]())
    assert (done.width, done.height) == (before.width * times, before.height * times)
    assert "不会增加原图没有的细节" in done.said[0]


@pytest.mark.parametrize(
    ("name", "operation", "why"),
    [
        ("photo_landscape", Enlarge(5), "4 倍"),
        ("photo_large", Enlarge(4), "超出"),
        ("photo_landscape", Background(), "四周"),
        ("id_card", Background(), "太接近"),
        ("photo_fabric", Background(), "四周"),
        ("logo_transparent", Background(), "已经是透明"),
        ("photo_landscape", TrimBorders(), "没有可以裁掉"),
        ("photo_landscape", Crop(0, 0, 5_000, 10), "裁剪范围"),
        ("icon_tiny", Resize(1080, 1920), "4 倍以上"),
        ("photo_bmp", Compress(20_000), "无损"),
        ("animated", Grayscale(), "动图"),
    ],
)
def test_what_cannot_be_done_honestly_is_refused_with_its_reason(
    name: str, operation: Operation, why: str
) -> None:
    with pytest.raises(CannotDo, match=why):
        perform(PICTURES[name](), [operation])


def test_a_broken_file_is_refused() -> None:
    with pytest.raises(CannotDo):
        perform(PICTURES["photo_landscape"]()[:2_000], [Grayscale()])


def test_a_portrait_s_wall_gives_way_to_transparency_and_the_person_stays() -> None:
    done = perform(PICTURES["photo_portrait"](), [Background()])
    alpha = np.asarray(_opened(done.data).getchannel("A"))
    assert done.format == "png"
    assert alpha[5, 5] == 0
    assert alpha[600, 450] == 255
    assert 0.2 < (alpha == 0).mean() < 0.7
    assert not done.doubts


def test_a_new_background_has_exactly_the_colour_and_no_halo_of_the_old() -> None:
    image = paper(400, 400)
    ImageDraw.Draw(image).ellipse((100, 100, 300, 300), fill=(200, 20, 20))
    smooth = encoded(image.resize((200, 200), Image.Resampling.LANCZOS))
    pixels = np.asarray(_opened(perform(smooth, [Background((0, 0, 0))]).data).convert("RGB"))
    assert tuple(pixels[3, 3]) == (0, 0, 0)
    assert tuple(pixels[100, 100]) == (200, 20, 20)
    assert pixels[:, :, 1].max() < 60, "a white rim would show in the green channel"


def test_enclosed_areas_of_the_background_s_colour_are_left_and_reported() -> None:
    done = perform(PICTURES["photo_product"](), [Background()])
    assert "1 处" in done.doubts[0]


def test_padding_keeps_all_of_the_picture_and_covering_cuts() -> None:
    wide = encoded(paper(400, 200, (10, 20, 200)))
    padded = _opened(perform(wide, [Resize(300, 300, "pad", (255, 255, 255))]).data)
    covered = _opened(perform(wide, [Resize(300, 300, "cover")]).data)
    fitted = _opened(perform(wide, [Resize(300, 300, "fit")]).data)
    assert padded.size == covered.size == (300, 300)
    assert padded.getpixel((150, 5)) == (255, 255, 255)
    assert covered.getpixel((150, 5)) == (10, 20, 200)
    assert fitted.size == (300, 150)


def test_turning_is_clockwise_and_mirroring_swaps_the_sides() -> None:
    image = paper(40, 20, "white")
    image.putpixel((0, 0), (255, 0, 0))
    turned = _opened(perform(encoded(image), [Rotate(90)]).data)
    assert turned.size == (20, 40)
    assert turned.getpixel((19, 0)) == (255, 0, 0)
    assert _opened(perform(encoded(image), [Flip()]).data).getpixel((39, 0)) == (255, 0, 0)


def test_cmyk_comes_back_as_rgb_and_says_so() -> None:
    done = perform(PICTURES["photo_cmyk"](), [Sharpen()])
    assert _opened(done.data).mode == "RGB"
    assert "CMYK" in done.said[0]


def test_transparency_becomes_white_where_the_format_has_none() -> None:
    done = perform(PICTURES["logo_transparent"](), [Convert("jpg")])
    assert _opened(done.data).format == "JPEG"
    assert _opened(done.data).getpixel((2, 2)) == (255, 255, 255)


def test_compressing_stays_within_the_bytes() -> None:
    assert len(perform(PICTURES["photo_landscape"](), [Compress(150_000)]).data) <= 150_000


def test_trimming_takes_the_white_border_away() -> None:
    done = perform(PICTURES["logo_flat"](), [TrimBorders()])
    assert (done.width, done.height) == (441, 381)


def test_denoising_makes_flat_areas_calmer() -> None:
    before = np.asarray(_opened(PICTURES["photo_noisy"]()).convert("L")).astype(float)
    done = perform(PICTURES["photo_noisy"](), [Denoise(2)])
    after = np.asarray(_opened(done.data).convert("L")).astype(float)
    assert np.diff(after, axis=1).std() < 0.8 * np.diff(before, axis=1).std()
