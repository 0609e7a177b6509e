"""Pictures that customers send, made here: every name, number and shop in them is invented.

``PICTURES``: what can be looked at; ``REFUSED``: what must be turned away; ``written``: the words
on those whose text is clean.
"""

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from tests.tools.pictures.drawing import (
    blurred,
    bust,
    clouds,
    coloured,
    encoded,
    font,
    jpeg,
    landscape,
    noisy,
    paper,
    portrait,
    seal,
    wrapped,
    write,
)

Maker = Callable[[], bytes]
PICTURES: dict[str, Maker] = {}
REFUSED: dict[str, Maker] = {}
_written: dict[str, str] = {}


def _picture(maker: Maker) -> Maker:
    PICTURES[maker.__name__] = cache(maker)
    return PICTURES[maker.__name__]


def _refused(maker: Maker) -> Maker:
    REFUSED[maker.__name__] = maker
    return maker


def written(name: str) -> str:
    """ "" where nothing is written on it, or nothing that could be read."""
    PICTURES[name]()
    return _written.get(name, "")


def _says(name: str, lines: list[str]) -> list[str]:
    _written[name] = "".join(lines)
    return lines


# ---- writing: little to very much of it, by the bands of the price book ----

_STORY = (
    "本店创立于二零零三年，坚持每日清晨到菜场挑选新鲜食材，所有汤底均由老师傅熬制八小时以上，"
    "不添加任何香精色素。为感谢新老顾客的支持，即日起至月底，凡到店消费满一百元即送酸梅汤一壶，"
    "满二百元送招牌凉菜一份，满三百元可参加抽奖一次。会员储值五百元赠送八十元，储值一千元赠送"
    "两百元，储值金额长期有效，可在全市六家门店通用。生日当天凭有效证件到店用餐，整单享受八折"
    "优惠并赠送长寿面一碗。团体用餐请提前一天预约，十人以上可安排包间，免收服务费。外卖配送范围"
    "为门店周边三公里，订单满五十元免配送费，预计四十分钟内送达。节假日期间客流较大，建议提前"
    "取号等位，过号需重新排队。店内提供儿童座椅与免费停车两小时，停车票请到收银台盖章。本活动"
    "最终解释权归本店所有，如有疑问请咨询店内工作人员或者拨打订餐热线，我们将竭诚为您服务。"
    "欢迎关注店铺动态，了解每周新品与限时特惠，转发朋友圈集满二十个赞即可兑换小吃一份。"
)


@_picture
def poster_slogan() -> bytes:
    """10 characters."""
    lines = _says("poster_slogan", ["春季上新", "全场五折起售"])
    image = coloured(clouds(900, 1200, 11, slope=2.0), (220, 120, 60), (250, 205, 120))
    return encoded(write(image, lines, at=(90, 380), size=110, colour=(120, 20, 20)))


@_picture
def poster_event() -> bytes:
    """About 45 characters."""
    lines = _says(
        "poster_event",
        [
            "社区运动会",
            "时间五月十八日上午九点",
            "地点阳光小区中心广场",
            "报名请到物业服务中心登记",
        ],
    )
    image = paper(900, 1200, (246, 236, 214))
    ImageDraw.Draw(image).rectangle((0, 0, 900, 220), fill=(28, 92, 152))
    write(image, lines[:1], at=(150, 60), size=110, colour="white")
    return encoded(write(image, lines[1:], at=(80, 420), size=60, colour=(60, 40, 30)))


@_picture
def poster_text_heavy() -> bytes:
    """About 210 characters: the band of 60 yuan."""
    lines = _says("poster_text_heavy", ["老街面馆会员活动", *wrapped(_STORY[:203], 16)])
    image = paper(1000, 1500, (253, 244, 225))
    ImageDraw.Draw(image).rectangle((20, 20, 980, 1480), outline=(170, 30, 30), width=6)
    write(image, lines[:1], at=(120, 80), size=88, colour=(170, 30, 30))
    return encoded(write(image, lines[1:], at=(70, 260), size=52, colour=(50, 30, 20)))


