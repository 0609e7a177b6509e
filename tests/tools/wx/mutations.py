"""Callbacks that nobody must be served for, made from genuine ones.

An outsider has seen a callback and changes what goes over the wire. An insider knows token and key
as well and makes callbacks that are signed and encrypted, but never those of the algorithm. All is
made here without the code that is tested.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.tools.wx.vectors import Vector

SIGNS = "abcXYZ019+/=-_ \t\n\r<>&;%\x7f你Ａ１\u200b\u0660"


@dataclass(frozen=True, slots=True)
class Callback:
    msg_signature: str
    timestamp: str
    nonce: str
    body: bytes


class Original:
    """A genuine callback, and its makers' secrets."""

    def __init__(self, vector: Vector, as_json: bool) -> None:
        self.vector, self.as_json = vector, as_json
        key = base64.b64decode(vector.key + "=")
        self.cipher = Cipher(algorithms.AES(key), modes.CBC(key[:16]))
        self.receiveid = vector.receiveid.encode()
        self.holds_fields = vector.message[:1] in {b"<", b"{"}

    def callback(
        self,
        *,
        encrypt: str | None = None,
        signature: str | None = None,
        timestamp: str | None = None,
        nonce: str | None = None,
    ) -> Callback:
        vector = self.vector
        return Callback(
            vector.signature if signature is None else signature,
            vector.timestamp if timestamp is None else timestamp,
            vector.nonce if nonce is None else nonce,
            self.envelope(vector.encrypt if encrypt is None else encrypt),
        )

    def envelope(self, encrypt: str) -> bytes:
        if self.as_json:
            return json.dumps({"tousername": "ww1", "encrypt": encrypt, "agentid": "218"}).encode()
        return (
            f"<xml><ToUserName><![CDATA[ww1]]></ToUserName><Encrypt><![CDATA[{encrypt}]]></Encrypt>"
            "<AgentID><![CDATA[218]]></AgentID></xml>"
        ).encode()

    def signed(self, encrypt: str) -> Callback:
        parts = sorted([self.vector.token, self.vector.timestamp, self.vector.nonce, encrypt])
        signature = hashlib.sha1("".join(parts).encode()).hexdigest()
        return self.callback(encrypt=encrypt, signature=signature)

    def encrypted(self, padded: bytes) -> Callback:
        """Signed, too; ``padded`` is cut to whole blocks of AES."""
        encryptor = self.cipher.encryptor()
        whole = padded[: len(padded) // 16 * 16]
        return self.signed(
            base64.b64encode(encryptor.update(whole) + encryptor.finalize()).decode()
        )

    def content(
        self,
        *,
        length: int | None = None,
        message: bytes | None = None,
        receiveid: bytes | None = None,
    ) -> bytes:
        inner = self.vector.message if message is None else message
        size = (len(inner) if length is None else length) % 2**32
        named = self.receiveid if receiveid is None else receiveid
        return b"0123456789abcdef" + size.to_bytes(4, "big") + inner + named


def pad_of(content: bytes) -> int:
    return 32 - len(content) % 32


def padded(content: bytes) -> bytes:
    return content + bytes([pad_of(content)]) * pad_of(content)


def edited(rng: Random, text: str) -> str:
    """Another text."""
    at, end = sorted((rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)))
    flipped = chr(ord(text[at - 1]) ^ (1 << rng.randrange(7))) if text else "a"
    choices = [
        text[: at - 1] + flipped + text[at:] if at else flipped + text[1:],
        text[:at],
        text[end:],
        text[:at] + text[end:],
        text[:at] + rng.choice(SIGNS) + text[at:],
        text[:at] + text[at:end] * rng.randrange(2, 5) + text[end:],
        text.swapcase(),
        text[::-1],
        text.replace(text[:1], rng.choice(SIGNS)) if text else "b",
        rng.choice(SIGNS) * rng.randrange(200),
        text + text,
    ]
    changed = rng.choice(choices)
    return changed if changed != text else text + rng.choice(SIGNS)


def number(rng: Random, text: str) -> str:
    """Another number, or what only looks like one."""
    value = int(text) if text.isdigit() else 1
    return rng.choice(
        [
            str(value + rng.choice((-1, 1)) * rng.randrange(1, 10_000)),
            "0" + text,
            "-" + text,
            "+" + text,
            text + ".0",
            text + "e0",
            text + "000",
            str(10 ** rng.randrange(11, 600)),
            str(-(10 ** rng.randrange(11, 600))),
            f" {text}",
            f"{text}\n",
            text.translate({ord("0") + n: 0xFF10 + n for n in range(10)}) + "０",
            text.translate({ord("0") + n: 0x0660 + n for n in range(10)}) + "٠",
            f"{value:#x}",
            "nan",
            "inf",
            "",
            "\ud800",
        ]
    )


