"""Reading pages as a browser does."""

from __future__ import annotations

from html.parser import HTMLParser

from flask.testing import FlaskClient
from werkzeug.datastructures import MultiDict
from werkzeug.test import TestResponse

from core.documents.models import Document


class _Forms(HTMLParser):
    """Collects what the controls of a page would post."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.values: MultiDict[str, str] = MultiDict()
        self._select: str | None = None
        self._chosen: str | None = None
        self._first: str | None = None
        self._area: str | None = None
        self._text = ""
        self._templates = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "template":
            self._templates += 1
        if self._templates or "disabled" in given:
            return
        name = given.get("name", "")
        if tag == "input" and name:
            kind = given.get("type", "text")
            if kind in {"checkbox", "radio"} and "checked" not in given:
                return
            if kind not in {"file", "submit", "button"}:
                self.values.add(name, given.get("value", "on" if kind == "checkbox" else ""))
        elif tag == "select":
            self._select, self._chosen, self._first = name, None, None
        elif tag == "option" and self._select is not None:
            value = given.get("value", "")
            self._first = value if self._first is None else self._first
            self._chosen = value if "selected" in given else self._chosen
        elif tag == "textarea":
            self._area, self._text = name, ""

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "template":
            self._templates -= 1
        if tag == "select" and self._select:
            chosen = self._chosen if self._chosen is not None else self._first
            if chosen is not None:
                self.values.add(self._select, chosen)
        if tag == "select":
            self._select = None
        if tag == "textarea" and self._area:
            self.values.add(self._area, self._text.removeprefix("\n"))
        if tag == "textarea":
            self._area = None


def composer_of(page: str) -> MultiDict[str, str]:
    """Return what the composer on a page would post as it stands."""
    start = page.index('id="compose-form"')
    start = page.rindex("<form", 0, start)
    reader = _Forms()
    reader.feed(page[start : page.index("</form>", start)])
    return reader.values


def opened(browser: FlaskClient, document: Document, **query: object) -> MultiDict[str, str]:
    """Open the composer of a document and return what it would post."""
    response = browser.get(f"/outbox/compose/{document.id}", query_string=query)
    assert response.status_code == 200, response.text[:2000]
    return composer_of(response.text)


def changed(form: MultiDict[str, str], **changes: object) -> MultiDict[str, str]:
    """Return a form in which a person has changed something; a list stands for several values."""
    new = form.copy()
    for name, value in changes.items():
        new.setlist(name, list(value) if isinstance(value, list | tuple) else [str(value)])
    return new


def press_send(browser: FlaskClient, about: Document | str, form: MultiDict[str, str]) -> TestResponse:
    """Press Send; where the composer only asks, say yes and press it again.

    Args:
        browser: The browser.
        about: The document, or the path to which the composer posts.
        form: What stands in the composer.
    """
    path = about if isinstance(about, str) else f"/outbox/compose/{about.id}"
    response = browser.post(path, data=form)
    if response.status_code != 422:
        return response
    again = composer_of(response.text)
    asked = questions(response.text)
    if not asked:
        return response
    for key in asked:
        again.add("confirmed", key)
    return browser.post(path, data=again)


def questions(page: str) -> list[str]:
    """Return the keys of the questions that a page asks and nobody has answered."""

    class Reader(HTMLParser):
        found: list[str] = []  # noqa: RUF012 (one for each call)

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            given = dict(attrs)
            if tag == "input" and given.get("name") == "confirmed" and "checked" not in given:
                self.found.append(given.get("value") or "")

    reader = Reader()
    reader.found = []
    reader.feed(page)
    return reader.found
