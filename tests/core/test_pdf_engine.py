"""What stands in for parts of the PDF engine: it is faster, and makes the same octets."""

from __future__ import annotations

import base64
import io
from importlib.metadata import version

import pytest
from flask import Flask
from PIL import Image
from pypdf import PdfReader
from reportlab import rl_config
from xhtml2pdf.w3c import css, cssParser

from core.documents import pdf_engine
from core.documents.pdf import FONT, html_to_pdf


def picture(color: str, kind: str, mode: str = "RGB") -> str:
    out = io.BytesIO()
    Image.new(mode, (60, 20), color).save(out, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(out.getvalue()).decode()}"


LOGO = picture("#2040ff40", "PNG", "RGBA")
PHOTO = picture("#a02010", "JPEG")
SHEET = """
  p { margin: 0; } .line td { border-bottom: 0.5pt solid #dde2e8; padding: 4pt; vertical-align: top; }
  .line .edge { padding: 0; border-bottom: none; } .small { font-size: 8pt; color: #4c5866; }
  .right { text-align: right; } #sums td { background-color: #1f5f8b; } table td b { color: #802020; }
"""


def page(
    words: str = "Lamp", sheet: str = SHEET, lines: int = 30, begin: str = pdf_engine.XHTML.decode()
) -> str:
    """Return a page with whatever ours have: a logo, lines over several pages, sums inside of a cell, a foot."""
    rows = "".join(
        f"""<tr class="line">
          <td class="edge"{' rowspan="2"' if number == lines - 1 else ""}></td>
          <td><p>{words} {number}</p><p class="small">made of   <b>brass</b> and
 <i>of</i> <b>linen</b> &#160;  {"and more " * (number % 20)}</p></td>
          <td class="right" width="20%">{number * 37},50 €</td></tr>"""
        for number in range(lines)
    )
    return f"""{begin}<head><title>{words}</title>
      <style>@page {{ size: a4; @frame content {{ left: 18mm; top: 15mm; width: 174mm; height: 250mm; }}
      @frame footer {{ -pdf-frame-content: footer; left: 18mm; top: 270mm; width: 174mm; height: 20mm; }} }}</style>
      <style>body {{ font-family: {FONT}; font-size: 9pt; }} {sheet}</style></head>
      <body><p><img src="{LOGO}" height="20"/> <img src="{PHOTO}" height="20"/></p>
      <div style="height: 16pt"></div>
      <ul dir="rtl"><li>one</li></ul><ul><li>two</li><li>three</li></ul>
      <table repeat="1"><tbody><tr><td width="0.01%"></td><td>Name</td><td>Price</td></tr>{rows}
      <tr><td colspan="2"><table id="sums"><tbody><tr><td>Total</td><td class="right">12 €</td></tr></tbody></table>
      </td></tr></tbody></table>
      <div id="footer"><p class="right">{words} – page <pdf:pagenumber/></p></div></body></html>"""