def outsider_encrypt(rng: Random, one: Original) -> Callback:
    return one.callback(encrypt=edited(rng, one.vector.encrypt))


def outsider_bits(rng: Random, one: Original) -> Callback:
    """Bits of the ciphertext."""
    data = bytearray(base64.b64decode(one.vector.encrypt))
    for _ in range(rng.randrange(1, 4)):
        data[rng.randrange(len(data))] ^= rng.randrange(1, 256)
    data[-1] ^= data == base64.b64decode(one.vector.encrypt)
    return one.callback(encrypt=base64.b64encode(data).decode())


def outsider_blocks(rng: Random, one: Original) -> Callback:
    """Whole blocks of the ciphertext dropped, doubled or exchanged."""
    data = base64.b64decode(one.vector.encrypt)
    blocks = [data[at : at + 16] for at in range(0, len(data), 16)]
    change = rng.randrange(4)
    if change == 0:
        del blocks[rng.randrange(len(blocks)) :]
    elif change == 1:
        blocks.insert(rng.randrange(len(blocks)), rng.choice(blocks))
    elif change == 2:
        del blocks[: rng.randrange(1, len(blocks) + 1)]
    else:
        rng.shuffle(blocks)
        blocks.extend(blocks if b"".join(blocks) == data else [])
    return one.callback(encrypt=base64.b64encode(b"".join(blocks)).decode())


def outsider_encoding(rng: Random, one: Original) -> Callback:
    """The same ciphertext written differently."""
    text = one.vector.encrypt
    data = base64.b64decode(text)
    written = [
        base64.urlsafe_b64encode(data).decode(),
        base64.encodebytes(data).decode(),
        base64.b32encode(data).decode(),
        base64.b64encode(text.encode()).decode(),
        data.hex(),
        text.rstrip("="),
        text + "=",
        text + "\n",
        " " + text,
        text.replace("+", " "),
        text.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"),
        text[:-3] + chr(ord(text[-3]) + 1) + "==" if text.endswith("==") else text + "A" * 4,
        "\ufeff" + text,
        text.translate({ord("A"): "Ａ", ord("1"): "１"}),
    ]
    return one.callback(encrypt=rng.choice([other for other in written if other != text]))


def outsider_signature(rng: Random, one: Original) -> Callback:
    signature = one.vector.signature
    guesses = [
        edited(rng, signature),
        signature.upper(),
        "",
        hashlib.sha1(one.vector.encrypt.encode()).hexdigest(),
        hashlib.sha256(signature.encode()).hexdigest(),
        signature + "0" * rng.randrange(1, 5_000),
        signature.translate({ord("a"): "а", ord("1"): "１"}) + " ",
    ]
    return one.callback(signature=rng.choice(guesses))


def outsider_timestamp(rng: Random, one: Original) -> Callback:
    return one.callback(timestamp=number(rng, one.vector.timestamp))


def outsider_nonce(rng: Random, one: Original) -> Callback:
    change = rng.choice([number, edited])
    nonce = change(rng, one.vector.nonce)
    return one.callback(nonce=nonce if nonce != one.vector.nonce else nonce + "0")


def outsider_swap(rng: Random, one: Original) -> Callback:
    """Fields in each other's place: the signature of what is sorted may stay right."""
    fields = [one.vector.timestamp, one.vector.nonce, one.vector.encrypt, one.vector.signature]
    mixed = fields.copy()
    while mixed == fields:
        rng.shuffle(mixed)
    return one.callback(timestamp=mixed[0], nonce=mixed[1], encrypt=mixed[2], signature=mixed[3])


def outsider_moved(rng: Random, one: Original) -> Callback:
    """Signs moved over the border of two fields that are joined for the signature, which stays
    right."""
    vector = one.vector
    named = {"timestamp": vector.timestamp, "nonce": vector.nonce, "encrypt": vector.encrypt}
    in_order = sorted([*named, "token"], key=lambda name: named.get(name, vector.token))
    borders = [
        (first, second) for first, second in pairwise(in_order) if "token" not in (first, second)
    ]
    first, second = rng.choice(borders)
    both = named[first] + named[second]
    cut = rng.choice([at for at in range(len(both) + 1) if at != len(named[first])])
    parts = [both[:cut], both[cut:]]
    if rng.random() < 0.3:
        parts.reverse()
    moved = named | dict(zip((first, second), parts, strict=True))
    return one.callback(**moved)


