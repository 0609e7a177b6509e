"""Logs: one line a record, no secret in it, and no record that breaks its writer."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from engine.logs import LineFormatter, SecretMask, configure_logging

SECRET = "s3cr3t-of-the-shop"


@pytest.fixture
def _logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    access = logging.getLogger("uvicorn.access")
    disabled, propagate = access.disabled, access.propagate
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
    access.disabled, access.propagate = disabled, propagate


def _line(as_json: bool, message: object, *args: object, **extra: object) -> str:
    """What a logger of its own writes for one record."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter(SecretMask([SECRET, "x"]), as_json=as_json))
    logger = logging.Logger("kefu.test")
    logger.addHandler(handler)
    error = extra.pop("error", None)
    logger.error(message, *args, extra=extra, exc_info=error)  # type: ignore[arg-type]
    return stream.getvalue()


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (f"secret is {SECRET}!", SECRET),
        ("key sk-abcdefghijklmnop given", "sk-abcdefghijklmnop"),
        ("Authorization: Bearer abc.def-ghi", "abc.def-ghi"),
        ("eyJhbGciOi.eyJzdWIiOi.c2ln came", "eyJzdWIiOi"),
        ("POST https://api.telegram.org/bot8518:AAH-x/sendMessage", "AAH-x"),
        ("postgresql://user:hunter2@db/x is away", "hunter2"),
        ("GET /cgi-bin/send?access_token=TOKEN123&x=1", "TOKEN123"),
        ("POST https://robot.example/send?key=robot-key", "robot-key"),
        ('{"api_key": "value-of-key"}', "value-of-key"),
        ("X-API-Key: value-of-key", "value-of-key"),
        ("appsecret=value-of-key", "value-of-key"),
    ],
)
def test_secrets_are_masked_in_message_argument_extra_and_traceback(
    as_json: bool, text: str, hidden: str
) -> None:
    error = ValueError(text)
    lines = [
        _line(as_json, text),
        _line(as_json, "said %s", text),
        _line(as_json, "said", detail=text),
        _line(as_json, "failed", error=error),
    ]
    for line in lines:
        assert hidden not in line
        assert "***" in line


def test_an_extra_field_named_like_a_secret_is_masked() -> None:
    assert "abcdefgh" not in _line(True, "login", token="abcdefgh")


def test_ordinary_words_stay() -> None:
    text = "turn t_1 of c_9 took 12 ms; keyboard: yes; risk-assessment done; total=60.00"
    assert json.loads(_line(True, text))["message"] == text


def test_a_secret_of_one_letter_does_not_garble_the_line() -> None:
    assert "next" in _line(False, "next")


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(
    "breaker", ["\n", "\r", "\r\n", "\u2028", "\u2029", "\x85", "\x0b", "\x0c"]
)
def test_a_customers_line_break_forges_no_line(as_json: bool, breaker: str) -> None:
    line = _line(as_json, f"you{breaker}level=ERROR message=forged", who=f"a{breaker}b")
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_stays_on_the_line_of_its_record(as_json: bool) -> None:
    line = _line(as_json, "failed", error=RuntimeError("boom"))
    assert len(line.splitlines()) == 1
    assert "RuntimeError: boom" in line


def test_json_lines_carry_the_extra_fields() -> None:
    fields = json.loads(_line(True, "turn %s done", "t_1", turn_id="t_1", ms=12))
    assert fields["message"] == "turn t_1 done"
    assert (fields["turn_id"], fields["ms"], fields["level"]) == ("t_1", "12", "ERROR")
    assert fields["time"].endswith("+00:00")


def test_pairs_quote_only_what_needs_it() -> None:
    line = _line(False, "两件事 done", turn_id="t_1")
    assert 'message="两件事 done" turn_id=t_1\n' in line


class _Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("message", "args"),
    [
        ("%s and %s", ("one",)),
        ("%d", ("word",)),
        ("%(x)s", ("y",)),
        (_Broken(), ()),
        ("\ud800", ()),
    ],
)
def test_no_record_breaks_its_writer(message: object, args: tuple[object, ...]) -> None:
    for as_json in (True, False):
        line = _line(as_json, message, *args)
        assert len(line.splitlines()) == 1
        line.encode("utf-8")


@pytest.mark.usefixtures("_logging_restored")
def test_configuring_again_replaces_and_keeps_others_handlers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    theirs = logging.NullHandler()
    logging.getLogger().addHandler(theirs)
    configure_logging("INFO", False)
    configure_logging("INFO", True, secrets=[SECRET])
    logging.getLogger("kefu").info("hello %s", SECRET)
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "hello ***"
    assert theirs in logging.getLogger().handlers


@pytest.mark.usefixtures("_logging_restored")
def test_the_access_log_and_the_http_clients_are_silent(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("INFO", False)
    logging.getLogger("uvicorn.access").info("GET /?token=abc")
    logging.getLogger("httpx").info("HTTP Request: POST https://api/?access_token=abc")
    logging.getLogger("kefu").debug("below the level")
    assert capsys.readouterr().err == ""
    logging.getLogger("uvicorn.error").warning("shutting down")
    assert "shutting down" in capsys.readouterr().err
