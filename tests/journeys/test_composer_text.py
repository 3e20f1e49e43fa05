"""The text of a mail: written with form and pictures, filled in by templates, saved as one."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from tests.journeys.composing import (
    badge,
    editor,
    expect_posted,
    field,
    hide_template,
    hold,
    keeping,
    new_quotation,
    open_composer,
    open_page,
    posted,
    send,
    until_held,
)
from tests.journeys.conftest import Desk
from tests.journeys.house import House
from tests.journeys.variants import EITHER, SIZES
from tests.journeys.words import OLIVER, Reader


def picture(side: int = 12) -> bytes:
    """Return a small PNG."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"\x1c\x5d\x86" * side for _row in range(side))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def insert_picture(desk: Desk, dialog: Locator) -> Locator:
    """Insert a picture by the button of the toolbar, and return how it is shown."""
    with desk.page.expect_file_chooser() as chooser:
        dialog.get_by_role("button", name=desk("Insert a picture")).click()
    chooser.value.set_files([{"name": "plan.png", "mimeType": "image/png", "buffer": picture()}])
    shown = dialog.locator("trix-editor img[src^='/outbox/compose/file/']")
    expect(shown).to_be_visible()
    return shown


def describe(dialog: Locator, words: str) -> None:
    """Describe the picture in the text, below it."""
    dialog.locator("trix-editor figcaption").click()
    words_of_it = dialog.locator("trix-editor figure textarea").first
    expect(words_of_it).to_be_focused()  # the editor puts it there a moment after the click
    words_of_it.press_sequentially(words, delay=20)


def test_what_is_typed_before_the_scripts_of_the_composer_have_come_is_kept(
    sit_down: Callable[..., Desk],
) -> None:
    desk = sit_down(OLIVER)
    page = desk.page
    _number, path = new_quotation(desk)
    held = hold(page, "**/compose/text.js")
    page.goto(f"{desk.house.url}/outbox/compose/{path.rsplit('/', 1)[1]}", wait_until="commit")
    composer = page.locator("[data-composer]")
    expect(composer.get_by_role("toolbar", name=desk("Formatting"))).to_be_visible()
    to = field(desk, composer)
    to.fill("early@example.com")
    to.press("Enter")  # sends nothing: a second form would be on its way by now
    composer.get_by_label("Subject").fill("An early subject")
    composer.locator("#compose-files").set_input_files(
        {"name": "early.txt", "mimeType": "text/plain", "buffer": b"early"}
    )
    editor(desk, composer).press("Control+Home")
    page.keyboard.type("Typed early. ")
    script = until_held(page, held)
    with keeping(page, "Typed early."):  # without another change, the draft goes to the server
        script.continue_()
        expect(page.locator("[data-composer][data-ready]")).to_be_attached()
        expect(composer.locator("input[name=file]")).to_have_count(1)
    page.unroute("**/compose/text.js")
    expect_posted(composer, "changed", "subject")
    expect_posted(composer, "changed", "body")
    page.wait_for_function("() => !Object.keys(localStorage).some((key) => key.startsWith('envoi-draft:'))")
    page.reload()
    composer = page.locator("[data-composer][data-ready]")
    expect(editor(desk, composer)).to_contain_text("Typed early. ")
    expect_posted(composer, "body", "Typed early. ")
    expect(composer.get_by_label("Subject")).to_have_value("An early subject")
    expect(composer.locator("[data-files]")).to_contain_text("early.txt")


@EITHER
def test_the_toolbar_speaks_the_language_and_is_reached_by_the_keyboard(
    sit_down: Callable[..., Desk], reader: Reader
) -> None:
    desk = sit_down(reader)
    page = desk.page
    new_quotation(desk)
    dialog = open_composer(desk)
    toolbar = dialog.get_by_role("toolbar", name=desk("Formatting"))
    bold = toolbar.get_by_role("button", name=desk("Bold"), exact=True)
    dialog.get_by_label(desk("Subject")).focus()
    page.keyboard.press("Tab")
    expect(bold).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(toolbar.get_by_role("button", name=desk("Italic"), exact=True)).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("Tab")
    text = editor(desk, dialog)
    expect(text).to_be_focused()
    page.keyboard.press("Control+Home")
    page.keyboard.press("Control+b")
    expect(bold).to_have_attribute("aria-pressed", "true")
    page.keyboard.type("Ω2", delay=40)
    expect_posted(dialog, "body", "<strong>Ω2</strong>")
    assert "body" in posted(dialog, "changed")