@_picture
def poster_text_flood() -> bytes:
    """About 370 characters: the dearest band."""
    lines = _says("poster_text_flood", ["老街面馆须知", *wrapped(_STORY, 24)])
    image = paper(1200, 1500, (240, 248, 240))
    write(image, lines[:1], at=(280, 60), size=100, colour=(20, 90, 50))
    return encoded(write(image, lines[1:], at=(60, 250), size=44, colour=(20, 40, 30)))


@_picture
def menu_short() -> bytes:
    dishes = [
        "红烧牛肉面 28元",
        "酸菜肉丝面 22元",
        "番茄鸡蛋面 18元",
        "手工水饺 20元",
        "凉拌黄瓜 12元",
    ]
    lines = _says("menu_short", ["今日菜单", *dishes])
    image = paper(800, 1000, (255, 250, 235))
    write(image, lines[:1], at=(230, 60), size=84, colour=(150, 40, 20))
    return encoded(write(image, lines[1:], at=(90, 260), size=54))


@_picture
def menu_long() -> bytes:
    """Two columns of dishes, as a restaurant's price list."""
    dishes = [
        "宫保鸡丁32", "鱼香肉丝28", "麻婆豆腐18", "回锅肉36", "水煮鱼58", "酸辣土豆丝16",
        "干煸四季豆22", "夫妻肺片38", "口水鸡35", "蒜泥白肉36", "毛血旺52", "辣子鸡48",
        "红烧排骨56", "清蒸鲈鱼68", "番茄炒蛋18", "蚝油生菜16", "手撕包菜18", "地三鲜24",
        "糖醋里脊38", "葱爆羊肉48", "木须肉28", "京酱肉丝36", "香菇油菜20", "紫菜蛋汤15",
        "酸辣汤18", "西湖牛肉羹26", "扬州炒饭22", "担担面16", "红糖糍粑20", "玉米烙24",
    ]  # fmt: skip
    lines = _says("menu_long", dishes)
    image = paper(1000, 1400)
    write(image, lines[:15], at=(80, 60), size=48, leading=1.8)
    return encoded(write(image, lines[15:], at=(560, 60), size=48, leading=1.8))


@_picture
def flyer_tutoring() -> bytes:
    lines = _says(
        "flyer_tutoring",
        [
            "暑期美术班招生", "六至十二岁儿童创意绘画", "小班教学每班八人", "专业老师一对一指导",
            "七月六日正式开课", "周一至周五上午九点", "两人同行每人立减一百元",
            "现在报名赠送画具一套", "免费试听名额有限", "地址梧桐路88号三楼",
        ],
    )  # fmt: skip
    image = paper(900, 1300, (225, 240, 252))
    ImageDraw.Draw(image).ellipse((640, -120, 1020, 260), fill=(252, 208, 76))
    return jpeg(write(image, lines, at=(70, 200), size=64, colour=(24, 44, 98), leading=1.6))


@_picture
def letter_page() -> bytes:
    """A page of a printed letter, 150 dpi, as from a scanner."""
    lines = _says("letter_page", ["关于门店装修的说明", *wrapped(_STORY[:330], 28)])
    image = paper(1240, 1754)
    write(image, lines[:1], at=(330, 130), size=60)
    return encoded(write(image, lines[1:], at=(110, 300), size=36, leading=2.0), dpi=(150, 150))


@_picture
def business_card() -> bytes:
    lines = _says(
        "business_card", ["林知远", "设计总监", "云杉图文工作室", "梧桐路88号三楼", "13900000000"]
    )
    image = paper(1050, 600, (250, 250, 250))
    ImageDraw.Draw(image).rectangle((0, 0, 26, 600), fill=(20, 60, 120))
    write(image, lines[:1], at=(100, 80), size=90)
    write(image, lines[1:2], at=(420, 120), size=44)
    return encoded(write(image, lines[2:], at=(100, 290), size=50, leading=1.7), dpi=(300, 300))


