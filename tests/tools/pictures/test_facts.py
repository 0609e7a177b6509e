"""What is measured of each picture, as somebody who looks at it would say."""

import io
from functools import cache

import numpy as np
import pytest
from PIL import Image

from domain.pictures import PictureFacts, PictureKind
from tests.tools.pictures.drawing import blurred, encoded, jpeg, landscape, noisy
from tests.tools.pictures.making import PICTURES
from tools.pictures.decoding import Limits, decode
from tools.pictures.inspect import MEASURED_SIDE, distance, inspect, perceptual_hash

PHOTO, LOGO, SCREEN = PictureKind.PHOTO, PictureKind.LOGO, PictureKind.SCREENSHOT
DOCUMENT, BLANK = PictureKind.DOCUMENT, PictureKind.BLANK


@cache
def facts(name: str) -> PictureFacts:
    return inspect(PICTURES[name](), "0" * 64, Limits())


CRISP = (
    "photo_landscape", "photo_large", "photo_portrait", "photo_fabric", "photo_product",
    "photo_gray", "photo_cmyk", "photo_webp", "photo_tiff", "photo_palette", "photo_noisy",
    "photo_dark", "photo_low_contrast", "photo_turned", "gray_16_bit", "poster_slogan",
    "poster_text_flood", "menu_long", "letter_page", "id_card", "banknote", "logo_flat",
    "logo_transparent", "screenshot_chat", "animated", "product_strip", "wide_banner",
)  # fmt: skip


@pytest.mark.parametrize("name", CRISP)
def test_what_is_in_focus_is_crisp(name: str) -> None:
    assert facts(name).sharpness >= 0.5


@pytest.mark.parametrize(
    "name", ["photo_blurred", "portrait_blurred", "poster_blurred", "photo_enlarged"]
)
def test_a_blur_is_a_blur_whatever_it_shows(name: str) -> None:
    assert facts(name).sharpness <= 0.2


def test_a_little_softness_is_in_between() -> None:
    assert 0.2 < facts("photo_slightly_soft").sharpness < 0.5


@pytest.mark.parametrize("size", [(600, 450), (1200, 900), (2400, 1800)])
def test_the_more_blur_the_less_sharp_at_every_size(size: tuple[int, int]) -> None:
    scene = landscape(*size, seed=33)
    found = [
        inspect(jpeg(blurred(scene, radius)), "0" * 64, Limits()).sharpness
        for radius in (0, 1.5, 3, 6, 12)
    ]
    assert found == sorted(found, reverse=True)
    assert found[0] >= 0.5
    assert found[-1] <= 0.2


def test_noise_grows_with_the_grain() -> None:
    scene = landscape(800, 600, seed=34)
    found = [
        inspect(encoded(noisy(scene, spread)), "0" * 64, Limits()).noise
        for spread in (0.01, 8, 20, 40)
    ]
    assert found == sorted(found)
    assert found[0] <= 0.1
    assert found[-1] >= 0.5


@pytest.mark.parametrize("name", ["noise_only", "photo_noisy"])
def test_noisy_pictures_are_noisy(name: str) -> None:
    assert facts(name).noise >= 0.4


@pytest.mark.parametrize("name", ["photo_landscape", "poster_event", "letter_page", "blank_scan"])
def test_clean_pictures_are_clean(name: str) -> None:
    assert facts(name).noise <= 0.1


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, PHOTO) for name in PICTURES if name.startswith("photo_")),
        ("portrait_blurred", PHOTO),
        ("gray_16_bit", PHOTO),
        ("noise_only", PHOTO),
        ("logo_flat", LOGO),
        ("logo_transparent", LOGO),
        ("logo_with_name", LOGO),
        ("logo_small_jpeg", LOGO),
        ("brand_logo", LOGO),
        ("icon_tiny", LOGO),
        ("animated", LOGO),
        ("screenshot_chat", SCREEN),
        ("screenshot_desktop", SCREEN),
        ("transfer_screenshot", SCREEN),
        ("id_card", DOCUMENT),
        ("work_badge", DOCUMENT),
        ("business_licence", DOCUMENT),
        ("diploma", DOCUMENT),
        ("contract_with_seal", DOCUMENT),
        ("seal_alone", DOCUMENT),
        ("blank_white", BLANK),
        ("blank_scan", BLANK),
    ],
)
def test_the_kind_is_what_anybody_would_say(name: str, kind: PictureKind) -> None:
    assert facts(name).kind is kind


