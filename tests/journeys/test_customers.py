"""Customers from a file, and two of them made one, as somebody does it."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.journeys.conftest import Desk
from tests.journeys.test_pages import complaints
from tests.journeys.variants import READERS, opposite_corners
from tests.journeys.words import Reader

EVERYWHERE = opposite_corners("reader, width", READERS, [360, 1280])


@EVERYWHERE
def test_customers_are_imported_undone_and_merged(
    sit_down: Callable[..., Desk], reader: Reader, width: int
) -> None:
    desk = sit_down(reader, viewport={"width": width, "height": 900}, bypass_csp=True)
    page = desk.page
    mine = f"Zéphyr {reader.language}"
    text = f"Numéro client;Nom;E-mail;Ville;Pays\n;{mine};z-{reader.language}@example.com;Lyon;France\n"
    text += f"Z-{reader.language};{mine.upper()} SARL;;LYON;FR\nX;Nowhere;;Lille;Atlantis\n"
    file = {"name": "clients.csv", "mimeType": "text/csv", "buffer": text.encode("cp1252")}

    # Looked at, imported, undone; then once more, to stay.
    for stays in (False, True):
        desk.go("/partners")
        desk.link("Import").click()
        page.get_by_label(desk("File"), exact=True).set_input_files(file)
        desk.button("Read the file").click()
        expect(page.get_by_label("Numéro client")).to_have_value("number")
        page.get_by_label(desk("Customer number")).check()
        assert not list(complaints(desk, desk.reader.language))
        desk.button("Compare").click()
        expect(page.locator("tbody tr")).to_have_count(3)
        expect(page.locator("tbody")).to_contain_text(desk("There is no such country."))
        assert not list(complaints(desk, desk.reader.language))
        page.once("dialog", lambda dialog: dialog.accept())
        desk.button("Import").click()
        expect(page.locator("#progress")).to_contain_text(desk("Imported"))
        if not stays:
            page.once("dialog", lambda dialog: dialog.accept())
            desk.button("Undo the import").click()
            expect(page.locator("#progress")).to_contain_text(desk("Undone"))
            expect(page.locator("tbody")).to_contain_text(desk("taken back"))

    desk.go("/partners")
    desk.link("Duplicates").click()
    group = page.get_by_role("region", name=desk("The same name and city")).filter(has_text=mine.upper())
    group.get_by_role("link", name=desk("Compare and merge")).click()
    expect(page.locator("tbody")).to_contain_text(f"Z-{reader.language}")
    assert not list(complaints(desk, desk.reader.language))
    desk.button("Merge").click()
    expect(page.get_by_role("heading", name=mine, level=2)).to_be_visible()
    expect(page.locator(".facts")).to_contain_text(f"Z-{reader.language}")
    expect(page.get_by_text(desk("Merged into this one"))).to_be_visible()