@_picture
def product_strip() -> bytes:
    """A long detail page of a shop: 750 × 4800."""
    parts = [
        "纯棉四件套",
        "亲肤透气不起球",
        "活性印染不易褪色",
        "精密走线结实耐用",
        "支持七天无理由退换",
    ]
    lines = _says("product_strip", parts)
    image = paper(750, 4800, (248, 246, 243))
    for number, line in enumerate(lines):
        top = number * 960
        stuff = coloured(clouds(630, 560, 30 + number, slope=1.3), (150, 160, 190), (230, 232, 240))
        image.paste(stuff, (60, top + 320))
        write(image, [line], at=(60, top + 110), size=72, colour=(60, 50, 60))
    return jpeg(image)


@_picture
def wide_banner() -> bytes:
    lines = _says("wide_banner", ["热烈庆祝云杉图文工作室成立十周年"])
    return encoded(
        write(paper(2400, 320, (196, 22, 28)), lines, at=(170, 90), size=128, colour="white")
    )


@_picture
def poster_low_contrast() -> bytes:
    image = paper(900, 600, (205, 205, 205))
    return encoded(
        write(image, ["浅色字样", "几乎看不清"], at=(150, 150), size=110, colour=(199, 199, 199))
    )


@_picture
def poster_turned() -> bytes:
    """Stored on its side, with the EXIF orientation that a phone writes."""
    lines = _says("poster_turned", ["周末亲子市集", "欢迎带孩子参加"])
    upright = write(paper(800, 1100, (255, 238, 220)), lines, at=(70, 300), size=90)
    exif = Image.Exif()
    exif[0x0112] = 6
    return jpeg(upright.transpose(Image.Transpose.ROTATE_90), exif=exif.tobytes())


@_picture
def photo_with_caption() -> bytes:
    """A photo with a few words on it: work on a photo, not on text."""
    lines = _says("photo_with_caption", ["山间晨光"])
    return jpeg(write(landscape(1200, 900, seed=8), lines, at=(90, 90), size=110, colour="white"))


# ---- not good enough to work on, or only just ----


@_picture
def photo_blurred() -> bytes:
    return jpeg(blurred(landscape(), 6))


@_picture
def photo_slightly_soft() -> bytes:
    return jpeg(blurred(landscape(seed=4), 1.6))


@_picture
def portrait_blurred() -> bytes:
    return jpeg(blurred(portrait(), 9))


@_picture
def poster_blurred() -> bytes:
    lines = ["社区运动会", "五月十八日上午九点", "阳光小区中心广场"]
    return jpeg(blurred(write(paper(900, 900, (246, 236, 214)), lines, size=80), 14))


@_picture
def photo_tiny() -> bytes:
    return jpeg(landscape(480, 360, seed=2).resize((120, 90)))


@_picture
def icon_tiny() -> bytes:
    image = paper(24, 24, "white")
    ImageDraw.Draw(image).ellipse((3, 3, 20, 20), fill=(30, 120, 220))
    return encoded(image)


@_picture
def photo_overcompressed() -> bytes:
    """Forwarded many times: small, blocky."""
    return jpeg(landscape(480, 360, seed=6), quality=6)


@_picture
def photo_enlarged() -> bytes:
    """A thumbnail blown up: many pixels, no detail."""
    return jpeg(landscape(640, 480, seed=7).resize((160, 120)).resize((1600, 1200)))


@_picture
def photo_noisy() -> bytes:
    return jpeg(noisy(landscape(seed=9), 38))


@_picture
def photo_dark() -> bytes:
    return jpeg(landscape(seed=10).point(lambda value: value * 0.16))


@_picture
def photo_low_contrast() -> bytes:
    return jpeg(landscape(seed=12).point(lambda value: 118 + value * 0.08))


@_picture
def noise_only() -> bytes:
    random = np.random.default_rng(4)
    return encoded(Image.fromarray(random.integers(0, 256, (400, 400, 3), dtype=np.uint8)))


@_picture
def blank_white() -> bytes:
    return encoded(paper(800, 800))


@_picture
def blank_scan() -> bytes:
    """An empty page on a scanner: off-white with a little grain."""
    return jpeg(noisy(paper(1000, 1400, (243, 242, 238)), 1.5))


