"""Templates into pages: autoescaped, under a strict content security policy, in two languages."""

import functools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from api.console.assets import address_of
from api.console.reader import Reader
from api.console.words import HTML_LANGUAGES, LANGUAGES, Words, language_of
from engine.bootstrap import Kefu

CONSOLE_PATH = "/desk"
LANGUAGE_COOKIE = "kefu_lang"
FETCHED_HEADER = "x-console"
"""Sent by our own script, which asks for a page's changed parts and for errors it can show."""
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Vary": "Cookie, Accept-Language",
}


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of the navigation. ``needs``: what a reader must be, joined by «+»."""

    name: str
    path: str
    icon: str
    key: str
    extra: bool = False
    needs: str = ""


PLACES = (
    Place("queue", CONSOLE_PATH, "inbox", "q"),
    Place("orders", f"{CONSOLE_PATH}/orders", "picture", "o"),
    Place("knowledge", f"{CONSOLE_PATH}/knowledge", "book", "k"),
    Place("search", f"{CONSOLE_PATH}/search", "search", "s"),
    Place("overview", f"{CONSOLE_PATH}/overview", "chart", "w", extra=True, needs="unscoped"),
    Place("approvals", f"{CONSOLE_PATH}/approvals", "check", "p", extra=True),
    Place("reviews", f"{CONSOLE_PATH}/reviews", "again", "v", extra=True),
    Place("tasks", f"{CONSOLE_PATH}/tasks", "clock", "t", extra=True, needs="unscoped"),
    Place("letters", f"{CONSOLE_PATH}/deliveries", "send", "d", extra=True),
    Place(
        "customers", f"{CONSOLE_PATH}/customers", "people", "u", extra=True, needs="admin+unscoped"
    ),
    Place("campaigns", f"{CONSOLE_PATH}/campaigns", "send", "m", extra=True, needs="admin"),
    Place("clients", f"{CONSOLE_PATH}/clients", "keys", "l", extra=True, needs="admin+unscoped"),
    Place("rules", f"{CONSOLE_PATH}/rules", "check", "r", extra=True, needs="admin+unscoped"),
    Place("canned", f"{CONSOLE_PATH}/canned", "bolt", "c", extra=True),
    Place("agents", f"{CONSOLE_PATH}/agents", "people", "a", extra=True, needs="admin"),
)


def words_for(request: Request) -> Words:
    kefu: Kefu = request.app.state.kefu
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    language = language_of(chosen, request.headers.get("accept-language", ""))
    return Words(language, kefu.settings.zone(), time.time())


def is_fetched(request: Request) -> bool:
    return FETCHED_HEADER in request.headers


def page(
    request: Request,
    template: str,
    reader: Reader | None,
    *,
    status: int = 200,
    **context: Any,
) -> Response:
    """``context``: what the template names beside words, reader and navigation."""
    words = words_for(request)
    said = request.query_params.get("said", "")
    shown = {
        "t": words,
        "me": reader,
        "places": [place for place in PLACES if reader is not None and reader.may_see(place.needs)],
        "at": request.url.path,
        "query": request.query_params,
        "said": said if words.has(f"said.{said}") else "",
        "lang": HTML_LANGUAGES[words.language],
        "other_language": "en" if words.language == "zh" else "zh",
        "other_language_name": LANGUAGES["en" if words.language == "zh" else "zh"],
    }
    html = _environment().get_template(template).render(shown | context)
    return HTMLResponse(html, status_code=status, headers=dict(HEADERS))


def part(template: str, words: Words, **context: Any) -> Markup:
    """A piece of a page that is the same for every reader of that language."""
    return Markup(_environment().get_template(template).render({"t": words} | context))  # noqa: S704


def see(path: str, said: str = "") -> Response:
    """After a form: the page to look at next, and what to say there."""
    mark = "&" if "?" in path else "?"
    address = f"{path}{mark}said={said}" if said else path
    return RedirectResponse(address, status_code=303, headers={"Cache-Control": "no-store"})


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("api.console", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals["asset"] = address_of
    environment.filters["yuan"] = yuan
    environment.filters["percent"] = percent
    environment.filters["initial"] = initial
    environment.filters["shown_json"] = shown_json
    return environment


def yuan(amount: float | None) -> str:
    return "—" if amount is None else f"¥{amount:,.2f}"


def percent(share: float | None) -> str:
    return "—" if share is None else f"{round(max(0.0, min(1.0, share)) * 100)}%"


def shown_json(value: Any) -> str:
    """For people to read; long lists and texts are kept whole."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def initial(name: str) -> str:
    """What stands for a person where there is no picture of them."""
    return next((letter.upper() for letter in name if letter.isalnum()), "#")