def outsider_cut(rng: Random, one: Original) -> Callback:
    """A body of which the end, or a part, is missing."""
    whole = one.callback()
    return Callback(
        whole.msg_signature,
        whole.timestamp,
        whole.nonce,
        whole.body[: rng.randrange(len(whole.body))],
    )


def broken(rng: Random, inside: str) -> bytes:
    """XML that must not be read at all."""
    element = f"<Encrypt>{inside}</Encrypt>"
    many = rng.randrange(33, 400)
    attributes = " ".join(f'n{n}="1"' for n in range(many))
    laughs = "".join(f'<!ENTITY l{n + 1} "' + f"&l{n};" * 10 + '">' for n in range(9))
    return rng.choice(
        [
            f"<!DOCTYPE xml><xml>{element}</xml>",
            f'<!DOCTYPE xml [<!ENTITY e "{inside}">]><xml><Encrypt>&e;</Encrypt></xml>',
            f'<!DOCTYPE xml [<!ENTITY e SYSTEM "file:///etc/hostname">]><xml>{element}<a>&e;</a></xml>',
            f'<!DOCTYPE xml [<!ENTITY % p SYSTEM "http://127.0.0.1:9/"> %p;]><xml>{element}</xml>',
            f'<!DOCTYPE xml SYSTEM "http://127.0.0.1:9/x.dtd"><xml>{element}</xml>',
            f'<!DOCTYPE xml [<!ENTITY l0 "ha">{laughs}]><xml>{element}<a>&l9;</a></xml>',
            f'<!DOCTYPE xml [<!ATTLIST xml a CDATA "1">]><xml>{element}</xml>',
            f"<xml>{element}{'<a>' * many}{'</a>' * many}</xml>",
            f"<xml>{element}{'<a>' * many * 50}",
            f"<xml>{element}<a {attributes}/></xml>",
            f'<xml a="1" a="2">{element}</xml>',
            f"<xml>{element}<a>&nbsp;</a></xml>",
            f"<xml>{element}<a>\x00</a></xml>",
            f"<xml>{element}<a>&#{rng.choice((0, 1, 8, 0xD800, 0xFFFF, 2**31, 10**40))};</a></xml>",
            f"<xml>{element}<a></b></xml>",
            f"<xml>{element}</xml><xml/>",
            f"<xml>{element}<![CDATA[",
        ]
    ).encode()


def outsider_hostile(rng: Random, one: Original) -> Callback:
    """Genuine but for the document around it."""
    whole = one.callback()
    text = one.vector.encrypt
    element = f"<Encrypt>{text}</Encrypt>"
    deep = rng.randrange(1, 31)
    body = rng.choice(
        [
            *[broken(rng, text)] * 12,
            f"<xml>{element}</xml>".encode(rng.choice(["utf-16", "utf-32", "utf-16-be"])),
            f"<xml>{element}<a>你好</a></xml>".encode("gb18030"),
            f"<xml>{'<a>' * deep}{element}{'</a>' * deep}</xml>".encode(),
            f"<xml>{element}{element}</xml>".encode(),
            f'<xml xmlns:e="u"><e:Encrypt>{text}</e:Encrypt></xml>'.encode(),
            f"<xml><Encrypt>{text[:9]}<b/>{text[9:]}</Encrypt></xml>".encode(),
            f"<xml><ENCRYPT>{text}</ENCRYPT></xml>".encode(),
            json.dumps({"encrypt": [text]}).encode(),
            json.dumps({"encrypt": text, "Encrypt": text}).encode(),
            f'{{"encrypt":"{text}","encrypt":"{text}"}}'.encode(),
            f'{{"encrypt":"{text}","a":{"[" * 40}{"]" * 40}}}'.encode(),
            f'{{"encrypt":"{text}","a":{"[" * 5_000}'.encode(),
            f'{{"encrypt":"{text}","a":"\\ud800"}}'.encode(),
            f'{{"encrypt":"{text}","a":-Infinity}}'.encode(),
        ]
    )
    return Callback(whole.msg_signature, whole.timestamp, whole.nonce, body)