@SIZES
def test_a_picture_inside_the_text_goes_with_the_mail(
    sit_down: Callable[..., Desk], house: House, viewport: dict[str, int]
) -> None:
    desk = sit_down(OLIVER, viewport=viewport)
    page = desk.page
    number, _path = new_quotation(desk)
    dialog = open_composer(desk)
    text = editor(desk, dialog)
    text.focus()
    page.keyboard.press("Control+End")
    shown = insert_picture(desk, dialog)
    assert shown.evaluate("image => image.decode().then(() => image.naturalWidth)") == 12
    # What describes it.
    describe(dialog, "The plan, in blue")
    dialog.get_by_label("Subject").fill(f"Picture {viewport['width']} {number}")
    expect_posted(dialog, "body", 'alt="The plan, in blue"')
    assert "<figure" not in posted(dialog, "body")[0]
    send(desk, dialog)
    expect(badge(page)).to_contain_text("sent")
    ((_row, message),) = house.mailbox(f"Picture {viewport['width']} {number}")
    html = message.get_body(("html",))
    assert html is not None
    assert 'src="cid:' in html.get_content()
    assert 'alt="The plan, in blue"' in html.get_content()
    (image,) = [part for part in message.walk() if part.get_content_type() == "image/png"]
    assert image.get_payload(decode=True) == picture()
    assert str(image["Content-ID"]).strip("<>") in html.get_content()


def test_a_picture_survives_a_refusal_with_its_description(sit_down: Callable[..., Desk]) -> None:
    desk = sit_down(OLIVER)
    new_quotation(desk)
    dialog = open_composer(desk)
    shown = insert_picture(desk, dialog)
    describe(dialog, "Blue")
    subject = dialog.get_by_label("Subject")
    subject.fill("")
    send(desk, dialog)
    expect(subject).to_have_attribute("aria-invalid", "true")
    expect(subject).to_be_focused()
    expect(shown).to_be_visible()
    expect_posted(dialog, "body", 'alt="Blue"')


def test_what_is_no_picture_becomes_an_attachment(sit_down: Callable[..., Desk]) -> None:
    desk = sit_down(OLIVER)
    new_quotation(desk)
    dialog = open_composer(desk)
    with desk.page.expect_file_chooser() as chooser:
        dialog.get_by_role("button", name="Insert a picture").click()
    chooser.value.set_files([{"name": "notes.txt", "mimeType": "text/plain", "buffer": b"notes"}])
    expect(dialog.locator("[data-file]", has_text="notes.txt").get_by_role("link")).to_be_visible()
    expect(dialog.locator("trix-editor figure")).to_have_count(0)


@EITHER
def test_a_text_becomes_a_template_and_templates_are_changed(
    sit_down: Callable[..., Desk], house: House, reader: Reader
) -> None:
    desk = sit_down(reader)
    number, _path = new_quotation(desk)
    dialog = open_composer(desk)
    subject = dialog.get_by_label(desk("Subject"))
    original = subject.input_value()
    choice = dialog.get_by_label(desk("Template"), exact=True)
    subject.fill(f"Mine about {number}")

    # Saved as a template: the number of this document is a field in it.
    dialog.get_by_role("button", name=desk("Save as template")).press("Enter")
    saving = dialog.get_by_role("dialog", name=desk("Save as template"))
    name = saving.get_by_label(desk("Name of the template"))
    expect(name).to_be_focused()
    expect(saving.locator(".general-text").first).to_contain_text("{{ document.number }}")
    expect(saving).not_to_contain_text(f"Mine about {number}")
    saving.get_by_role("button", name=desk("Save the template")).press("Enter")
    expect(saving.get_by_role("alert")).to_be_visible()  # without a name
    name.fill("Saved by mistake")
    name.press("Enter")
    saving.get_by_role("button", name=desk("Take it back")).press("Enter")
    expect(saving.get_by_role("status")).to_contain_text(
        desk("“%(name)s” is no template any more.", name="Saved by mistake")
    )
    saving.get_by_role("button", name=desk("Done")).press("Enter")
    dialog.get_by_role("button", name=desk("Save as template")).press("Enter")
    name.fill(f"Saved by {reader.login}")
    name.press("Enter")
    expect(saving.get_by_role("status")).to_contain_text(f"Saved by {reader.login}")
    saving.get_by_role("button", name=desk("Done")).press("Enter")
    expect(saving).to_be_hidden()

    # It is among the templates now; changing asks about what was written, and Cancel changes nothing.
    dialog.get_by_role("link", name=desk("Close")).click()
    expect(dialog).to_be_hidden()
    dialog = open_composer(desk)
    expect(subject).to_have_value(f"Mine about {number}")
    former = choice.input_value()
    other = str(choice.locator("option", has_text=f"Saved by {reader.login}").get_attribute("value"))
    choice.select_option(other)
    asking = dialog.get_by_role("dialog", name=desk("Change the template?"))
    expect(asking).to_contain_text(desk("the subject"))
    asking.get_by_role("button", name=desk("Cancel")).press("Enter")
    expect(choice).to_have_value(former)
    choice.select_option(other)
    asking.get_by_role("button", name=desk("Keep what I wrote")).press("Enter")
    expect(asking).to_be_hidden()
    expect(choice).to_have_value(other)
    expect(subject).to_have_value(f"Mine about {number}")
    choice.select_option(former)
    asking.get_by_role("button", name=desk("Take the template's")).press("Enter")
    expect(subject).to_have_value(original)
    expect(choice).to_have_value(former)
    expect(dialog.locator("[data-composer][data-ready]")).to_be_attached()  # the form that came in listens
    # Nothing of one's own is left: the next change does not ask.
    choice.select_option(other)
    expect(subject).to_have_value(f"Mine about {number}")  # the field, filled in
    expect(asking).to_be_hidden()
    hide_template(house, f"Saved by {reader.login}")