# ---- what may not be worked on ----


@_picture
def id_card() -> bytes:
    """An identity card's front. The number is no valid one: its check digit is wrong."""
    rows = [
        "姓名 张晓样",
        "性别 男 民族 汉",
        "出生 1990 年 1 月 1 日",
        "住址 示例省样本市虚构路1号",
    ]
    number = "公民身份号码 110101199001010000"
    _says("id_card", [*rows, number])
    image = coloured(clouds(1011, 638, 21, slope=2.2), (196, 216, 232), (232, 240, 246))
    write(image, rows, at=(70, 80), size=40, leading=2.3, colour=(30, 34, 44))
    bust(image, (690, 90, 940, 420))
    return encoded(
        write(image, [number], at=(70, 530), size=44, colour=(30, 34, 44)), dpi=(300, 300)
    )


@_picture
def id_card_back() -> bytes:
    lines = _says(
        "id_card_back",
        ["中华人民共和国", "居民身份证", "签发机关 样本市公安局", "有效期限 2015.01.01-2035.01.01"],
    )
    image = coloured(clouds(1011, 638, 22, slope=2.2), (200, 214, 224), (234, 240, 244))
    write(image, lines[:2], at=(320, 70), size=72, colour=(26, 26, 30))
    return encoded(write(image, lines[2:], at=(150, 430), size=44, colour=(26, 26, 30)))


@_picture
def work_badge() -> bytes:
    """A portrait on a card that is no official document."""
    lines = _says("work_badge", ["云杉图文工作室", "工作证", "林知远", "设计部 编号 0086"])
    image = paper(640, 960, (244, 248, 252))
    ImageDraw.Draw(image).rectangle((0, 0, 640, 200), fill=(24, 84, 150))
    write(image, lines[:2], at=(110, 40), size=56, colour="white")
    bust(image, (190, 250, 450, 610))
    return encoded(write(image, lines[2:], at=(130, 680), size=50))


@_picture
def business_licence() -> bytes:
    lines = _says(
        "business_licence",
        [
            "营业执照", "统一社会信用代码 00000000MA0000000X", "名称 样本市云杉图文有限公司",
            "类型 有限责任公司", "法定代表人 林知远", "注册资本 壹佰万元整",
            "成立日期 2016年03月08日", "住所 样本市虚构路1号",
        ],
    )  # fmt: skip
    image = paper(1400, 1000, (252, 248, 236))
    ImageDraw.Draw(image).rectangle((30, 30, 1370, 970), outline=(176, 140, 60), width=12)
    write(image, lines[:1], at=(500, 70), size=100)
    write(image, lines[1:], at=(120, 250), size=46, leading=2.0)
    seal(image, (1150, 780), 120, "样本市市场监督管理局")
    return jpeg(image)


@_picture
def diploma() -> bytes:
    lines = _says(
        "diploma",
        [
            "毕业证书", "学生林知远于二零一二年九月至二零一六年六月",
            "在本校视觉传达专业四年制本科学习",
            "修完教学计划规定的全部课程", "成绩合格准予毕业", "样本大学",
        ],
    )  # fmt: skip
    image = paper(1400, 1000, (250, 240, 222))
    ImageDraw.Draw(image).rectangle((24, 24, 1376, 976), outline=(150, 30, 40), width=8)
    write(image, lines[:1], at=(500, 70), size=96, colour=(150, 30, 40))
    bust(image, (110, 280, 330, 580))
    write(image, lines[1:], at=(390, 290), size=42, leading=2.2)
    seal(image, (1160, 760), 110, "样本大学教务处")
    return jpeg(image)


@_picture
def contract_with_seal() -> bytes:
    lines = _says(
        "contract_with_seal",
        [
            "合作协议", "甲方 云杉图文工作室", "乙方 样本市梧桐商贸有限公司",
            "双方就图片制作事宜达成如下约定", "乙方按期提供素材并支付费用",
            "甲方按期交付成品并保密",
            "本协议一式两份签字盖章后生效", "甲方盖章",
        ],
    )  # fmt: skip
    image = paper(1240, 1754)
    write(image, lines[:1], at=(470, 120), size=76)
    write(image, lines[1:], at=(150, 330), size=46, leading=2.6)
    seal(image, (760, 1230), 130, "云杉图文工作室合同")
    return encoded(image, dpi=(150, 150))