def insider_padding(rng: Random, one: Original) -> Callback:
    content = one.content()
    pad = pad_of(content)
    good = padded(content)
    at = len(content) + rng.randrange(pad)
    return one.encrypted(
        rng.choice(
            [
                good[:-1] + bytes([rng.choice([0, *range(33, 256)])]),
                good[:at] + bytes([good[at] ^ rng.randrange(1, 256)]) + good[at + 1 :],
                good + bytes([32]) * 32,
                good + bytes([16]) * 16,
                content + bytes(pad - 1) + bytes([pad % 32 + 1]),
                content + bytes([pad + 32]) * (pad + 32),
                content,
            ]
        )
    )


def insider_length(rng: Random, one: Original) -> Callback:
    true = len(one.vector.message)
    wrong = rng.choice(
        [
            rng.randrange(true),
            true + rng.randrange(1, 64),
            2**31 - rng.randrange(2),
            2**31 + rng.randrange(2),
            2**32 - rng.randrange(1, 70),
            int.from_bytes(true.to_bytes(4, "big"), "little"),
            rng.randrange(2**24, 2**32),
        ]
    )
    return one.encrypted(padded(one.content(length=wrong if wrong != true else true + 1)))


def insider_receiver(rng: Random, one: Original) -> Callback:
    named = edited(rng, one.vector.receiveid).encode()
    return one.encrypted(padded(one.content(receiveid=named)))


def insider_short(rng: Random, one: Original) -> Callback:
    """Less than the random bytes and the length need, or nothing at all."""
    return one.encrypted(padded(rng.randbytes(rng.randrange(20))) if rng.random() < 0.9 else b"")


def insider_tail(rng: Random, one: Original) -> Callback:
    """Bits of the last block but one change the same bits of what the last one says."""
    data = bytearray(base64.b64decode(one.vector.encrypt))
    end = min(16, len(one.receiveid) + pad_of(one.content()))
    data[-16 - 1 - rng.randrange(end)] ^= rng.randrange(1, 256)
    return one.signed(base64.b64encode(data).decode())


def insider_cut(rng: Random, one: Original) -> Callback:
    """No whole number of blocks, or no whole base64."""
    data = base64.b64decode(one.vector.encrypt)
    cut = rng.randrange(len(data))
    if rng.random() < 0.5:
        return one.signed(base64.b64encode(data[:cut]).decode())
    return one.signed(one.vector.encrypt[: rng.randrange(len(one.vector.encrypt.rstrip("=")))])


def insider_encoding(rng: Random, one: Original) -> Callback:
    """What is no base64, or not all of it."""
    text = one.vector.encrypt
    at = rng.randrange(len(text))
    return one.signed(
        rng.choice(
            [
                text[:at] + rng.choice("-_ \t\n\r%<你Ａ\u0660\ufeff") + text[at:],
                base64.encodebytes(base64.b64decode(text)).decode(),
                text.rstrip("=") + "===",
                "=" + text,
                text[: at - at % 4] + "=" + text[at - at % 4 :] + "A",
                "",
            ]
        )
    )


def insider_message(rng: Random, one: Original) -> Callback:
    """All is right but the message."""
    good = '{"MsgId":1,"Content":"hi"}'
    message = rng.choice(
        [
            *[broken(rng, "hi")] * 6,
            b"",
            rng.randbytes(rng.randrange(1, 60)) + b"\xff",
            good[: rng.randrange(len(good))].encode(),
            b'{"MsgId":NaN}',
            b'{"MsgId":1,"MsgId":2}',
            b'{"MsgId":' + b"[" * rng.randrange(40, 3_000),
            b'{"Content":"\\u0000"}',
            b'{"Content":"\\udc00"}',
            b'{"MsgId":' + b"1" * rng.randrange(1, 9_000),
        ]
    )
    return one.encrypted(padded(one.content(message=message)))


MUTATIONS: dict[str, Callable[[Random, Original], Callback]] = {
    mutation.__name__: mutation
    for mutation in (
        outsider_encrypt,
        outsider_bits,
        outsider_blocks,
        outsider_encoding,
        outsider_signature,
        outsider_timestamp,
        outsider_nonce,
        outsider_swap,
        outsider_moved,
        outsider_cut,
        outsider_hostile,
        insider_padding,
        insider_length,
        insider_receiver,
        insider_short,
        insider_tail,
        insider_cut,
        insider_encoding,
        insider_message,
    )
}


def scribbled(rng: Random, one: Original) -> Callback:
    """Anything at all done to the bytes of the body, where it may matter and where not."""
    whole = one.callback()
    body = bytearray(whole.body)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(body) + 1)
        body[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
    return Callback(whole.msg_signature, whole.timestamp, whole.nonce, bytes(body))
