"""How `personal_300.jsonl` was made: messages as customers write them, with data that is nobody's.

    python -m tests.privacy.writing

Telephone numbers are of 154, which no network has been given; identity numbers of an area code
that does not exist; cards of a BIN that nobody issues; mail at example domains; streets, estates
and names are made up.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path

FILE = Path(__file__).with_name("personal_300.jsonl")
SIZE = 300
SEED = 20_261_121

NAMES = (
    *(
        "张若澜",
        "李沐川",
        "王梓衡",
        "陈予安",
        "赵晏清",
        "黄知夏",
        "周牧野",
        "吴念慈",
        "徐望舒",
        "孙砚秋",
        "欧阳锦屏",
    ),
    *(
        "司马长歌",
        "诸葛明远",
        "郑拾遗",
        "马踏云",
        "林初雪",
        "何处寻",
        "高山远",
        "梁上月",
        "宋怀瑾",
        "唐映雪",
        "许墨白",
    ),
    *(
        "邓九思",
        "冯见山",
        "曹听雨",
        "彭泽川",
        "曾照水",
        "萧萧叶",
        "田间月",
        "董小满",
        "袁方圆",
        "蒋南枝",
        "沈星河",
    ),
)
ROADS = (
    "文澜路",
    "听松街",
    "望湖大道",
    "采薇路",
    "云栖南路",
    "拾光街",
    "青禾大道",
    "晚枫路",
    "月河街",
    "星桥北路",
)
DISTRICTS = ("锦澜区", "临枫区", "栖云县", "望川区", "映月区", "松岭新区", "苍梧县", "清平区")
CITIES = (
    "浙江省杭州市",
    "广东深圳",
    "江苏省苏州市",
    "四川成都市",
    "北京市",
    "上海市",
    "湖北武汉",
    "山东省青岛市",
)
ESTATES = (
    "锦绣花园",
    "澜庭公寓",
    "枫林小区",
    "望江家园",
    "星河湾小区",
    "云上新村",
    "紫金大厦",
    "和光写字楼",
)
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"
_HAN = str.maketrans("0123456789", "零一二三四五六七八九")
_FULL = str.maketrans("0123456789", "０１２３４５６７８９")

TEMPLATES = (
    "我的手机号是{phone}，请问退货怎么申请",
    "电话{phone} 麻烦帮我查一下订单{order}到哪了",
    "{phone}，打这个电话联系我，帆布包多少钱",
    "手机换号了，从{phone}换成{phone2}，会员积分还在吗",
    "手机 {phone_spaced} 收不到验证码怎么办",
    "我电话{phone_dashed}，发票什么时候开",
    "联系我：+86 {phone} 或 +86-{phone2}，能开专票吗",
    "０号客服在吗，我手机{phone_full}，商品坏了怎么保修",
    "我的号码{phone_han}，别打错了，几天发货",
    "手机号{phone_dotted}，支持货到付款吗",
    "我妈的手机{phone}，我的{phone2}，下单用哪个都行，怎么改订单",
    "打{phone}没人接就打{landline}，配送要多久",
    "座机{landline}，转分机 802，请问营业时间",
    "公司电话 {landline_area}，找采购，批量买有优惠吗",
    "电话:{landline_dashed}，上班时间打，退款几天到账",
    "你好，{name}，{phone}，{city}{district}{road}{no}号，退货的话运费谁出",
    "{name} {phone} {city}{district}{road}{no}号{building}栋{unit}单元{room}室，什么时候发货",
    "收件人：{name}，电话：{phone}，地址：{city}{district}{road}{no}号{estate}{building}幢{room}，能改地址吗",
    "收货人{name} 手机{phone} 收货地址{city}{district}{estate}{building}栋{room}室，帆布包有货吗",
    "寄到{city}{district}{road}{no}号就行，运费多少",
    "请寄{city}{district}{road} {no} 号 {estate} {building} 栋 {room} 室，包邮吗",
    "我住在{district}{road}{no}号，同城能当天送到吗",
    "地址改成{city}{district}{estate}{building}号楼{unit}单元{room}，还来得及吗",
    "新地址是{road}{no}弄{building}号{room}室，原订单{order}",
    "送到{estate}{building}栋{unit}单元{room}室门口，不用打电话，几点能到",
    "我家在{road}{no}号{estate}，附近有门店吗",
    "快递放{estate}{building}号楼{unit}单元{room}快递柜，取件码怎么看",
    "公司地址：{city}{district}{road}{no}号{estate}{room}室，开发票抬头怎么写",
    "把包裹转寄{road}{no}号，电话{phone}，要加钱吗",
    "我叫{name}，想问会员怎么升级",
    "你好我是{name}，上周买的帆布包拉链坏了怎么换货",
    "姓名：{name}，身份证：{identity}，实名认证怎么做",
    "联系人{name}，别写错了，怎么修改收货信息",
    "这里是{name}，订单{order}要退款",
    "{name}先生下的单，能开发票吗",
    "帮{name}女士查一下积分怎么用",
    "收件人写{name}，优惠券怎么用",
    "我的名字是{name}，可以刻字吗",
    "身份证号{identity}，海关清关要用吗",
    "身份证{identity_spaced}，这个要提供吗，怎么退货",
    "证件号码：{identity_lower}，实名后多久能退款",
    "我身份证是{identity_wrong}，系统说不对，怎么办",
    "老身份证{identity15}还能用来实名吗",
    "护照号E0{passport}，境外能下单吗",
    "退款打到银行卡{card}，几天到账",
    "卡号{card_spaced}，户名{name}，退款原路返回吗",
    "我用{card}付的款，显示失败，订单{order}",
    "银行卡号是{card_dashed}，付款安全吗",
    "工商银行卡 {card19} ，退到这里可以吗",
    "信用卡{card16}支付，能分期吗",
    "发票发到{mail}，谢谢，多久能收到",
    "邮箱是 {mail}，电子发票怎么开",
    "我的mail：{mail_upper}，账单发我一份，怎么查账单",
    "联系方式 {mail} / {phone}，售后多久回复",
    "加我微信{wechat}，把安装视频发我，怎么安装",
    "微信号：{wechat}，发一下尺寸表吧，尺码怎么选",
    "我微信 {wechat} ，图片怎么发给你们",
    "v：{wechat}，有活动叫我，最近有什么活动",
    "QQ{qq}，怎么把原图传给你",
    "qq号是{qq}，文件太大怎么发",
    "支付宝账号{phone}，退款退到支付宝可以吗",
    "支付宝{mail}，返现什么时候到",
    "车牌{plate}，到店停车收费吗",
    "我开{plate}来提货，门店在哪",
    "{plate_plain}这辆车能进园区吗，自提怎么走",
    "我叫{name}，手机{phone}，身份证{identity}，实名失败了怎么处理",
    "{name}，{phone}，{mail}，发票信息，多久开好",
    "收：{name} {phone}\n{city}{district}{road}{no}号\n订单{order}，麻烦尽快，什么时候到",
    "{city}{district}{road}{no}号{estate}{building}-{unit}-{room}，{name}收，{phone}，怎么还没发货",
    "订单{order}的收件电话{phone}写错了，改成{phone2}，怎么改",
    "帮我把{name}的电话改成{phone}，会员信息在哪里改",
    "刚才说错了，不是{phone}，是{phone2}，还能改吗",
    "{phone}{name}，{estate}{building}栋{room}室，能送上楼吗",
    "我是{name}，住{district}{road}{no}号，想退订单{order}，金额{price}元",
    "付款{price}元，卡尾号不记得，手机{phone}，怎么查付款记录",
)
"""What is not in braces is what customers ask; {order} and {price} have to survive."""

MARKED = {
    "phone": ("phone", "phone2", "phone_spaced", "phone_dashed", "phone_full", "phone_han"),
    "phone_more": ("phone_dotted",),
    "landline": ("landline", "landline_area", "landline_dashed"),
    "identity": ("identity", "identity_spaced", "identity_lower", "identity_wrong", "identity15"),
    "passport": ("passport",),
    "card": ("card", "card_spaced", "card_dashed", "card19", "card16"),
    "account": ("mail", "mail_upper", "wechat", "qq", "plate", "plate_plain"),
    "name": ("name",),
    "address": ("road", "district", "estate"),
}
KEPT = ("order", "price")


def messages() -> Iterator[dict[str, object]]:
    chance = random.Random(SEED)
    for number in range(SIZE):
        template = TEMPLATES[number % len(TEMPLATES)]
        made = values(chance)
        used = {name: value for name, value in made.items() if f"{{{name}}}" in template}
        marks = [name for names in MARKED.values() for name in names]
        yield {
            "id": f"p{number + 1:03d}",
            "text": template.format(**made),
            "values": [used[name] for name in marks if name in used],
            "kept": [used[name] for name in KEPT if name in used],
            "called": used.get("name", "") if number % 3 == 0 else "",
        }


def values(chance: random.Random) -> dict[str, str]:
    phone, identity = _phone(chance), _identity(chance)
    digits = "".join(chance.choices("0123456789", k=6))
    card, mail = _card(chance, 19), f"{chance.choice(('xiao', 'li', 'wang'))}.{digits}@example.com"
    return {
        "phone": phone,
        "phone2": _phone(chance),
        "phone_spaced": f"{phone[:3]} {phone[3:7]} {phone[7:]}",
        "phone_dashed": f"{phone[:3]}-{phone[3:7]}-{phone[7:]}",
        "phone_dotted": f"{phone[:3]}.{phone[3:7]}.{phone[7:]}",
        "phone_full": phone.translate(_FULL),
        "phone_han": phone.translate(_HAN),
        "landline": f"0571-5550{digits[:4]}",
        "landline_area": f"(010)5550{digits[:4]}",
        "landline_dashed": f"021-5550-{digits[:4]}",
        "name": chance.choice(NAMES),
        "city": chance.choice(CITIES),
        "district": chance.choice(DISTRICTS),
        "road": chance.choice(ROADS),
        "estate": chance.choice(ESTATES),
        "no": str(chance.randint(2, 998)),
        "building": str(chance.randint(1, 30)),
        "unit": str(chance.randint(1, 4)),
        "room": str(chance.randint(1, 30) * 100 + chance.randint(1, 9)),
        "identity": identity,
        "identity_spaced": f"{identity[:6]} {identity[6:14]} {identity[14:]}",
        "identity_lower": identity.lower(),
        "identity_wrong": identity[:-1] + ("0" if identity[-1] != "0" else "1"),
        "identity15": identity[:6] + identity[8:17],
        "passport": digits + "7",
        "card": card,
        "card_spaced": " ".join(card[at : at + 4] for at in range(0, 19, 4)),
        "card_dashed": "-".join(card[at : at + 4] for at in range(0, 19, 4)),
        "card19": _card(chance, 19),
        "card16": _card(chance, 16),
        "mail": mail,
        "mail_upper": mail.upper(),
        "wechat": f"wx_{chance.choice(('mian', 'nan', 'lu'))}{digits}",
        "qq": f"5550{digits}",
        "plate": f"浙A·0{digits[:4]}",
        "plate_plain": f"沪AD0{digits[:4]}",
        "order": f"2026{chance.randint(10**11, 10**12 - 1)}",
        "price": f"{chance.randint(20, 999)}.{chance.randint(10, 99)}",
    }


def _phone(chance: random.Random) -> str:
    return "154" + "".join(chance.choices("0123456789", k=8))


def _identity(chance: random.Random) -> str:
    """Of area 110199, which there is not; its check digit is right."""
    born = f"{chance.randint(1950, 2005)}{chance.randint(1, 12):02d}{chance.randint(1, 28):02d}"
    body = f"110199{born}{chance.randint(1, 999):03d}"
    total = sum(int(digit) * weight for digit, weight in zip(body, _WEIGHTS, strict=True))
    return body + _CHECKS[total % 11]


def _card(chance: random.Random, length: int) -> str:
    """Of BIN 629999, with the check digit of a card."""
    body = "629999" + "".join(chance.choices("0123456789", k=length - 7))
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in body[::-1][::2]]
    total = sum(doubled) + sum(int(digit) for digit in body[::-1][1::2])
    return body + str(-total % 10)


def main() -> None:
    lines = [json.dumps(one, ensure_ascii=False) for one in messages()]
    FILE.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