@_picture
def seal_alone() -> bytes:
    image = noisy(paper(700, 700, (250, 249, 245)), 2)
    seal(image, (350, 350), 250, "云杉图文工作室专用")
    return jpeg(image)


@_picture
def banknote() -> bytes:
    """Only the idea of one: a face value, a guilloche, the word specimen."""
    lines = _says("banknote", ["中国人民银行", "壹佰圆", "100", "样张"])
    image = coloured(clouds(1100, 520, 23, slope=2.4), (226, 150, 150), (248, 214, 208))
    drawing = ImageDraw.Draw(image)
    for turn in range(28):
        shift = turn * 9
        drawing.arc((300 + shift, 130, 560 + shift, 400), 0, 360, fill=(196, 70, 80), width=2)
    write(image, lines[:1], at=(90, 40), size=60, colour=(120, 20, 34))
    write(image, lines[1:2], at=(90, 380), size=80, colour=(120, 20, 34))
    write(image, lines[2:3], at=(860, 50), size=90, colour=(120, 20, 34))
    return jpeg(write(image, lines[3:], at=(840, 380), size=70, colour=(120, 20, 34)))


@_picture
def transfer_screenshot() -> bytes:
    lines = _says(
        "transfer_screenshot",
        [
            "账单详情",
            "转账给林知远",
            "-500.00",
            "当前状态 支付成功",
            "转账时间 2026-03-08 10:21",
            "支付方式 零钱",
        ],
    )
    image = paper(750, 1334, (237, 237, 237))
    ImageDraw.Draw(image).rectangle((0, 130, 750, 1100), fill="white")
    write(image, lines[:1], at=(290, 50), size=42)
    write(image, lines[1:3], at=(230, 220), size=64, leading=1.8)
    return encoded(write(image, lines[3:], at=(60, 560), size=40, leading=2.6, colour=(70, 70, 70)))


@_picture
def brand_logo() -> bytes:
    """Somebody else's mark."""
    _says("brand_logo", ["DISNEY"])
    image = paper(900, 500)
    return encoded(write(image, ["DISNEY"], at=(130, 150), size=180, colour=(16, 48, 128)))


# ---- photos ----


@_picture
def photo_landscape() -> bytes:
    return jpeg(landscape(), quality=92, dpi=(72, 72))


@_picture
def photo_large() -> bytes:
    """12 million pixels, as a phone takes them."""
    return jpeg(landscape(1000, 750, seed=14).resize((4000, 3000)), quality=80)


@_picture
def photo_portrait() -> bytes:
    return jpeg(portrait(), quality=93)


@_picture
def photo_fabric() -> bytes:
    """A weave: nothing but texture."""
    x, y = np.meshgrid(np.arange(1000), np.arange(1000))
    weave = 0.5 + 0.25 * np.sin(x * 0.9) * np.sin(y * 0.9) + 0.25 * np.sin((x + y) * 0.05)
    field = np.clip(0.6 * weave + 0.4 * clouds(1000, 1000, 15, slope=0.6), 0, 1)
    return jpeg(coloured(field, (70, 40, 30), (214, 184, 150)))


@_picture
def photo_product() -> bytes:
    """A cup on a white table, for background removal."""
    image = paper(1200, 1200, (250, 250, 250))
    shine = coloured(clouds(1200, 1200, 16, slope=1.0), (150, 40, 40), (225, 96, 84))
    mask = Image.new("L", image.size, 0)
    drawing = ImageDraw.Draw(mask)
    drawing.rounded_rectangle((360, 330, 800, 900), radius=60, fill=255)
    drawing.ellipse((720, 450, 980, 760), outline=255, width=44)
    image.paste(shine, mask=mask)
    return jpeg(noisy(image, 2))


@_picture
def photo_gray() -> bytes:
    return jpeg(landscape(seed=17).convert("L"))


