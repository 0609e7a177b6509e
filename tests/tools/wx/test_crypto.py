"""Callbacks are opened, sealed and refused as Tencent's samples do it."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.errors import ConfigurationError
from tests.tools.wx.vectors import SAMPLE_KEY, VECTORS, Vector
from tools.wx.crypto import (
    CallbackKeys,
    CallbackRefused,
    Freshness,
    Refusal,
    jsapi_signature,
    plain_is_valid,
    plain_signature,
    replay_key,
)

NOW = "1700000000"
TICKET = "sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg"

each_vector = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)


def opened(keys: CallbackKeys, vector: Vector, **changed: str) -> bytes:
    given = {
        "msg_signature": vector.signature,
        "timestamp": vector.timestamp,
        "nonce": vector.nonce,
        **changed,
    }
    return keys.open(given.pop("encrypted", vector.encrypt), **given)


def refusal(keys: CallbackKeys, vector: Vector, **changed: str) -> Refusal:
    with pytest.raises(CallbackRefused) as refused:
        opened(keys, vector, **changed)
    return refused.value.code


@each_vector
def test_a_published_callback_is_opened(vector: Vector) -> None:
    assert opened(vector.keys(), vector) == vector.message


@each_vector
def test_a_published_signature_is_reproduced(vector: Vector) -> None:
    signature = vector.keys().signature(vector.timestamp, vector.nonce, vector.encrypt)
    assert signature == vector.signature


@pytest.mark.parametrize(
    "vector", [one for one in VECTORS if one.random16], ids=lambda vector: vector.name
)
def test_sealing_reproduces_a_published_ciphertext_byte_for_byte(vector: Vector) -> None:
    sealed = vector.keys().seal(
        vector.message,
        timestamp=vector.timestamp,
        nonce=vector.nonce,
        random16=vector.random16,
    )
    assert (sealed.encrypt, sealed.msg_signature) == (vector.encrypt, vector.signature)


def test_the_echo_is_the_bare_message() -> None:
    vector = VECTORS[0]
    answer = vector.keys().echo(
        vector.encrypt,
        msg_signature=vector.signature,
        timestamp=vector.timestamp,
        nonce=vector.nonce,
    )
    assert answer == b"1616140317555161061"


def test_a_nonce_that_is_one_off_is_refused() -> None:
    vector = next(one for one in VECTORS if one.name.startswith("V8"))
    assert refusal(vector.keys(), vector, nonce="437374424") is Refusal.SIGNATURE


def test_a_nonce_in_the_timestamps_place_is_refused_though_the_signature_is_right() -> None:
    vector = VECTORS[0]
    keys = vector.keys()
    assert keys.signature(vector.nonce, vector.timestamp, vector.encrypt) == vector.signature
    swapped = refusal(keys, vector, timestamp=vector.nonce, nonce=vector.timestamp)
    assert swapped is Refusal.SIGNATURE


@pytest.mark.parametrize("receiveid", ["", "ww12345678911", "ww1234567891", "ww123456789100"])
def test_a_message_for_another_receiver_is_refused(receiveid: str) -> None:
    vector = next(one for one in VECTORS if one.name.startswith("S1"))
    keys = CallbackKeys(vector.token, vector.key, receiveid)
    assert refusal(keys, vector) is Refusal.RECEIVER


def test_no_receiveid_means_that_none_may_be_named() -> None:
    vector = next(one for one in VECTORS if one.name.startswith("S3"))
    assert opened(vector.keys(), vector) == b"ECHO"
    assert refusal(CallbackKeys(vector.token, vector.key, "ww1"), vector) is Refusal.RECEIVER


@each_vector
def test_another_key_opens_nothing(vector: Vector) -> None:
    keys = CallbackKeys(vector.token, "B" * 43, vector.receiveid)
    assert refusal(keys, vector) in {Refusal.LAYOUT, Refusal.RECEIVER}


@pytest.mark.parametrize(
    "key",
    ["", SAMPLE_KEY[:-1], SAMPLE_KEY + "A", SAMPLE_KEY[:-1] + "=", "$" + SAMPLE_KEY[1:], "é" * 43],
    ids=["empty", "42", "44", "equals", "dollar", "not ASCII"],
)
def test_a_malformed_key_is_refused_and_not_quoted(key: str) -> None:
    with pytest.raises(ConfigurationError, match="43") as refused:
        CallbackKeys("token", key, "ww1")
    assert not key or key not in str(refused.value)


@pytest.mark.parametrize("token", ["", "to ken", "to\nken", "令牌", "t" * 65])
def test_a_malformed_token_is_refused_and_not_quoted(token: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        CallbackKeys(token, SAMPLE_KEY, "ww1")
    assert not token or token not in str(refused.value)


def test_keys_do_not_show_their_secrets() -> None:
    shown = repr(CallbackKeys("secretToken", SAMPLE_KEY, "ww1"))
    assert "ww1" in shown
    assert "secretToken" not in shown
    assert SAMPLE_KEY not in shown


def test_unused_bits_of_the_last_character_of_a_key_are_ignored() -> None:
    vector = VECTORS[0]
    for last in "CDAB":
        keys = CallbackKeys(vector.token, SAMPLE_KEY[:-1] + last, vector.receiveid)
        assert opened(keys, vector) == vector.message


@settings(max_examples=300)
@given(
    message=st.binary(max_size=3_000),
    receiveid=st.text(max_size=32),
    random16=st.binary(min_size=16, max_size=16),
    nonce=st.from_regex(r"[!-~]{1,128}", fullmatch=True),
)
@example(message=b"", receiveid="", random16=bytes(16), nonce="0")
@example(message=b"\x20" * 12, receiveid="", random16=b"\x20" * 16, nonce="1")
@example(message="你好".encode(), receiveid="企业🏢", random16=b"\xff" * 16, nonce="~")
def test_what_is_sealed_is_opened_again(
    message: bytes, receiveid: str, random16: bytes, nonce: str
) -> None:
    keys = CallbackKeys("QDG6eK", SAMPLE_KEY, receiveid)
    sealed = keys.seal(message, timestamp=NOW, nonce=nonce, random16=random16)
    assert (
        keys.open(sealed.encrypt, msg_signature=sealed.msg_signature, timestamp=NOW, nonce=nonce)
        == message
    )


@pytest.mark.parametrize("size", range(64))
def test_every_length_of_padding_is_sealed_and_opened(size: int) -> None:
    keys = CallbackKeys("QDG6eK", SAMPLE_KEY, "ww1")
    sealed = keys.seal(b"a" * size, timestamp=NOW, nonce="1")
    assert (
        keys.open(sealed.encrypt, msg_signature=sealed.msg_signature, timestamp=NOW, nonce="1")
        == b"a" * size
    )


def test_sealing_twice_gives_different_ciphertexts() -> None:
    keys = CallbackKeys("QDG6eK", SAMPLE_KEY, "ww1")
    assert keys.seal(b"a", timestamp=NOW, nonce="1") != keys.seal(b"a", timestamp=NOW, nonce="1")


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_a_random_prefix_of_another_length_is_refused(size: int) -> None:
    keys = CallbackKeys("QDG6eK", SAMPLE_KEY, "ww1")
    with pytest.raises(ValueError, match="random16"):
        keys.seal(b"a", timestamp=NOW, nonce="1", random16=bytes(size))


PLAIN = [
    ("AAAAA", "1714036504", "1514711492", "f464b24fc39322e44b38aa78f5edd27bd1441696"),
    ("AAAAA", "1714037059", "486452656", "899cf89e464efb63f54ddac96b0a0a235f53aa78"),
    ("AAAAA", "1714112445", "415670741", "6c5c811b55cc85e0e1b54100749188c20beb3f5d"),
    ("test", "1410685589", "test", "f21891de399b4e33a1a93c9a7b8a8fffb5a443ff"),
]


@pytest.mark.parametrize(("token", "timestamp", "nonce", "signature"), PLAIN)
def test_plain_signatures_are_the_published_ones(
    token: str, timestamp: str, nonce: str, signature: str
) -> None:
    assert plain_signature(token, timestamp, nonce) == signature
    assert plain_is_valid(token, signature, timestamp, nonce)


@pytest.mark.parametrize(
    ("token", "timestamp", "nonce", "signature"),
    [
        ("test", "1410685589", "test", "f21891de399b4e33a1a93c9a7b8a8fffb5a443fe"),
        ("test", "1410685588", "test", PLAIN[3][3]),
        ("test", "1410685589", "tes", PLAIN[3][3]),
        ("tesT", "1410685589", "test", PLAIN[3][3]),
        ("test", "1410685589", "test", PLAIN[3][3].upper()),
        ("test", "1410685589", "test", ""),
        ("test", "1410685589", "test", "签名"),
        ("test", "1410685589", "test", "\ud800"),
        ("test", "test", "1410685589", PLAIN[3][3]),
        ("", "1410685589", "test", plain_signature("", "1410685589", "test")),
    ],
    ids=[
        *("last digit", "time", "nonce", "token", "case", "empty", "Chinese", "surrogate"),
        *("swapped", "no token set up"),
    ],
)
def test_other_plain_signatures_are_refused(
    token: str, timestamp: str, nonce: str, signature: str
) -> None:
    assert not plain_is_valid(token, signature, timestamp, nonce)


@pytest.mark.parametrize(
    ("url", "signature"),
    [
        ("http://mp.weixin.qq.com?params=value", "0f9de62fce790f9a083d5c99e95740ceb90c27ed"),
        ("http://mp.weixin.qq.com?params=value#top", "0f9de62fce790f9a083d5c99e95740ceb90c27ed"),
        ("http://mp.weixin.qq.com", "f4d90daf4b3bca3078ab155816175ba34c443a7b"),
    ],
)
def test_jsapi_signatures_are_the_published_ones(url: str, signature: str) -> None:
    signed = jsapi_signature(TICKET, noncestr="Wm3WZYTPz0wzccnW", timestamp=1414587457, url=url)
    assert signed == signature


@pytest.mark.parametrize("timestamp", ["1699999400", "1700000000", "1700000600"])
def test_a_callback_within_the_window_is_fresh(timestamp: str) -> None:
    Freshness(600, lambda: 1_700_000_000.0).check(timestamp)


@pytest.mark.parametrize(
    "timestamp",
    [
        *("1699999399", "1700000601", "", "-1700000000", "1700000000.0", "1700000000 ", "17e8"),
        *("01700000000", "1700000000000", "１７００００００００", "9" * 400),
    ],
)
def test_any_other_callback_is_not_fresh(timestamp: str) -> None:
    with pytest.raises(CallbackRefused) as refused:
        Freshness(600, lambda: 1_700_000_000.0).check(timestamp)
    assert refused.value.code is Refusal.SIGNATURE
    assert refused.value.status == 403


def test_the_key_of_a_replay_tells_signatures_scopes_and_bodies_apart() -> None:
    keys = [
        replay_key("wecom", "a"),
        replay_key("wecom", "b"),
        replay_key("wechat", "a"),
        replay_key("wechat", "a", b"1"),
        replay_key("wechat", "a", b"2"),
    ]
    assert len(set(keys)) == len(keys)
    assert replay_key("wecom", "a") == keys[0]
    assert len(replay_key("wecom", "签名" * 10_000)) == len(keys[0])