MARKED = {
    "id_card": ("portrait",),
    "work_badge": ("portrait",),
    "diploma": ("seal", "portrait"),
    "business_licence": ("seal",),
    "contract_with_seal": ("seal",),
    "seal_alone": ("seal",),
}


@pytest.mark.parametrize("name", PICTURES)
def test_seals_and_card_portraits_are_found_and_nothing_else_is_taken_for_one(name: str) -> None:
    assert facts(name).marks == MARKED.get(name, ())


@pytest.mark.parametrize(
    ("name", "width", "height", "dpi", "frames", "alpha"),
    [
        ("photo_large", 4000, 3000, None, 1, False),
        ("poster_turned", 800, 1100, None, 1, False),
        ("photo_cmyk", 1200, 900, 300, 1, False),
        ("letter_page", 1240, 1754, 150, 1, False),
        ("animated", 320, 320, None, 8, False),
        ("logo_transparent", 512, 512, None, 1, True),
        ("largest_allowed", 7000, 7000, None, 1, False),
    ],
)
def test_sizes_are_those_of_the_original(
    name: str, width: int, height: int, dpi: int | None, frames: int, alpha: bool
) -> None:
    found = facts(name)
    assert (found.width, found.height, found.frames) == (width, height, frames)
    assert found.has_alpha is alpha
    if dpi:
        assert found.dpi == dpi


def test_a_file_without_a_resolution_has_none() -> None:
    assert facts("photo_webp").dpi is None


def test_sixteen_bits_keep_their_shades() -> None:
    image = decode(PICTURES["gray_16_bit"](), Limits(), max_side=MEASURED_SIDE)
    low, high = image.convert("L").getextrema()
    mean = sum(image.convert("L").tobytes()) / (image.width * image.height)
    assert (low, high) == (0, 255)
    assert 90 < mean < 165


def test_cmyk_keeps_its_colours() -> None:
    """The sky is blue and the meadow green, not their negatives."""
    image = decode(PICTURES["photo_cmyk"](), Limits(), max_side=400)
    red, _, blue = _mean(image.crop((0, 0, image.width, image.height // 5)))
    assert blue > red + 10
    red, green, blue = _mean(image.crop((0, image.height * 4 // 5, image.width, image.height)))
    assert green > blue + 20
    assert green > red


def test_transparency_is_seen_on_white() -> None:
    image = decode(PICTURES["logo_transparent"](), Limits(), max_side=512)
    assert image.getpixel((5, 5)) == (255, 255, 255)


def test_the_hash_knows_a_picture_again_resized_recoded_and_retouched() -> None:
    scene = landscape(seed=40)
    first = perceptual_hash(scene)
    for changed in (
        scene.resize((300, 225)),
        blurred(scene, 2),
        noisy(scene, 12),
        scene.point(lambda value: value * 0.8 + 20),
        Image.open(io.BytesIO(jpeg(scene, quality=25))),
    ):
        assert distance(first, perceptual_hash(changed)) <= 8


def test_hashes_of_different_pictures_are_far_apart() -> None:
    names = ["photo_portrait", "photo_product", "menu_long", "logo_flat", "animated", "id_card"]
    hashes = [facts(name).phash for name in names]
    assert all(len(found) == 16 for found in hashes)
    assert all(
        distance(one, other) >= 14
        for number, one in enumerate(hashes)
        for other in hashes[number + 1 :]
    )


def _mean(image: Image.Image) -> tuple[float, float, float]:
    pixels = np.asarray(image, dtype=np.float64).reshape(-1, 3).mean(axis=0)
    return float(pixels[0]), float(pixels[1]), float(pixels[2])