@_picture
def photo_cmyk() -> bytes:
    """From a print shop, 300 dpi."""
    return jpeg(landscape(seed=18).convert("CMYK"), dpi=(300, 300))


@_picture
def photo_webp() -> bytes:
    return encoded(landscape(800, 600, seed=19), "WEBP", quality=88)


@_picture
def photo_tiff() -> bytes:
    return encoded(landscape(600, 450, seed=20), "TIFF", compression="tiff_lzw", dpi=(300, 300))


@_picture
def photo_bmp() -> bytes:
    return encoded(landscape(640, 480, seed=24), "BMP")


@_picture
def photo_palette() -> bytes:
    return encoded(landscape(800, 600, seed=25).quantize(128))


@_picture
def gray_16_bit() -> bytes:
    """A scanner's 16 bits: a naive conversion turns this white."""
    return encoded(Image.fromarray((clouds(640, 480, 26) * 65_535).astype(np.uint16)))


@_picture
def photo_turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 8
    stored = portrait(600, 800, seed=27).transpose(Image.Transpose.ROTATE_270)
    return jpeg(stored, exif=exif.tobytes())


@_picture
def animated() -> bytes:
    """Eight frames of a ball that falls."""
    frames = []
    for step in range(8):
        frame = paper(320, 320, (30, 30, 60))
        top = 20 + 30 * step
        ImageDraw.Draw(frame).ellipse((120, top, 200, top + 80), fill=(250, 200, 60))
        frames.append(frame)
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=80)


# ---- drawn: logos and screens ----


@_picture
def logo_flat() -> bytes:
    image = paper(600, 600)
    drawing = ImageDraw.Draw(image)
    drawing.polygon([(300, 80), (520, 460), (80, 460)], fill=(10, 130, 90))
    drawing.ellipse((220, 260, 380, 420), fill="white")
    return encoded(image)


@_picture
def logo_transparent() -> bytes:
    image = Image.new("RGBA", (512, 512), (0, 0, 0, 0))
    drawing = ImageDraw.Draw(image)
    drawing.rounded_rectangle((40, 40, 472, 472), radius=90, fill=(230, 70, 50, 255))
    drawing.ellipse((150, 150, 362, 362), outline=(255, 255, 255, 255), width=40)
    return encoded(image)


@_picture
def logo_with_name() -> bytes:
    lines = _says("logo_with_name", ["云杉图文"])
    image = paper(1000, 500)
    ImageDraw.Draw(image).polygon([(200, 90), (330, 400), (70, 400)], fill=(16, 110, 70))
    return encoded(write(image, lines, at=(400, 180), size=130, colour=(16, 110, 70)))


@_picture
def logo_small_jpeg() -> bytes:
    """A mark to be vectorised: small, with the dirt of JPEG."""
    image = paper(160, 160)
    drawing = ImageDraw.Draw(image)
    drawing.ellipse((20, 20, 140, 140), fill=(30, 80, 170))
    drawing.rectangle((70, 40, 90, 120), fill="white")
    return jpeg(image, quality=40)


@_picture
def screenshot_chat() -> bytes:
    words = ["在吗", "这张图能修吗", "可以的亲", "多少钱一张", "二十五元一张", "好的我发给你"]
    _says("screenshot_chat", ["小林的店", *words])
    image = paper(750, 1334, (237, 237, 237))
    drawing = ImageDraw.Draw(image)
    drawing.rectangle((0, 0, 750, 110), fill=(246, 246, 246))
    write(image, ["小林的店"], at=(290, 35), size=40)
    for number, line in enumerate(words):
        top, ours = 170 + 150 * number, number in (2, 4)
        wide = 44 * len(line) + 60
        left = 640 - wide if ours else 110
        shade = (149, 236, 105) if ours else (255, 255, 255)
        drawing.rounded_rectangle((left, top, left + wide, top + 90), radius=14, fill=shade)
        face = 660 if ours else 20
        drawing.rectangle((face, top, face + 72, top + 72), fill=(90, 140, 200))
        drawing.text((left + 30, top + 20), line, font=font(42), fill="black")
    return encoded(image)


