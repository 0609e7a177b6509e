"""Pictures."""

from typing import Annotated

from pydantic import (
    Field,
    SecretStr,
)
from pydantic_settings import BaseSettings

from engine.settings.fields import Days, ExistingFolder, HttpUrl, PositiveSeconds, setting


class PictureSettings(BaseSettings):
    """Pictures"""

    picture_max_bytes: int = setting(
        "PICTURE_MAX_BYTES",
        20 * 1_048_576,
        "Largest picture file, in bytes.",
        ge=65_536,
        le=209_715_200,
    )
    picture_max_pixels: int = setting(
        "PICTURE_MAX_PIXELS", 50_000_000, "Most pixels of a picture.", ge=65_536, le=400_000_000
    )
    picture_fetch_s: PositiveSeconds = setting(
        "PICTURE_FETCH_S", 8, "Seconds for fetching a customer's picture from its address."
    )
    picture_read_s: PositiveSeconds = setting(
        "PICTURE_READ_S",
        6,
        "Seconds that an answer waits for the text on a picture; reading goes on without it.",
    )
    ocr_queue: int = setting(
        "OCR_QUEUE", 64, "Most pictures that wait for their text to be read.", ge=1, le=1_000
    )
    ocr_idle_s: Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False)] = setting(
        "OCR_IDLE_S",
        600,
        "Quiet seconds after which the processes that measure and read pictures end.",
    )
    picture_allow_private: bool = setting(
        "PICTURE_ALLOW_PRIVATE",
        False,
        "true: pictures may be fetched from private and loopback addresses.",
    )
    picture_work_s: PositiveSeconds = setting(
        "PICTURE_WORK_S",
        240,
        "Seconds for the automatic work on one order; then it goes to a designer.",
    )
    picture_keep_days: Days = setting(
        "PICTURE_KEEP_DAYS",
        90,
        "Days for which a picture that no open order needs is kept since its last use; "
        "0: for ever.",
    )
    picture_link_days: Annotated[float, Field(gt=0, le=365, allow_inf_nan=False)] = setting(
        "PICTURE_LINK_DAYS",
        7,
        "Days for which the address of a picture that was sent to a customer works.",
    )
    images_url: HttpUrl = setting(
        "IMAGES_URL",
        "",
        "OpenAI-compatible images API that edits pictures, e.g. https://…/v1; default: what can "
        "be done here, else a designer. Needs KEFU_IMAGES_MODEL.",
    )
    images_api_key: SecretStr | None = setting("IMAGES_API_KEY", None, "Key of that API.")
    images_model: str = setting("IMAGES_MODEL", "", "Model of that API.")
    images_timeout_s: PositiveSeconds = setting(
        "IMAGES_TIMEOUT_S", 120, "Seconds for one call of that API."
    )
    vision_model: str = setting(
        "VISION_MODEL",
        "",
        "Vision model that describes pictures for staff; default: none. It sees no picture that "
        "looks like a document.",
    )
    vision_url: HttpUrl = setting(
        "VISION_URL",
        "",
        "OpenAI-compatible API of that model, e.g. https://…/v1; default: that of the first "
        "provider that has one.",
    )
    vision_api_key: SecretStr | None = setting(
        "VISION_API_KEY", None, "Key of that API; default: that provider's."
    )
    vision_timeout_s: PositiveSeconds = setting(
        "VISION_TIMEOUT_S", 20, "Seconds for one description; no answer waits for it."
    )
    picture_library: ExistingFolder = setting(
        "PICTURE_LIBRARY", None, "Folder of pictures in which originals are looked for."
    )
    picture_library_rescan_s: PositiveSeconds = setting(
        "PICTURE_LIBRARY_RESCAN_S", 60, "Seconds after which that folder is looked through again."
    )
    image_search_url: HttpUrl = setting(
        "IMAGE_SEARCH_URL", "", "Image search service, asked where the folder holds no original."
    )
    image_search_key: SecretStr | None = setting("IMAGE_SEARCH_KEY", None, "Key of that service.")
    image_search_timeout_s: PositiveSeconds = setting(
        "IMAGE_SEARCH_TIMEOUT_S", 30, "Seconds for one call of that service."
    )