@pytest.fixture(autouse=True)
def _same_moment(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a PDF depend on its page alone, and not on when it was made."""
    monkeypatch.setattr(rl_config, "invariant", 1)


@pytest.fixture
def _nothing_kept() -> None:
    for kept in (pdf_engine._rules, pdf_engine._styles, pdf_engine._pictures):
        kept.clear()


def by_engine_alone(html: str) -> bytes:
    with pdf_engine.engine_alone():
        return html_to_pdf(html)


def test_the_engine_is_the_one_that_was_looked_through() -> None:
    """Another one: read what each function of `pdf_engine` relies on, and then name the new version there."""
    assert {name: version(name) for name in pdf_engine.LOOKED_THROUGH} == pdf_engine.LOOKED_THROUGH


@pytest.mark.usefixtures("_nothing_kept")
@pytest.mark.parametrize("begin", [pdf_engine.XHTML.decode(), "<html>"], ids=["xhtml", "html"])
def test_a_page_becomes_the_same_octets(begin: str) -> None:
    for words in ("Lamp", "Torch", "Lamp"):
        html = page(words, begin=begin)
        data = html_to_pdf(html)
        assert data == by_engine_alone(html), words
    assert len(PdfReader(io.BytesIO(data)).pages) == 2


@pytest.mark.usefixtures("_nothing_kept")
@pytest.mark.parametrize(
    "sheet",
    [
        "tr:nth-child(odd) td { background-color: #ff0000; }",
        "tr.line + tr td p { color: #ff0000; }",
        "p:first-child { color: #ff0000; }",
        "td[width] { color: #ff0000; }",
        "td[rowspan] ~ td { color: #ff0000; }",
        ":root { --ink: #ff0000; } p { color: var(--ink); }",
        "td > p { color: #ff0000; } tbody td p.small { color: #00ff00; }",
        "td:not(.edge) { color: #ff0000; }",
        "p::before { content: 'x'; }",
    ],
)
def test_a_style_sheet_may_ask_for_anything(sheet: str) -> None:
    for words in ("Lamp", "Torch"):
        html = page(words, SHEET + sheet, lines=5)
        assert html_to_pdf(html) == by_engine_alone(html)
    assert html_to_pdf(html) != html_to_pdf(page(words, lines=5)), "and it is obeyed"


@pytest.mark.usefixtures("_nothing_kept")
def test_what_was_worked_out_once_is_not_worked_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    html_to_pdf(page("Lamp"))

    def fail(*_args: object, **_how: object) -> None:
        pytest.fail("It is known already.")

    parsed: list[str] = []
    parse = cssParser.CSSParser.parse
    monkeypatch.setattr(
        cssParser.CSSParser, "parse", lambda self, text: parsed.append(text) or parse(self, text)
    )
    monkeypatch.setattr(css.CSSCascadeStrategy, "findStylesForElement", fail)
    monkeypatch.setattr(pdf_engine, "_read_picture", fail)
    monkeypatch.setattr(pdf_engine._html5lib, "HTMLParser", fail)
    html_to_pdf(page("Torch"))
    assert len(parsed) == 1, "that of pages and frames"
    assert "@page" in parsed[0]


def test_a_paragraph_is_laid_out_once_for_its_width(monkeypatch: pytest.MonkeyPatch) -> None:
    laid_out: list[tuple[int, float]] = []
    kept = []  # or another paragraph takes the number of one that is gone
    wrap = pdf_engine._wrap

    def count(self: object, width: float, height: float) -> tuple[float, float]:
        kept.append(self)
        laid_out.append((id(self), width))
        return wrap(self, width, height)

    monkeypatch.setattr(pdf_engine, "_wrap", count)
    html_to_pdf(page())
    # But for the foot, whose number is known when its page is.
    assert len(laid_out) - len(set(laid_out)) < 10
    assert len(set(laid_out)) > 90


def test_another_engine_works_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    html = page(lines=3)
    expected = html_to_pdf(html)
    monkeypatch.setattr(pdf_engine, "LOOKED_THROUGH", {"xhtml2pdf": "9.9"})
    with pdf_engine.engine_alone():
        pdf_engine.stand_in()
        monkeypatch.setattr(pdf_engine, "_rules", None)
        assert html_to_pdf(html) == expected
    monkeypatch.undo()
    pdf_engine.stand_in()


@pytest.mark.parametrize("letter", ["\x0b", "\x01", "\ufffe"])
def test_a_letter_that_xml_does_not_know_costs_nothing_but_time(letter: str) -> None:
    text = PdfReader(io.BytesIO(html_to_pdf(page(f"La{letter}mp", lines=2)))).pages[0].extract_text()
    assert "mp 1" in text
    assert "12 €" in text


@pytest.mark.usefixtures("_nothing_kept")
def test_what_is_kept_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_engine, "SHAPES", 50)
    for number in range(3):
        styled = "".join(f'<p style="margin: {number}.{n}pt">x</p>' for n in range(30))
        html_to_pdf(page(lines=1).replace("<ul>", f"{styled}<ul>"))
    (styles,) = pdf_engine._styles.values()
    assert len(styles.shapes) < 80
