"""Forms of pages, read and filled in as a browser does."""

from __future__ import annotations

from html.parser import HTMLParser

from werkzeug.datastructures import MultiDict


class _Forms(HTMLParser):
    """Collects what each form of a page that posts would post."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.forms: list[MultiDict[str, str]] = []
        self._inside = False
        self._select = ""
        self._multiple = False
        self._chosen: list[str] = []
        self._first: str | None = None
        self._area = ""
        self._text = ""
        self._templates = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        self._templates += tag == "template"
        if tag == "form":
            self._inside = given.get("method", "").lower() == "post"
            if self._inside:
                self.forms.append(MultiDict())
        elif not self._inside or self._templates or "disabled" in given:
            return
        elif tag == "input" and name and given.get("type") not in {"file", "submit", "button"}:
            if given.get("type") not in {"checkbox", "radio"} or "checked" in given:
                self.forms[-1].add(name, given.get("value", "on"))
        elif tag == "select":
            self._select, self._multiple, self._chosen, self._first = name, "multiple" in given, [], None
        elif tag == "option" and self._select:
            self._first = given.get("value", "") if self._first is None else self._first
            self._chosen += [given.get("value", "")] if "selected" in given else []
        elif tag == "textarea":
            self._area, self._text = name, ""

    def handle_data(self, data: str) -> None:
        self._text += data if self._area else ""

    def handle_endtag(self, tag: str) -> None:
        self._templates -= tag == "template"
        if tag == "form":
            self._inside = False
        elif tag == "select" and self._select:
            chosen = self._chosen or ([] if self._multiple or self._first is None else [self._first])
            self.forms[-1].setlist(self._select, chosen)
            self._select = ""
        elif tag == "textarea" and self._area:
            # A browser drops the first end of a line, and posts the others as CR LF.
            text = self._text.replace("\r\n", "\n").removeprefix("\n")
            self.forms[-1].add(self._area, text.replace("\n", "\r\n"))
            self._area = ""


def form_of(page: str, field: str) -> MultiDict[str, str]:
    """Return what the first form of a page that has a field would post as it stands."""
    reader = _Forms()
    reader.feed(page)
    return next(form for form in reader.forms if field in form)


def filled_in(form: MultiDict[str, str], **changes: str | list[str] | None) -> MultiDict[str, str]:
    """Return a form in which a person has changed something; None stands for a box that is not ticked."""
    new = form.copy()
    for name, value in changes.items():
        new.setlist(name, [] if value is None else value if isinstance(value, list) else [value])
    return new
