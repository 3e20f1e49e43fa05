"""What pages weigh on the wire, and that they load what they need and no more."""

from __future__ import annotations

import posixpath
import re

import pytest
from flask.testing import FlaskClient

from core.db import transaction
from core.web.static import ICON_STYLES
from modules.outbox import service
from tests.outbox.conftest import draft
from tools import icons

LIST_OCTETS, COMPOSER_OCTETS = 98_000, 230_000  # without the heads of answers and the fonts of icons
BROWSER = {"Accept-Encoding": "gzip, br", "Sec-Fetch-Site": "same-origin"}
ROWS = 40


@pytest.fixture
def client(seller, sign_in) -> FlaskClient:
    return sign_in(seller)


def weighed(client: FlaskClient, path: str) -> tuple[int, set[str]]:
    """Return the octets of a page and of all that it names and its scripts import, and the names of these files."""
    page = client.get(path, headers=BROWSER, buffered=True)
    assert (page.status_code, page.headers["Content-Encoding"]) == (200, "br")
    total = len(page.data)
    html = client.get(path).text
    head = html.partition("</head>")[0]
    open_files = re.findall(r'<(?:script src|link rel="stylesheet" href)="([^"]+)"', head)
    seen: set[str] = set()
    while open_files:
        url = open_files.pop()
        if url in seen:
            continue
        seen.add(url)
        answer = client.get(url, headers=BROWSER, buffered=True)
        assert (answer.status_code, "immutable" in answer.headers["Cache-Control"]) == (200, True)
        total += len(answer.data)
        if url.endswith(".js") and "/vendor/" not in url:
            source = client.get(url, buffered=True).text
            # What a composer imports when it begins; the list only when somebody comes near a button.
            imports = re.findall(r'(?:from|import) "(\./[^"]+)"', source)
            if "data-composer" in html:
                imports += re.findall(r'import\("(\./[^"]+)"\)', source)
            open_files += [posixpath.join(posixpath.dirname(url), name[2:]) for name in imports]
    return total, {re.sub(r"^/static/~[0-9a-f]+/", "", url) for url in seen}


def test_a_list_is_light_and_loads_no_editor(client, company, seller):
    with transaction():
        for number in range(ROWS):
            service.write_mail(draft(company, f"r{number}@example.com"), seller)
    total, files = weighed(client, "/outbox/mails")
    assert client.get("/outbox/mails").text.count("data-row") >= ROWS
    assert total <= LIST_OCTETS
    assert not [name for name in files if "trix" in name or "tom-select" in name or name == "editor.js"]
    assert "outbox/compose/form.js" not in files


def test_the_composer_is_light_and_loads_its_editor(client, quotation):
    total, files = weighed(client, f"/outbox/compose/{quotation.id}")
    assert total <= COMPOSER_OCTETS
    assert {
        "vendor/trix/trix.umd.min.js",
        "vendor/trix/trix.css",
        "editor.js",
        "outbox/compose/form.js",
    } <= files
    page = client.get(f"/outbox/compose/{quotation.id}").text
    # The editor's own words and hooks come before it.
    assert page.index("/editor.js") < page.index("/trix.umd.min.js")


def test_fields_with_search_bring_their_script_and_the_shell_names_it_for_pieces_that_come_later(client):
    for path, has in (("/partners/new", True), ("/partners", False)):
        html = client.get(path).text
        assert ("tom-select" in html.partition("</head>")[0]) is has
        assert re.search(r'data-files-search="[^"]*tom-select\.complete\.min\.js"', html)


def test_the_font_of_icons_has_those_that_the_source_names():
    style = (icons.ROOT / "static" / ICON_STYLES[-1]).read_text()
    known = re.findall(r"\.bi-([a-z0-9-]+)::before", style)
    missing = set(icons.named_in_source(known)) - set(icons.used())
    assert not missing, "python tools/icons.py, then make setup-run"