@EITHER
def test_no_break_spaces_stay_when_a_word_is_edited(
    sit_down: Callable[..., Desk], house: House, reader: Reader
) -> None:
    desk = sit_down(reader)
    page = desk.page
    _number, path = new_quotation(desk)
    composer = open_page(desk, path)
    held = "Total : 2 706,21 € and <strong>12</strong> €, « oui » !"
    editor(desk, composer).evaluate(
        "(editor, html) => editor.editor.loadHTML(html)", f"<div>{held} end</div>"
    )
    editor(desk, composer).press("Control+End")
    page.keyboard.type(" two  words")
    expect_posted(composer, "body", "two")
    (body,) = posted(composer, "body")
    assert held in body.replace("&nbsp;", " ")
    expect(composer.locator("#compose-presence")).to_contain_text(desk("Kept as a draft"))
    page.reload()
    expect(page.locator("[data-composer][data-ready]")).to_be_attached()
    editor(desk, composer).press("Control+Home")
    page.keyboard.type("Dear X, ")
    expect_posted(composer, "body", "Dear X, Total")
    (body,) = posted(composer, "body")
    assert held in body.replace("&nbsp;", " ")
    composer.get_by_label(desk("Subject")).fill(f"No break {reader.language}")
    send(desk, composer)
    expect(badge(page)).to_contain_text(desk("sent"))
    ((_row, message),) = house.mailbox(f"No break {reader.language}")
    plain = message.get_body(("plain",)).get_content()
    assert "2 706,21 €" in plain
    assert "2 706,21 €" in message.get_body(("html",)).get_content().replace("&nbsp;", " ")


@pytest.mark.parametrize("space", ["\u00a0", "\u202f"], ids=["usual", "narrow"])
def test_what_the_editor_reads_of_itself_keeps_typed_blanks_breakable(
    space: str, sit_down: Callable[..., Desk]
) -> None:
    desk = sit_down(OLIVER)
    _number, path = new_quotation(desk)
    composer = open_page(desk, path)
    text = editor(desk, composer)
    text.evaluate("(editor, text) => editor.editor.loadHTML(text)", f"<div>2{space}706 EUR </div>")
    # As after a word composed on a telephone: the editor reads its own page again.
    text.evaluate("editor => editor.editorController.reparse()")
    text.press("Control+End")
    desk.page.keyboard.type("more")
    expect_posted(composer, "body", "more")
    assert posted(composer, "body") == ["<div>2&nbsp;706 EUR more</div>"]


def test_what_is_quoted_looks_like_it(sit_down: Callable[..., Desk]) -> None:
    desk = sit_down(OLIVER)
    _number, path = new_quotation(desk)
    text = editor(desk, open_page(desk, path))
    text.evaluate("editor => editor.editor.loadHTML('<blockquote>They wrote</blockquote>')")
    expect(text.locator("blockquote")).to_have_css("border-left-style", "solid")
