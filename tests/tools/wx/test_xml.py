"""The XML of callbacks: what platforms send is read, what strangers send does no harm."""

import os
import time

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.wx.crypto import CallbackRefused, Refusal
from tools.wx.xml import MAX_ATTRIBUTES, MAX_DEPTH, MAX_ELEMENTS, build, listed, parse, text

SCAN = b"""<?xml version="1.0" encoding="UTF-8"?>
<!-- a comment -->
<xml>
  <ToUserName><![CDATA[gh_1]]></ToUserName>
  <CreateTime>1408090502</CreateTime>
  <ScanCodeInfo><ScanType><![CDATA[qrcode]]></ScanType>
    <ScanResult>1 &lt; 2</ScanResult></ScanCodeInfo>
  <PicList><item><PicMd5Sum>a</PicMd5Sum></item><item><PicMd5Sum>b</PicMd5Sum></item></PicList>
  <TagId>1</TagId><TagId>2</TagId><TagId>3</TagId>
  <AgentID><![CDATA[]]></AgentID><Empty/>
</xml>"""

BILLION = (
    b'<!DOCTYPE xml [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY b%d "%s">' % (n, b"&a;" * 10) for n in range(9))
    + b"]><xml><Encrypt>&b8;</Encrypt></xml>"
)
HOSTILE = {
    "empty": b"",
    "no XML": b"hello",
    "no end": b"<xml><a>1</a>",
    "two roots": b"<xml/><xml/>",
    "crossed": b"<xml><a><b></a></b></xml>",
    "DTD": b"<!DOCTYPE xml><xml><a>1</a></xml>",
    "internal entity": b'<!DOCTYPE xml [<!ENTITY e "1">]><xml><a>&e;</a></xml>',
    "entity in attribute": b'<!DOCTYPE xml [<!ENTITY e "1">]><xml><a b="&e;"/></xml>',
    "external entity": b'<!DOCTYPE xml [<!ENTITY e SYSTEM "file:///etc/passwd">]><xml><a>&e;</a></xml>',
    "external subset": b'<!DOCTYPE xml SYSTEM "http://127.0.0.1:9/x.dtd"><xml><a>1</a></xml>',
    "parameter entity": b'<!DOCTYPE xml [<!ENTITY % p SYSTEM "file:///dev/zero"> %p;]><xml/>',
    "billion laughs": BILLION,
    "undeclared entity": b"<xml><a>&nbsp;</a></xml>",
    "NUL": b"<xml><a>\x00</a></xml>",
    "written NUL": b"<xml><a>&#0;</a></xml>",
    "written surrogate": b"<xml><a>&#xD800;</a></xml>",
    "not UTF-8": "<xml><a>你好</a></xml>".encode("gb18030"),
    "UTF-16": '<?xml version="1.0" encoding="UTF-16"?><xml><a>1</a></xml>'.encode("utf-16"),
    "UTF-16 that only looks so": "<xml><a>1</a></xml>".encode("utf-16-be"),
    "UTF-16 with a DTD": "<!DOCTYPE xml><xml><a>1</a></xml>".encode("utf-16"),
    "surrogates in UTF-8": b"<xml><a>\xed\xa0\x80</a></xml>",
    "too deep": b"<xml>" + b"<a>" * MAX_DEPTH + b"</a>" * MAX_DEPTH + b"</xml>",
    "far too deep": b"<a>" * 80_000,
    "too many elements": b"<xml>" + b"<a/>" * MAX_ELEMENTS + b"</xml>",
    "too many attributes": b"<xml><a %s/></xml>" % b" ".join(b'n%d="1"' % n for n in range(20_000)),
    "attribute twice": b'<xml a="1" a="2"/>',
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_or_broken_xml_is_refused_at_once(data: bytes) -> None:
    began = time.process_time()
    with pytest.raises(CallbackRefused) as refused:
        parse(data)
    assert refused.value.code is Refusal.PARSE
    assert refused.value.status == 400
    assert time.process_time() - began < 1


def test_nested_and_repeated_elements_become_dicts_and_lists() -> None:
    assert parse(SCAN) == {
        "ToUserName": "gh_1",
        "CreateTime": "1408090502",
        "ScanCodeInfo": {"ScanType": "qrcode", "ScanResult": "1 < 2"},
        "PicList": {"item": [{"PicMd5Sum": "a"}, {"PicMd5Sum": "b"}]},
        "TagId": ["1", "2", "3"],
        "AgentID": "",
        "Empty": "",
    }


def test_markup_inside_cdata_is_text() -> None:
    data = b"<xml><Content><![CDATA[<!DOCTYPE html> <b>&amp;</b>]]></Content></xml>"
    assert parse(data) == {"Content": "<!DOCTYPE html> <b>&amp;</b>"}


def test_a_text_in_several_sections_is_one_text() -> None:
    data = "<xml><a>你<![CDATA[好]]>&#65281;<!-- no --> </a></xml>".encode()
    assert parse(b"\xef\xbb\xbf" + data) == {"a": "你好！ "}


@pytest.mark.parametrize("encoding", ["GBK", "UTF-16", "no-such-encoding"])
def test_xml_is_utf_8_whatever_it_declares(encoding: str) -> None:
    data = f'<?xml version="1.0" encoding="{encoding}"?><xml><a>你好</a></xml>'.encode()
    assert parse(data) == {"a": "你好"}


def test_depth_elements_and_attributes_are_allowed_up_to_their_bounds() -> None:
    nested = MAX_DEPTH - 1
    attributes = " ".join(f'n{n}="1"' for n in range(MAX_ATTRIBUTES))
    assert parse(b"<xml>" + b"<a>" * nested + b"</a>" * nested + b"</xml>")
    assert len(parse(b"<xml>" + b"<a/>" * (MAX_ELEMENTS - 1) + b"</xml>")["a"]) == MAX_ELEMENTS - 1
    assert parse(f"<xml {attributes}><a>1</a></xml>".encode()) == {"a": "1"}


def test_more_bytes_than_allowed_are_not_parsed() -> None:
    data = b"<xml><a>1</a></xml>"
    assert parse(data, max_bytes=len(data)) == {"a": "1"}
    with pytest.raises(CallbackRefused, match=str(len(data) - 1)):
        parse(data, max_bytes=len(data) - 1)


def test_names_that_strangers_make_up_are_not_kept_in_memory() -> None:
    """libxml2 would hold on to 14 MB after these."""
    process = psutil.Process(os.getpid())
    before = 0
    for number in range(60):
        names = (f"<n{number}_{n}{'x' * 160}/>" for n in range(1_500))
        parse(f"<xml>{''.join(names)}</xml>".encode())
        if number == 10:
            before = process.memory_info().rss
    assert process.memory_info().rss - before < 6_000_000


def test_one_value_is_read_as_text_or_refused() -> None:
    fields = parse(b"<xml><a>1</a><b>1</b><b>2</b><c><d>1</d></c></xml>")
    assert (text(fields, "a"), text(fields, "missing")) == ("1", "")
    for name in ("b", "c"):
        with pytest.raises(CallbackRefused, match=name):
            text(fields, name)


def test_an_element_that_may_repeat_is_a_list_however_often_it_came() -> None:
    fields = parse(b"<xml><a>1</a><b>1</b><b>2</b><c/></xml>")
    assert [listed(fields.get(name)) for name in "abcd"] == [["1"], ["1", "2"], [], []]


def test_replies_hold_text_as_cdata_and_numbers_plain() -> None:
    built = build({"ToUserName": "o1", "CreateTime": 12345678, "Articles": {"item": [{"T": "1"}]}})
    assert built.decode() == (
        "<xml><ToUserName><![CDATA[o1]]></ToUserName><CreateTime>12345678</CreateTime>"
        "<Articles><item><T><![CDATA[1]]></T></item></Articles></xml>"
    )


def test_the_end_of_cdata_inside_a_text_is_divided() -> None:
    built = build({"Content": "a]]>b"})
    assert b"<![CDATA[a]]]]><![CDATA[>b]]>" in built
    assert parse(built) == {"Content": "a]]>b"}


def test_what_xml_cannot_hold_is_left_out() -> None:
    assert parse(build({"Content": "a\x00\x0b\ud800\ufffe\uffffb\t\n"})) == {"Content": "ab\t\n"}


@pytest.mark.parametrize("name", ["", "1a", "a b", "a><b", "名"])
def test_a_name_that_would_break_the_document_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        build({name: "1"})


LEAVES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\ufffe\uffff", min_codepoint=32)
)
NAMES = st.sampled_from(["item", "Content", "_a", "A-1", "a.b"])
NESTED = st.recursive(
    LEAVES | st.just("]]>") | st.just("]]]]>>&amp;<![CDATA["),
    lambda inner: st.dictionaries(NAMES, inner | st.lists(inner, min_size=2, max_size=3)),
    max_leaves=12,
)


def without_empty(value: object) -> object:
    """An element without anything in it is an empty text, whatever it was made from."""
    if isinstance(value, dict):
        return {name: without_empty(inner) for name, inner in value.items()} or ""
    if isinstance(value, list):
        return [without_empty(inner) for inner in value]
    return value


@given(st.dictionaries(NAMES, NESTED, max_size=4))
def test_what_is_built_is_parsed_again(fields: dict[str, object]) -> None:
    built = build(fields)  # type: ignore[arg-type]
    assert parse(built) == {name: without_empty(value) for name, value in fields.items()}


@given(st.binary(max_size=300) | st.text().map(lambda inside: f"<xml>{inside}</xml>".encode()))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        assert isinstance(parse(data), dict)
    except CallbackRefused as refused:
        assert refused.code is Refusal.PARSE  # noqa: PT017
