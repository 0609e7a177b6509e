"""An OpenAI-compatible images API: ``POST /images/v1/images/edits`` and ``…/generations``.

The edit is always the same for the same picture: enlarged twice, clearer, its white border
transparent where that is asked for. The prompt steers what goes wrong: 「[沙箱:空白]」,
「[沙箱:原样]」, 「[沙箱:尺寸]」, 「[沙箱:违规]」, 「[沙箱:网址]」.
"""

import asyncio
import base64
import hashlib
import io
from collections import OrderedDict
from typing import Any

from PIL import Image, ImageDraw, ImageFilter, ImageOps, UnidentifiedImageError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from sandbox.peer import Peer, Place, Sandbox, call_of, json_answer
from sandbox.validation import first_problem

MAX_PIXELS = 16_000_000
_MAX_KEPT = 50
_BLANK, _SAME, _SMALL = "[沙箱:空白]", "[沙箱:原样]", "[沙箱:尺寸]"
_REFUSED, _BY_URL = "[沙箱:违规]", "[沙箱:网址]"


class ImagesRequest(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)
    model: str = Field(min_length=1, max_length=256)
    prompt: str = Field(min_length=1, max_length=32_000)
    size: str = Field(default="auto", pattern=r"^(auto|\d{1,5}x\d{1,5})$")
    background: str = "auto"


class ImagesPeer(Peer):
    name = "images"
    title = "图片模型(OpenAI 图片接口)"
    summary = "编辑固定为放大两倍并锐化;提示词里的「[沙箱:…]」让它出错。"
    empties = frozenset({"edits", "generations"})

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self._made: OrderedDict[str, bytes] = OrderedDict()
        add = self.router.add_api_route
        add("/v1/images/edits", self.edits, methods=["POST"], response_model=None)
        add("/v1/images/generations", self.generations, methods=["POST"], response_model=None)
        add("/files/{name}", self.file, methods=["GET"], response_model=None)

    async def edits(self, request: Request) -> Response:
        """A picture and a prompt as multipart form."""
        if (refusal := _unauthorized(request)) is not None:
            return refusal
        async with request.form(max_part_size=MAX_PIXELS) as form:
            upload = form.get("image")
            picture = await upload.read() if isinstance(upload, UploadFile) else b""
            fields = {name: value for name, value in form.items() if isinstance(value, str)}
        return await self._answer(request, fields, picture)

    async def generations(self, request: Request) -> Response:
        """A picture made from a prompt."""
        if (refusal := _unauthorized(request)) is not None:
            return refusal
        return await self._answer(request, await request.body(), None)

    async def file(self, name: str) -> Response:
        """What an answer with an address refers to."""
        data = self._made.get(name)
        if data is None:
            return json_answer(_error("no such file"), 404)
        return Response(data, media_type="image/png")

    async def _answer(
        self, request: Request, fields: dict[str, str] | bytes, picture: bytes | None
    ) -> Response:
        try:
            asked = (ImagesRequest.model_validate_json(fields) if isinstance(fields, bytes)
                     else ImagesRequest.model_validate(fields))  # fmt: skip
            if _REFUSED in asked.prompt:
                message = "Your request was rejected by the safety system."
                return json_answer(_error(message, "moderation_blocked"), 400)
            made = await asyncio.to_thread(_made, asked, picture)
        except ValidationError as error:
            return json_answer(_error(first_problem(error)), 400)
        except (UnidentifiedImageError, OSError, ValueError):
            return json_answer(_error("image: not a picture", "invalid_image_file"), 400)
        call = call_of(request)
        call.verdict(accepted=True)
        data = [] if call.empty else [self._member(request, asked, made)]
        return json_answer({"created": int(self.sandbox.clock()), "data": data})

    def _member(self, request: Request, asked: ImagesRequest, made: bytes) -> dict[str, str]:
        if _BY_URL not in asked.prompt:
            return {"b64_json": base64.b64encode(made).decode()}
        name = hashlib.sha256(made).hexdigest()[:16] + ".png"
        self._made[name] = made
        while len(self._made) > _MAX_KEPT:
            self._made.popitem(last=False)
        return {"url": f"{request.base_url}{self.name}/files/{name}"}

    def locate(self, path: str) -> Place:
        kind = "file" if "/files/" in path else path.rstrip("/").rpartition("/")[2]
        return Place(self.name, kind)

    def error(self, kind: str, status: int) -> Any:
        return _error(f"injected by the sandbox (HTTP {status})")

    async def reset(self) -> None:
        self._made.clear()


def _error(message: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "image_generation_user_error", "code": code}}


def _unauthorized(request: Request) -> Response | None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return None
    return json_answer(_error("no API key", "invalid_api_key"), 401)


def _made(asked: ImagesRequest, picture: bytes | None) -> bytes:
    image = _drawn(asked) if picture is None else _edited(asked, picture)
    if asked.size != "auto":
        width, height = (int(side) for side in asked.size.split("x"))
        if not 0 < width * height <= MAX_PIXELS:
            raise ValueError("size")
        image = image.resize((width, height))
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _drawn(asked: ImagesRequest) -> Image.Image:
    digest = hashlib.sha256(asked.prompt.encode()).digest()
    image = Image.new("RGB", (512, 512), (digest[0], digest[1], digest[2]))
    inner = (64 + digest[3] // 4, 64, 448, 448 - digest[4] // 4)
    ImageDraw.Draw(image).ellipse(inner, fill=(255 - digest[0], 255 - digest[1], digest[5]))
    return image


def _edited(asked: ImagesRequest, picture: bytes) -> Image.Image:
    opened = Image.open(io.BytesIO(picture))
    if opened.width * opened.height > MAX_PIXELS // 4:
        raise ValueError("too many pixels")
    image = ImageOps.exif_transpose(opened).convert("RGBA")
    if _BLANK in asked.prompt:
        return Image.new("RGB", image.size, "white")
    if _SAME in asked.prompt:
        return image
    if _SMALL in asked.prompt:
        return image.resize((64, 64))
    if asked.background == "transparent":
        white = image.convert("L").point(lambda value: 255 if value < 244 else 0)
        image.putalpha(white)
    larger = image.resize((image.width * 2, image.height * 2), Image.Resampling.LANCZOS)
    sharper = larger.convert("RGB").filter(ImageFilter.UnsharpMask(2, 130, 2)).convert("RGBA")
    sharper.putalpha(larger.getchannel("A"))
    return sharper if asked.background == "transparent" else sharper.convert("RGB")
