"""Whoever keeps the templates writes them: by mouse and by keyboard, wide and narrow, in both languages."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import FrameLocator, Locator, Page, expect

from tests.journeys.composing import hold, until_held
from tests.journeys.conftest import Desk
from tests.journeys.house import House, wait_until
from tests.journeys.test_pages import complaints
from tests.journeys.variants import EITHER_LANGUAGE, NARROW, WIDE, opposite_corners
from tests.journeys.words import ADMIN, Reader

TYPING_MS = 30  # the editor takes a moment for a chip
CARET = "editor => editor.editor.getSelectedRange()[0]"
NEW = "/mail_config/templates/new/sales.quotation"


@pytest.fixture
def enter(sit_down: Callable[..., Desk], house: House) -> Iterator[Callable[..., Desk]]:
    """Let the administrator come in, who reads one of the languages; what they leave behind goes."""
    desks: list[Desk] = []

    def come(language: str = "en", **options: object) -> Desk:
        desk = sit_down(ADMIN, **options)
        desk.prefer(language=language)
        desks.append(Desk(house, desk.page, Reader(ADMIN.login, language)))
        return desks[-1]

    yield come
    for desk in desks[:1]:
        desk.page.close(run_before_unload=False)
        page = desk.page.context.new_page()
        cleaner = Desk(house, page, ADMIN)
        cleaner.prefer(language=ADMIN.language)
        while (row := page_of_list(cleaner).locator("tr", has_text="Journey")).count():
            row.first.get_by_role("link").click()
            page.once("dialog", lambda dialog: dialog.accept())
            cleaner.button("More").click()
            cleaner.button("Delete").click()
            expect(cleaner.heading()).to_have_text("Email templates")


def page_of_list(desk: Desk) -> Page:
    desk.go("/mail_config/templates")
    return desk.page


def begin(desk: Desk, name: str = "Journey") -> Page:
    """Begin a new template for quotations and wait until its editor is there."""
    desk.go(NEW)
    page = desk.page
    show_tab(desk, "en")
    expect(page.locator("#pane-en trix-toolbar")).to_be_visible()
    desk.field("Name").fill(name)
    return page


def show_tab(desk: Desk, code: str) -> None:
    desk.page.locator(f"#tab-{code}").click()
    expect(desk.page.locator(f"#pane-{code}")).to_be_visible()


def editor(page: Page) -> Locator:
    return page.locator("#editor_en")


def subject(page: Page) -> Locator:
    return page.locator("#subject_en")


def caret_after(page: Page, key: str) -> int:
    """Press a key and say where the caret is; an editor that has just got the focus may miss it."""
    page.keyboard.press(key)
    return int(editor(page).evaluate(CARET))


def fields(page: Page, name: str) -> Locator:
    return page.locator(f'[data-field="{name}"]')


def frame(page: Page) -> FrameLocator:
    return page.frame_locator("#template-preview iframe")


def save(desk: Desk) -> None:
    desk.page.locator(".control-actions").get_by_role("button", name=desk("Save"), exact=True).click()


def saved(desk: Desk) -> None:
    save(desk)
    expect(desk.page.locator("#flashes")).to_contain_text(desk("The template was saved."))
    show_tab(desk, "en")


def source_of(desk: Desk) -> Locator:
    """Switch to the source of the text and return it."""
    desk.page.locator("#pane-en [data-switch-source]").click()
    source = desk.page.locator("#body_en")
    expect(source).to_be_focused()
    return source


@EITHER_LANGUAGE
def test_fields_go_where_they_are_wanted_by_mouse(enter: Callable[..., Desk], language: str) -> None:
    desk = enter(language)
    page = begin(desk)
    subject(page).fill("S ")
    fields(page, "document.number").click()
    expect(subject(page)).to_have_value("S {{ document.number }}")
    expect(subject(page)).to_be_focused()
    fields(page, "document.total").drag_to(subject(page))
    expect(subject(page)).to_have_value(re.compile(r"\{\{ document\.total \}\}"))
    page.locator("#attachment_name").click()
    fields(page, "customer.city").click()
    expect(page.locator("#attachment_name")).to_have_value("{{ customer.city }}")
    expect(page.locator("#attachment-name-result")).to_contain_text(".pdf")
    editor(page).click()
    page.keyboard.type("Dear ")
    fields(page, "customer.name").click()
    page.keyboard.type(", all is well.", delay=TYPING_MS)
    expect(editor(page).locator(".formula")).to_have_text(desk("Name of the customer"))
    # Dragged to the beginning of the text; the preview follows while this is written.
    fields(page, "document.date").drag_to(editor(page), target_position={"x": 14, "y": 18})
    expect(editor(page).locator(".formula")).to_have_count(2)
    expect(frame(page).locator("body")).to_contain_text(", all is well.")
    expect(page.locator(".preview-subject")).to_contain_text("S S0")
    saved(desk)
    expect(editor(page).locator(".formula")).to_have_count(2)
    expect(source_of(desk)).to_have_value(
        re.compile(r"\{\{ document\.date \}\}.*\{\{ customer\.name \}\}, all")
    )


@EITHER_LANGUAGE
def test_fields_go_where_they_are_wanted_by_keyboard(enter: Callable[..., Desk], language: str) -> None:
    desk = enter(language)
    page = begin(desk)
    subject(page).focus()
    page.keyboard.type("About ")
    page.keyboard.press("Tab")  # the button beside the subject leads to the fields
    page.keyboard.press("Enter")
    search = page.locator("#field-search")
    expect(search).to_be_focused()
    page.keyboard.type(desk("Number").lower())
    page.keyboard.press("Enter")
    expect(subject(page)).to_have_value("About {{ document.number }}")
    expect(subject(page)).to_be_focused()
    expect(search).to_have_value("")
    editor(page).focus()
    page.keyboard.type("Hello ")
    wait_until("the caret", lambda: editor(page).evaluate(CARET) == len("Hello "))
    page.locator("[data-fields-for=editor_en]").focus()
    page.keyboard.press("Enter")
    page.keyboard.type("customer.")
    expect(page.locator("#field-search")).to_have_value("customer.")
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    expect(fields(page, "customer.name")).to_be_focused()
    page.keyboard.press("Enter")
    expect(editor(page)).to_be_focused()
    page.keyboard.type("!")
    page.locator("[data-fields-for=editor_en]").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(editor(page)).to_be_focused()
    # A chip is chosen with the arrows, and opened with Enter.
    wait_until("the caret at the beginning", lambda: caret_after(page, "Control+Home") == 0)
    for position in range(len("Hello ")):
        page.keyboard.press("ArrowRight")
        wait_until("the caret", lambda at=position + 1: editor(page).evaluate(CARET) == at)
    page.keyboard.press("ArrowRight")
    expect(page.locator(".formula-edit")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("#formula-source")).to_have_value("{{ customer.name }}")
    page.locator("#formula-source").fill("{{ customer.name | upper }}")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(editor(page)).to_be_focused()
    expect(editor(page).locator(".formula")).to_contain_text("upper")
    desk.field("Name").press("Enter")  # as in any form
    expect(page.locator("#flashes")).to_contain_text(desk("The template was saved."))
    show_tab(desk, "en")
    expect(source_of(desk)).to_have_value("<p>Hello {{ customer.name | upper }}!</p>")


@EITHER_LANGUAGE
def test_what_is_wrong_is_told_at_its_place_and_nothing_is_lost(
    enter: Callable[..., Desk], language: str
) -> None:
    desk = enter(language)
    page = begin(desk)
    subject(page).fill("Kept {{ document.number }}")
    source_of(desk).fill("<p>{{ customer.nmae }}</p>\n<p>{% if document.total > 10 %}more</p>")
    page.locator("#tab-fr").click()
    page.locator("#subject_fr").fill("Gardé")
    save(desk)
    wrong = page.locator("#body_en-errors")
    expect(wrong.locator("mark").first).to_have_text("{{ customer.nmae }}")
    expect(wrong).to_contain_text(desk("Line %(line)s", line=2))
    expect(page.locator("#body_en")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#tab-en")).to_contain_text(desk("wrong"))
    expect(subject(page)).to_have_value("Kept {{ document.number }}")
    expect(page.locator("#subject_fr")).to_have_value("Gardé")
    # In the editor, the chips that cannot be used are seen.
    page.locator("#pane-en [data-switch-source]").click()
    expect(editor(page).locator(".formula").first).to_be_visible()
    save(desk)
    expect(editor(page).locator(".formula-wrong")).to_have_count(2)
    page.locator("#pane-en [data-switch-source]").click()
    page.locator("#body_en").fill("<p>{{ customer.name }}</p><table><tr><td>1</td></tr></table>")
    page.locator("#pane-en [data-switch-source]").click()
    expect(page.locator("#pane-en .text-note")).to_contain_text("<table>")
    saved(desk)


def at_rest(page: Page) -> None:
    """Wait until no piece of the page was asked for during half a second; the question for changes waits all along."""
    page.evaluate(
        """() => new Promise((rested) => {
          let last = performance.now();
          (function look() {
            if (document.querySelector(".htmx-request")) last = performance.now();
            if (performance.now() - last > 500) rested();
            else setTimeout(look, 20);
          })();
        })"""
    )


@pytest.mark.parametrize("narrow", [False, True])
def test_fields_of_another_system_are_converted_when_they_are_pasted(
    enter: Callable[..., Desk], *, narrow: bool
) -> None:
    desk = enter(
        "fr", permissions=["clipboard-read", "clipboard-write"], **({"viewport": NARROW} if narrow else {})
    )
    page = begin(desk)
    subject(page).fill("Devis NUMDEV")
    page.evaluate(
        """() => navigator.clipboard.write([new ClipboardItem({ "text/html": new Blob(
        ["<p>Bonjour NOMCLIENT,</p><p>&lt;NOMSOC&gt; #1 [CODE]</p>"], { type: "text/html" }) })])"""
    )
    editor(page).click()
    page.keyboard.press("Control+V")
    note = page.locator("#legacy-note-en")
    expect(note).to_contain_text("NUMDEV, NOMCLIENT, <NOMSOC>, #1, [CODE]")
    at_rest(page)  # the note is looked for anew while somebody types
    note.get_by_role("button", name=desk("Convert them …")).press("Enter")
    dialog = page.locator("#dialog")
    expect(dialog.locator("#legacy-result")).to_contain_text("{{ company.name }} #1 [CODE]")
    dialog.get_by_label("#1").select_option("owner.name")
    expect(dialog.locator("#legacy-result")).to_contain_text("{{ company.name }} {{ owner.name }} [CODE]")
    dialog.get_by_role("button", name=desk("Convert"), exact=True).click()
    expect(dialog).to_be_hidden()
    expect(editor(page).locator(".formula")).to_have_count(3)
    expect(editor(page)).to_contain_text("[CODE]")
    expect(subject(page)).to_have_value("Devis {{ document.number }}")
    # What was left is found again by the button; this time nothing is done about it.
    desk.page.locator("#pane-en .text-tools button").nth(1).click()
    dialog.get_by_role("button", name=desk("Leave everything")).click()
    expect(dialog).to_be_hidden()
    saved(desk)
    expect(source_of(desk)).to_have_value(
        "<p>Bonjour {{ customer.name }},</p>\n<p>{{ company.name }} {{ owner.name }} [CODE]</p>"
    )


def test_what_is_typed_before_the_script_of_the_page_has_come_is_kept(enter: Callable[..., Desk]) -> None:
    desk = enter()
    page = desk.page
    held = hold(page, "**/editor/template.js")
    page.goto(f"{desk.house.url}{NEW}", wait_until="commit")
    show_tab(desk, "en")
    expect(page.locator("#pane-en").get_by_role("toolbar", name=desk("Formatting"))).to_be_visible()
    editor(page).press_sequentially("Typed early")
    until_held(page, held).continue_()
    page.unroute("**/editor/template.js")
    page.wait_for_load_state()
    desk.field("Name").fill("Journey")
    subject(page).fill("Quotation")
    saved(desk)
    expect(source_of(desk)).to_have_value("<p>Typed early</p>")


@EITHER_LANGUAGE
def test_recipients_and_files_by_keyboard(enter: Callable[..., Desk], language: str) -> None:
    desk = enter(language)
    page = begin(desk)
    subject(page).fill("S")
    add = desk.button("Add a line")
    add.press("Enter")
    rows = page.locator("#recipient-rules li")
    expect(rows.locator("[name=recipient_rule]")).to_be_focused()
    rows.locator("[name=recipient_rule]").select_option("fixed")
    rows.locator("[name=recipient_value]").fill("nobody")
    rows.locator("[name=recipient_field]").select_option("cc")
    add.press("Enter")
    expect(rows).to_have_count(2)
    page.locator("#files").set_input_files(
        [
            {"name": "terms.txt", "mimeType": "text/plain", "buffer": b"terms"},
            {"name": "empty.txt", "mimeType": "text/plain", "buffer": b""},
        ]
    )
    expect(page.locator("#template-files")).to_contain_text("terms.txt")
    expect(page.locator("#template-files")).to_contain_text("empty.txt")
    save(desk)
    expect(rows.first).to_contain_text("nobody")
    expect(page.locator("#template-files")).to_contain_text("terms.txt")
    rows.first.locator("[name=recipient_value]").fill("Boss <boss@example.com>")
    rows.nth(1).locator("[data-remove-recipient]").press("Enter")
    expect(rows).to_have_count(1)
    expect(rows.locator("[data-remove-recipient]")).to_be_focused()
    expect(page.locator(".preview-recipients")).to_contain_text("boss@example.com")
    saved(desk)
    expect(rows.locator("[name=recipient_value]")).to_have_value("Boss <boss@example.com>")
    page.locator("[data-remove-template-file]").press("Enter")
    saved(desk)
    expect(page.locator("#template-files li")).to_have_count(0)


def test_a_test_mail_comes_to_oneself_and_no_document_looks_sent(
    enter: Callable[..., Desk], house: House
) -> None:
    desk = enter()
    desk.go("/sales/quotations")
    number = desk.page.locator("tbody tr").last.get_by_role("link").first.inner_text()
    page = begin(desk)
    subject(page).fill("Trial {{ document.number }}")
    editor(page).click()
    page.keyboard.type("Not saved yet.")
    page.locator("#preview-document + .ts-wrapper .ts-control").click()
    page.keyboard.type(number)
    page.locator(".ts-dropdown .option", has_text=number).first.click()
    expect(page.locator(".preview-subject")).to_have_text(f"Trial {number}")
    desk.button("Send a test to me").click()
    result = page.locator("#template-test-result")
    expect(result).to_contain_text("A test is on its way to admin@demo.example.com.")
    expect(subject(page)).to_have_value("Trial {{ document.number }}")
    result.get_by_role("link").click()
    expect(page.locator(".sheet-title, main").first).to_contain_text(f"Trial {number}")
    wait_until("the test email", lambda: house.accepted("admin@demo.example.com"))
    ((row, message), *_others) = house.mailbox(f"Trial {number}")
    assert row.recipients == ("admin@demo.example.com",) or list(row.recipients) == ["admin@demo.example.com"]
    assert message["Subject"] == f"[Test] Trial {number}"
    names = [part.get_filename() for part in message.iter_attachments()]
    assert any(name and name.endswith(".pdf") for name in names)


@EITHER_LANGUAGE
def test_the_history_leads_back_and_two_people_are_told_of_each_other(
    enter: Callable[..., Desk], language: str
) -> None:
    desk = enter(language)
    page = begin(desk)
    subject(page).fill("First")
    saved(desk)
    other = page.context.new_page()
    other.goto(page.url)
    other.locator("#tab-en").click()
    other.locator("#subject_en").fill("Second")
    other.locator(".control-actions .btn-primary").click()
    expect(other.locator("#flashes")).to_contain_text(desk("The template was saved."))
    other.close()
    subject(page).fill("Third")
    save(desk)
    warning = page.locator("#template-form .alert-warning")
    expect(warning.locator("ins")).to_contain_text("Second")
    expect(subject(page)).to_have_value("Third")
    saved(desk)
    desk.link("History").click()
    versions = page.locator(".version")
    expect(versions).to_have_count(3)
    expect(versions.first.locator("del")).to_contain_text("Second")
    versions.last.get_by_role("link", name=desk("Restore …")).press("Enter")
    expect(page.locator(".differences ins")).to_contain_text("First")
    desk.button("Restore").press("Enter")
    show_tab(desk, "en")
    expect(subject(page)).to_have_value("First")


def test_an_original_is_restored_after_a_look(enter: Callable[..., Desk]) -> None:
    desk = enter()
    page = page_of_list(desk)
    page.get_by_role("link", name="Credit note: send", exact=True).click()
    original = subject(page).input_value()
    subject(page).fill("Changed by a journey")
    saved(desk)
    row = page_of_list(desk).locator("tr", has_text="Credit note: send")
    expect(row).to_contain_text("original, changed")
    row.get_by_role("link").click()
    desk.button("More").click()
    page.get_by_role("link", name="Restore the original …").click()
    expect(page.locator(".differences del")).to_contain_text("Changed by a journey")
    desk.button("Restore").click()
    expect(subject(page)).to_have_value(original)
    expect(page_of_list(desk).locator("tr", has_text="Credit note: send")).not_to_contain_text("changed")


def test_templates_travel_as_a_file(enter: Callable[..., Desk], tmp_path: Path) -> None:
    desk = enter()
    page = begin(desk, "Journey that travels")
    subject(page).fill("S")
    saved(desk)
    desk.button("More").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Export").click()
    file = tmp_path / "templates.json"
    download.value.save_as(file)
    written = json.loads(file.read_text())
    written["templates"][0]["name"] = "Journey from elsewhere"
    file.write_text(json.dumps({**written, "templates": [*written["templates"], {"name": "Journey broken"}]}))
    page_of_list(desk)
    desk.link("Import").click()
    desk.field("File of templates").set_input_files(file)
    desk.button("Look into it").click()
    rows = page.locator("tbody tr")
    expect(rows.nth(0)).to_contain_text("new")
    expect(rows.nth(1)).to_contain_text("cannot be imported")
    expect(rows.nth(1).get_by_role("checkbox")).to_be_disabled()
    desk.button("Import").press("Enter")
    expect(page.locator("#flashes")).to_contain_text("One template was imported.")
    expect(page.get_by_role("link", name="Journey from elsewhere", exact=True)).to_be_visible()


def test_the_list_explains_which_one_applies(enter: Callable[..., Desk]) -> None:
    desk = enter()
    page = page_of_list(desk)
    page.locator("#which-document + .ts-wrapper .ts-control").click()
    page.keyboard.type("S00002")
    expect(page.locator(".ts-dropdown .option", has_text="S00002").first).to_be_visible()
    page.keyboard.press("Enter")
    answer = page.locator("#which-answer")
    expect(answer.locator("li").first).to_contain_text("applies")
    expect(answer).to_contain_text("for everybody")


@pytest.mark.parametrize(
    ("path", "name", "typed"),
    [(NEW, "preview-document", "Kestrel"), ("/companies/new", "country", "Ireland")],
    ids=["found by the server", "found in the page"],
)
def test_a_searching_field_takes_what_is_typed_at_once(
    enter: Callable[..., Desk], path: str, name: str, typed: str
) -> None:
    desk = enter()
    desk.go(path)
    page = desk.page
    # What the field's library puts off comes late, as on a busy machine.
    page.evaluate(
        """() => {
            const later = window.setTimeout;
            window.setTimeout = (what, ms, ...rest) => later(what, ms || 1500, ...rest);
        }"""
    )
    field = page.locator(f"#{name} + .ts-wrapper .ts-control")
    before = field.locator(".item").get_attribute("data-value") or ""
    field.click()
    page.keyboard.type(typed)
    offered = page.locator(".ts-dropdown:visible .option").first
    expect(offered).to_contain_text(typed)
    page.keyboard.press("Enter")
    expect(field.locator(".item")).not_to_have_attribute("data-value", before)


def test_on_a_telephone_the_fields_come_over_the_page(enter: Callable[..., Desk]) -> None:
    desk = enter("fr", viewport=NARROW, has_touch=True)
    page = begin(desk)
    panel = page.locator("#fields-panel")
    expect(panel).to_be_hidden()
    page.locator("[data-fields-for=subject_en]").tap()
    expect(panel).to_be_visible()
    fields(page, "document.number").tap()
    expect(panel).to_be_hidden()
    expect(subject(page)).to_have_value("{{ document.number }}")
    page.locator("[data-fields-for=editor_en]").tap()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    saved(desk)


@opposite_corners("language, width", ["fr", "en"], [360, 1280])
def test_the_pages_are_usable_by_everybody(enter: Callable[..., Desk], language: str, width: int) -> None:
    desk = enter(language, bypass_csp=True, viewport={"width": width, "height": 900})
    page = begin(desk)
    subject(page).fill("{{ nothing }}")
    editor(page).click()
    page.keyboard.type("{% if document.total %}")
    desk.button("Add a line").click()
    page.locator("[name=recipient_rule]").first.select_option("function")
    save(desk)
    expect(page.locator("#subject_en-errors")).to_be_visible()
    found = [f"wrong: {words}" for words in complaints(desk, language)]
    source_of(desk)
    page.locator(".formula-help:visible summary").click()
    found += [f"source: {words}" for words in complaints(desk, language)]
    page.locator("#body_en").fill("NUMFACT")
    page.locator("#pane-en .text-tools button").nth(1).click()
    expect(page.locator("#legacy-form")).to_be_visible()
    expect(page.locator("#dialog.show")).to_have_css("opacity", "1")
    found += [f"conversion: {words}" for words in complaints(desk, language)]
    first = page_of_list(desk).locator("tbody .row-link").first.get_attribute("href")
    for path in (
        "/mail_config/templates",
        "/mail_config/templates/import",
        f"{first}/history",
        f"{first}/original",
    ):
        desk.go(path)
        found += [f"{path}: {words}" for words in complaints(desk, language)]
    assert not found, "\n".join(found)


@opposite_corners("language, viewport", ["en", "fr"], [NARROW, WIDE])
def test_a_variable_is_made_of_a_field_and_used_as_one(
    enter: Callable[..., Desk], language: str, viewport: dict[str, int]
) -> None:
    desk = enter(language, viewport=viewport)
    page = desk.page
    desk.go("/mail_config/templates/variables/new/sales.quotation")
    page.locator("#label").fill("Journey deposit")
    page.locator("#code").fill("Journey deposit")
    # Found by its name and taken by Enter; then more is typed behind it.
    page.locator("#field-search").fill("document.total")
    fields(page, "document.total").click()
    expect(page.locator("#formula")).to_have_value("document.total")
    page.locator("#formula").press("End")
    page.keyboard.type(" * 0.")
    expect(page.locator("#variable-value .text-note-danger")).to_be_visible()
    page.keyboard.type("3")
    expect(page.locator("#variable-value .text-note-success strong")).to_have_text(re.compile(r"\d"))
    wide, narrow = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= narrow
    desk.button("Save").click()
    expect(page.get_by_text("own.journey_deposit")).to_be_visible()
    begin(desk)
    subject(page).fill("")
    subject(page).focus()
    fields(page, "own.journey_deposit").evaluate(
        "choice => choice.click()"
    )  # a narrow page shows them on demand
    expect(subject(page)).to_have_value("{{ own.journey_deposit }}")
    expect(page.locator("#template-preview")).to_contain_text(re.compile(r"\d"))
    page.on("dialog", lambda dialog: dialog.accept())
    desk.go("/mail_config/templates/variables")
    page.get_by_role("link", name="Journey deposit").click()
    desk.button("Delete").click()
    expect(page.get_by_text("own.journey_deposit")).to_have_count(0)
