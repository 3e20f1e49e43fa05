"""The composer for everybody: sound for assistive technology, narrow enough for a telephone, in both languages."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from playwright.sync_api import expect

from tests.journeys.composing import chips, new_quotation, nobody, open_composer, open_page, type_recipients
from tests.journeys.conftest import Desk
from tests.journeys.test_pages import accessibility
from tests.journeys.variants import READERS_AND_SIZES, SIZES
from tests.journeys.words import OLIVER, Reader

WIDTHS = """() => [...document.querySelectorAll(":root, .modal-body, dialog[open], .trix-button-row")]
    .filter((box) => box.scrollWidth > box.clientWidth + 1)
    .map((box) => `${box.className || box.tagName}: ${box.scrollWidth} px in ${box.clientWidth}`)"""


def complaints(desk: Desk, where: str) -> Iterator[str]:
    """Say what is wrong with what stands on the screen."""
    for words in desk.page.evaluate(WIDTHS):
        yield f"{where}: {words}"
    for words in accessibility(desk.page):
        yield f"{where}: {words}"


@READERS_AND_SIZES
def test_every_state_of_it_is_sound(
    sit_down: Callable[..., Desk], reader: Reader, viewport: dict[str, int]
) -> None:
    desk = sit_down(reader, viewport=viewport, bypass_csp=True)
    page = desk.page
    _number, path = new_quotation(desk)
    dialog = open_composer(desk)
    expect(dialog.locator("#compose-pdf").get_by_role("link")).to_be_visible()
    found = list(complaints(desk, "opened"))
    dialog.locator("#compose-to").fill("an")
    expect(dialog.locator("#suggest-to").get_by_role("option").first).to_be_visible()
    found += complaints(desk, "suggestions")
    page.keyboard.press("Escape")
    dialog.locator("#compose-to").fill("")
    chips(dialog).first.locator(".chip-button").press("Enter")
    found += complaints(desk, "menu of a chip")
    page.keyboard.press("Escape")
    dialog.get_by_role("button", name=desk("Addresses"), exact=True).click()
    expect(dialog.locator(".book-entry")).to_be_visible()
    found += complaints(desk, "addresses")
    page.keyboard.press("Escape")
    dialog.get_by_role("button", name=desk("Save as template")).click()
    expect(dialog.locator("#save-template-name")).to_be_visible()
    found += complaints(desk, "save as template")
    page.keyboard.press("Escape")
    type_recipients(desk, dialog, "contact-to-be@example.com")
    chips(dialog).last.locator(".chip-button").press("Enter")
    dialog.get_by_role("menuitem", name=desk("Keep as a contact…")).press("Enter")
    found += complaints(desk, "keep as a contact")
    page.keyboard.press("Escape")
    dialog.locator("#compose-options summary").click()
    dialog.get_by_label(desk("Add files: choose, or drop them here")).set_input_files(
        [{"name": "a file.txt", "mimeType": "text/plain", "buffer": b"x"}]
    )
    nobody(dialog)
    expect(dialog.locator(".finding-block")).to_be_visible()
    found += complaints(desk, "everything unfolded, nobody left")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    open_page(desk, path)
    found += complaints(desk, "page of its own")
    assert not found, "\n".join(found)


@SIZES
def test_send_stays_in_sight_and_everything_is_reached_by_tab(
    sit_down: Callable[..., Desk], viewport: dict[str, int]
) -> None:
    desk = sit_down(OLIVER, viewport=viewport)
    page = desk.page
    new_quotation(desk)
    dialog = open_composer(desk)
    expect(dialog.locator("#compose-pdf").get_by_role("link")).to_be_visible()
    send = dialog.get_by_role("button", name="Send", exact=True)
    expect(send).to_be_in_viewport()
    seen: list[str] = []
    for _step in range(60):
        page.keyboard.press("Tab")
        name = page.evaluate(
            "(({ id, className, dataset }) => id || Object.keys(dataset)[0] || className)(document.activeElement)"
        )
        if seen and name == seen[0]:
            break
        seen.append(name)
        expect(send).to_be_in_viewport()
    wanted = ["compose-template", "openBook", "compose-subject", "compose-editor", "compose-files"]
    assert [name for name in seen if name in wanted] == wanted
    assert any("chip-button" in name for name in seen)
    assert seen.index("compose-to") < seen.index("compose-subject")
    assert any("send" in name for name in seen)