@_picture
def screenshot_desktop() -> bytes:
    _says("screenshot_desktop", ["我的文档", "新建文件夹", "图片", "下载", "桌面", "属性"])
    image = paper(1366, 768, (32, 96, 160))
    drawing = ImageDraw.Draw(image)
    drawing.rectangle((180, 80, 1180, 660), fill=(250, 250, 250), outline=(120, 120, 120))
    drawing.rectangle((180, 80, 1180, 124), fill=(228, 232, 238))
    drawing.rectangle((180, 124, 400, 660), fill=(240, 243, 247))
    drawing.rectangle((0, 728, 1366, 768), fill=(20, 30, 50))
    write(image, ["我的文档"], at=(200, 88), size=26)
    write(image, ["图片", "下载", "桌面", "属性"], at=(220, 160), size=26, leading=2.4)
    write(image, ["新建文件夹"], at=(470, 320), size=26)
    drawing.rectangle((480, 210, 580, 300), fill=(250, 206, 90))
    return encoded(image)


@_picture
def largest_allowed() -> bytes:
    """49 million pixels, flat: large, yet within the limit."""
    image = Image.new("P", (7_000, 7_000), 0)
    image.putpalette([255, 255, 255, 200, 30, 30])
    ImageDraw.Draw(image).rectangle((1_000, 1_000, 5_000, 5_000), fill=1)
    return encoded(image)


# ---- to be refused ----


@_refused
def too_many_pixels() -> bytes:
    return encoded(Image.new("1", (12_000, 9_000)))


@_refused
def bomb() -> bytes:
    """A few hundred kilobytes that unpack to 3.6 thousand million pixels."""
    return _png(60_000, 60_000, rows=2_000)


def lying_header() -> bytes:
    """Says 100 × 100 and holds the data of far more, which nobody needs to unpack."""
    return _png(100, 100, rows=60_000, row_bytes=3_000)


@_refused
def truncated_jpeg() -> bytes:
    whole = PICTURES["photo_landscape"]()
    return whole[: len(whole) // 2]


@_refused
def truncated_png() -> bytes:
    whole = PICTURES["menu_short"]()
    return whole[: len(whole) // 3]


@_refused
def corrupt_png() -> bytes:
    whole = bytearray(PICTURES["logo_flat"]())
    whole[len(whole) // 2 : len(whole) // 2 + 40] = b"\xff" * 40
    return bytes(whole)


@_refused
def header_alone() -> bytes:
    return PICTURES["photo_landscape"]()[:24]


@_refused
def page_named_jpg() -> bytes:
    return "<!doctype html><html><body>页面不存在</body></html>".encode()


@_refused
def text_file() -> bytes:
    return "图片在附件里".encode()


@_refused
def pdf_file() -> bytes:
    return b"%PDF-1.7\n1 0 obj << /Type /Catalog >> endobj\n%%EOF\n"


@_refused
def svg_file() -> bytes:
    return b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@_refused
def heic_photo() -> bytes:
    return struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic" + bytes(400)


@_refused
def eps_file() -> bytes:
    """Pillow would hand this to Ghostscript."""
    return b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\nshowpage\n"


@_refused
def zip_file() -> bytes:
    return b"PK\x03\x04" + bytes(200)


@_refused
def empty_file() -> bytes:
    return b""


@_refused
def too_many_bytes() -> bytes:
    return PICTURES["logo_flat"]() + bytes(21 * 1024 * 1024)


def _png(width: int, height: int, *, rows: int, row_bytes: int | None = None) -> bytes:
    """A PNG of zeros whose pixel data is ``rows`` rows long, whatever its header says."""
    data = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    data.seek(0, io.SEEK_END)
    packer = zlib.compressobj(9)
    line = bytes(1 + (row_bytes or width // 8))
    packed = b"".join(packer.compress(line) for _ in range(rows)) + packer.flush()
    for name, body in (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)),
        (b"IDAT", packed),
        (b"IEND", b""),
    ):
        checksum = zlib.crc32(name + body)
        data.write(struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum))
    return data.getvalue()
