"""The vectors of Tencent's samples and of SDKs, and four of our own (S1 to S4), all recomputed
with an implementation that is not ours."""

from dataclasses import dataclass

from tools.wx.crypto import CallbackKeys

SAMPLE_KEY = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
WECHATPY_KEY = "kWxPEV2UEDyxWpmPdKC3F4dgPDmOvfKX1HGnEUDS1aR"


@dataclass(frozen=True, slots=True)
class Vector:
    """``random16``: where the ciphertext is published together with what was random in it."""

    name: str
    token: str
    key: str
    receiveid: str
    timestamp: str
    nonce: str
    encrypt: str
    signature: str
    message: bytes
    random16: bytes | None = None

    def keys(self) -> CallbackKeys:
        return CallbackKeys(self.token, self.key, self.receiveid)


VECTORS = (
    Vector(
        name="V1 official sample, echo",
        token="QDG6eK",
        key=SAMPLE_KEY,
        receiveid="wx5823bf96d3bd56c7",
        timestamp="1409659589",
        nonce="263014780",
        encrypt="P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ==",
        signature="5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3",
        message=b"1616140317555161061",
        random16=b"c41b64491c2468d0",
    ),
    Vector(
        name="V2 official sample, XML",
        token="QDG6eK",
        key=SAMPLE_KEY,
        receiveid="wx5823bf96d3bd56c7",
        timestamp="1409659813",
        nonce="1372623149",
        encrypt=(
            "RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo+rtK1I9qca6aM/wvqnLSV5zEPeusUiX5L5X/0lWfrf0QADHHhGd3Qczc"
            "dCUpj911L3vg3W/sYYvuJTs3TUUkSUXxaccAS0qhxchrRYt66wiSpGLYL42aM6A8dTT+6k4aSknmPj48kzJs8qLj"
            "vd4Xgpue06DOdnLxAUHzM6+kDZ+HMZfJYuR+LtwGc2hgf5gsijff0ekUNXZiqATP7PF5mZxZ3Izoun1s4zG4LUMn"
            "vw2r+KqCKIw+3IQH03v+BCA9nMELNqbSf6tiWSrXJB3LAVGUcallcrw8V2t9EL4EhzJWrQUax5wLVMNS0+rUPA3k"
            "22Ncx4XXZS9o0MBH27Bo6BpNelZpS+/uh9KsNlY6bHCmJU9p8g7m3fVKn28H3KDYA5Pl/T8Z1ptDAVe0lXdQ2Yoy"
            "yH2uyPIGHBZZIs2pDBS8R07+qN+E7Q=="
        ),
        signature="477715d11cdb4164915debcba66cb864d751f3e6",
        message=(
            b"<xml><ToUserName><![CDATA[wx5823bf96d3bd56c7]]></ToUserName>\n<FromUserName><![CD"
            b"ATA[mycreate]]></FromUserName>\n<CreateTime>1409659813</CreateTime>\n<MsgType><![C"
            b"DATA[text]]></MsgType>\n<Content><![CDATA[hello]]></Content>\n<MsgId>4561255354251"
            b"345929</MsgId>\n<AgentID>218</AgentID>\n</xml>"
        ),
    ),
    Vector(
        name="V3 official sample, JSON",
        token="QDG6eK",
        key=SAMPLE_KEY,
        receiveid="wx5823bf96d3bd56c7",
        timestamp="1409659813",
        nonce="1372623149",
        encrypt=(
            "CZWs4CWRpI4VolQlvn4dlEC1alN2MUEY2VklGehgBVLBrlVF7SyT+SV+Toj43l4ayJ9UMGKphktKKmP7B2j/P1ey"
            "67XB8PBgS7Wr5/8+w/yWriZv3Vmoo/MH3/1HsIWZrPQ3N2mJrelStIfI2Y8kLKXA7EhfZgZX4o+ffdkZDM76SEl7"
            "9Ib9mw7TGjZ9Aw/x/A2VjNbV1E8BtEbRxYYcQippYNw7hr8sFfa3nW1xLdxokt8QkRX83vK3DFP2F6TQFPL2Tu98"
            "UwhcUpPvdJBuu1/yiOQIScppV3eOuLWEsko="
        ),
        signature="0623cbc5a8cbee5bcc137c70de99575366fc2af3",
        message=(
            b'{"ToUserName":"wx5823bf96d3bd56c7","FromUserName":"mycreate","CreateTime": 14096'
            b'59813,"MsgType":"text","Content":"hello","MsgId":4561255354251345929,"AgentID": '
            b"218}"
        ),
    ),
    Vector(
        name="V4 go-workwx, echo",
        token="kjr2TKI8umCBfVF3wAHk8JiPwma5VBme",
        key="4Ma3YBrSBbX2aez8MJpXGBne5LSDwgGqHbhM9WPYIws",
        receiveid="ww6a112864f8022910",
        timestamp="1583940690",
        nonce="VHh7ymSeb0jc4lSb",
        encrypt="6KmUQuPVu7UhjyVqRdbo5SfcRqaHvbUlKSHFvBV2ZuR6TIlKsygcfeSd1GDplg1C5KSKr6UPHCaC/nIX3ZNt9w==",
        signature="1ba3cb09c0d2c2b3ed6900d37f91a6efae6cb011",
        message=b"94966531020182955848408",
    ),
    Vector(
        name="V5 go-workwx, XML",
        token="kz7Yx62CH8SaLN",
        key="cD0d7jx4tYvVtzqrmh3Dm3QFCXe6f8SlHoMtMh3qQEP",
        receiveid="ww6a112864f8022910",
        timestamp="1583995625",
        nonce="1584392382",
        encrypt=(
            "EUCt7xMcNiyASzZj0Hjc5yDjFQrCum6AfQ3ntHiUzjGQ51xieKmbvtrZ40/EcB2W/W8yH0n4Lqx48gJl/T9HD/R3"
            "09I0P/r5pIZucK3lyEn48FYMr4YdE0QdL2jIJ3xkcXUr6uzefzCxG6lMvwpAJaOyVCzN7sRRw47njfxy5EIqU6R9"
            "ZBhlTzfdnhhOhK/nTwzrZX3SoGlXFA9OBeZ6ru1NWpXFk76x9DUMe0lcxPPiUqK8ctnQcYXSGUHVqC6DfG7E7mab"
            "0OmruNN8cBZY5d3dYOBA4OgaH55Q0AJmUpdT8vNiXpXx+6TxT3TIjySXpDrHVyrsb772aYywgg/Nu4kUmGkALwFZ"
            "lzhjNegR7wDwb9lr4ERXsSSS8JZ8lbBmaQ3F2Tq584xoPj5rIhXAF734ynm4no1g+SdHiNqR328="
        ),
        signature="f265ae551b1932727204c3d707628d01376a6940",
        message=(
            b"<xml><ToUserName><![CDATA[ww6a112864f8022910]]></ToUserName><FromUserName><![CDA"
            b"TA[foobar]]></FromUserName><CreateTime>1583995625</CreateTime><MsgType><![CDATA["
            b"text]]></MsgType><Content><![CDATA[x123]]></Content><MsgId>2018405441</MsgId><Ag"
            b"entID>1000002</AgentID></xml>"
        ),
    ),
    Vector(
        name="V6 go-wecom, echo",
        token="1372623149",
        key=SAMPLE_KEY,
        receiveid="wx5823bf96d3bd56c7",
        timestamp="1629824456",
        nonce="bqe3yfbqfc7",
        encrypt="22vyvcBQ1xafTSJuhMGQuFyOAh00m2enIATgo4R6SGHY/YhofNmfwCksP3OP0Gxnq+cqnJcuvUQtjSbEu60IUA==",
        signature="6a27598fb5b01ee02684379a339fef6de65c83c2",
        message=b"ECHO",
    ),
    Vector(
        name="V7 wechatpy, XML",
        token="123456",
        key=WECHATPY_KEY,
        receiveid="wx49f0ab532d5d035a",
        timestamp="1411525903",
        nonce="461056294",
        encrypt=(
            "9s4gMv99m88kKTh/H8IdkOiMg6bisoy3ypwy9H4hvSPe9nsGaqyw5hhSjdYbcrKk+j3nba4HMOTzHrluLBYqxgNc"
            "BqGsL8GqxlhZgURnAtObvesEl5nZ+uBE8bviY0LWke8Zy9V/QYKxNV2FqllNXcfmstttyIkMKCCmVbCFM2JTF5wY"
            "0nFhHZSjPUL2Q1qvSUCUld+/WIXrx0oyKQmpB6o8NRrrNrsDf03oxI1p9FxUgMnwKKZeOA/uu+2IEvEBtb7muXsV"
            "bwbgX05UPPJvFurDXafG0RQyPR+mf1nDnAtQmmNOuiR5MIkdQ39xn1vWwi1O5oazPoQJz0nTYjxxEE8kv3kFxtAG"
            "VRe3ypD3WeK2XeFYFMNMpatF9XiKzHo3"
        ),
        signature="407518b7649e86ef23978113f92d27afa9296533",
        message=(
            b"<xml>\n<MsgType><![CDATA[text]]></MsgType>\n<Content><![CDATA[test]]></Content>\n<F"
            b"romUserName><![CDATA[wx49f0ab532d5d035a]]></FromUserName>\n<ToUserName><![CDATA[m"
            b"essense]]></ToUserName>\n<AgentID>1</AgentID>\n<CreateTime>1411525903</CreateTime>"
            b"\n</xml>"
        ),
        random16=b"1234567890123456",
    ),
    Vector(
        name="V8 wechatpy, echo",
        token="123456",
        key=WECHATPY_KEY,
        receiveid="wx49f0ab532d5d035a",
        timestamp="1411443780",
        nonce="437374425",
        encrypt="4ByGGj+sVCYcvGeQYhaKIk1o0pQRNbRjxybjTGblXrBaXlTXeOo1+bXFXDQQb1o6co6Yh9Bv41n7hOchLF6p+Q==",
        signature="dd6b9c95b495b3f7e2901bfbc76c664930ffdb96",
        message=b"5927782489442352469",
    ),
    Vector(
        name="S1 kf event",
        token="QDG6eK",
        key=SAMPLE_KEY,
        receiveid="ww12345678910",
        timestamp="1700000000",
        nonce="123456",
        encrypt=(
            "sKqRbbiSUnDhFHOvPjtUMelUqJNhJe9DlW7lGU7c/WpLYwpBx4kftxnyNDcHbI3yZOWbjApfYiwbOBu/1Pcvv43i"
            "JejSc5uGNVmrARUvTUjxnA6iFA1171yDOc1bjcKpXh7Q7GVUp33BUx7FgWKfHN56zgNpKWrhyd5nTG7tBbqwkxml"
            "CUVkISJALr8TniV951pF8KdcGtHD8dovQwPvt6RUHbQ2V+6UG80fBzbFb6du4nMXGs7eCyXYfOjjIwziEf8GOKcT"
            "Y6f2YComlamiLiuL6SOssO0h64qsHgE6xZXEJv4k5un6khJo66zes4GKXWG6waDEwpLVM4Q0noxOpwK8z6CKaVgW"
            "6dJovmvrDjyUMdccPtjBnRrLsGtwkl4d"
        ),
        signature="6ab696506e46573ba52269b537c4d622b82be313",
        message=(
            b"<xml><ToUserName><![CDATA[ww12345678910]]></ToUserName><CreateTime>1348831860</C"
            b"reateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[kf_msg_or_event]]>"
            b"</Event><Token><![CDATA[ENCtoken]]></Token><OpenKfId><![CDATA[wkTest]]></OpenKfI"
            b"d></xml>"
        ),
        random16=b"0123456789abcdef",
    ),
    Vector(
        name="S2 Chinese text",
        token="QDG6eK",
        key=SAMPLE_KEY,
        receiveid="ww12345678910",
        timestamp="1700000000",
        nonce="123456",
        encrypt=(
            "sKqRbbiSUnDhFHOvPjtUMXsb2gYezRgF/sNHmL8Q/BXsI8cLFZDyIz04cDR721EUM//mfTSAtKm0quUxRLgwXH8K"
            "zXknBQp1DjhvQUM+Sy8zuAiEFT801HTxQYbNCUZp"
        ),
        signature="acff52141d5bc0f0f484bb1121a52dd8728dc2e4",
        message="<xml><Content><![CDATA[你好，测试]]></Content></xml>".encode(),
        random16=b"0123456789abcdef",
    ),
    Vector(
        name="S3 nobody named",
        token="QDG6eK",
        key=SAMPLE_KEY,
        receiveid="",
        timestamp="1700000000",
        nonce="123456",
        encrypt="sKqRbbiSUnDhFHOvPjtUMVWpxr32FgtCzwRtYRwF3f0=",
        signature="d877cf5eb5a38728df8884f0605a1c5ba2f9ccb6",
        message=b"ECHO",
        random16=b"0123456789abcdef",
    ),
    Vector(
        name="S4 a whole block of padding",
        token="QDG6eK",
        key=SAMPLE_KEY,
        receiveid="wx5823bf96d3bd56c7",
        timestamp="1700000000",
        nonce="123456",
        encrypt=(
            "sKqRbbiSUnDhFHOvPjtUMS1Nd7fI/rcjsVC1btvu0fmrCwNN39ALC5WIhyzhiSe/DJmXnNV7eRA2j6lJACJANf5U"
            "wcqjd6aUyfMJBUYulBZJHjfzchd14r1SiKn7O/aK"
        ),
        signature="8abb8cb3988237f93b671b3d555bbac44ae79340",
        message=b"aaaaaaaaaaaaaaaaaaaaaaaaaa",
        random16=b"0123456789abcdef",
    ),
    Vector(
        name="WeChat official, safe mode",
        token="AAAAA",
        key="A" * 43,
        receiveid="wxba5fad812f8e6fb9",
        timestamp="1714112445",
        nonce="415670741",
        encrypt=(
            "+qdx1OKCy+5JPCBFWw70tm0fJGb2Jmeia4FCB7kao+/Q5c/ohsOzQHi8khUOb05JCpj0JB4RvQMkUyus8TPxLKJG"
            "QqcvZqzDpVzazhZv6JsXUnnR8XGT740XgXZUXQ7vJVnAG+tE8NUd4yFyjPy7GgiaviNrlCTj+l5kdfMuFUPpRSrf"
            "MZuMcp3Fn2Pede2IuQrKEYwKSqFIZoNqJ4M8EajAsjLY2km32IIjdf8YL/P50F7mStwntrA2cPDrM1kb6mOcfBgR"
            "tWygb3VIYnSeOBrebufAlr7F9mFUPAJGj04="
        ),
        signature="046e02f8204d34f8ba5fa3b1db94908f3df2e9b3",
        message=(
            b'{"ToUserName":"gh_97417a04a28d","FromUserName":"o9AgO5Kd5ggOC-bXrbNODIiE3bGY","C'
            b'reateTime":1714112445,"MsgType":"event","Event":"debug_demo","debug_str":"hello '
            b'world"}'
        ),
        random16=b"a8eedb185eb2fecf",
    ),
    Vector(
        name="WeChat official, reply",
        token="AAAAA",
        key="A" * 43,
        receiveid="wxba5fad812f8e6fb9",
        timestamp="1713424427",
        nonce="415670741",
        encrypt="ELGduP2YcVatjqIS+eZbp80MNLoAUWvzzyJxgGzxZO/5sAvd070Bs6qrLARC9nVHm48Y4hyRbtzve1L32tmxSQ==",
        signature="1b9339964ed2e271e7c7b6ff2b0ef902fc94dea1",
        message=b'{"demo_resp":"good luck"}',
        random16=b"707722b803182950",
    ),
)
