"""A mailing from its criteria to the mailbox: by mouse, by touch and by keys, with a text that nobody loses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from core.app import create_app
from core.config import read_settings
from core.db import end_reading
from core.partners.models import MailConsent
from core.partners.service import save_partner
from tests.journeys.conftest import Desk
from tests.journeys.house import House, wait_until
from tests.journeys.test_pages import complaints
from tests.journeys.variants import NARROW, WIDE, opposite_corners
from tests.journeys.words import OLIVER, SOPHIE, Reader


@pytest.fixture(scope="module")
def app(house: House) -> Flask:
    """The application of the house, to write customers that no other journey looks at."""
    return create_app(read_settings(house.environ))


def customers(app: Flask, name: str) -> None:
    """Write three customers, two of whom have agreed to promotional emails."""
    with app.app_context():
        for number, consent in enumerate(
            (MailConsent.PROMOTIONAL, MailConsent.PROMOTIONAL, MailConsent.NECESSARY)
        ):
            values = {"name": f"{name} {number}", "email": f"{name.casefold()}{number}@example.com"}
            source = "fair" if consent is MailConsent.PROMOTIONAL else ""
            save_partner(None, {**values, "consent": consent, "consent_source": source})
        end_reading()


def rows(page: Page, pane: str, *names: str) -> None:
    expect(page.locator(f"[data-pane={pane}] li")).to_have_count(len(names))
    for name in names:
        expect(page.locator(f"[data-pane={pane}]")).to_contain_text(name)


@opposite_corners("reader, viewport", [OLIVER, SOPHIE], [WIDE, NARROW])
def test_a_mailing_from_its_criteria_to_the_mailbox(
    sit_down: Callable[..., Desk], house: House, app: Flask, reader: Reader, viewport: dict[str, int]
) -> None:
    name = f"Mailing{reader.language}"
    customers(app, name)
    desk = sit_down(reader, viewport=viewport, bypass_csp=True, has_touch=True)
    page = desk.page
    desk.go("/partner-lists")
    box = page.locator("[data-pane=found] input[name=id]")

    page.get_by_label(desk("Criterion"), exact=True).select_option("core.fields")
    page.locator("#text").fill(name)
    desk.button("Add").click()
    rows(page, "found", f"{name} 0", f"{name} 1", f"{name} 2")
    # By touch, by keys, by mouse; and back.
    box.nth(0).tap()
    page.locator("#move-pick").tap()
    rows(page, "selected", f"{name} 0")
    box.nth(0).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    rows(page, "selected", f"{name} 0", f"{name} 2")
    page.locator("[data-pane=selected] li").nth(1).dblclick()
    rows(page, "selected", f"{name} 0")
    page.locator("#move-pick_all").click()
    rows(page, "selected", f"{name} 0", f"{name} 1", f"{name} 2")
    assert not list(complaints(desk, reader.language))

    # It is there again when the window was closed; kept under a name, and reset by Alt+R.
    desk.go("/partners")
    desk.go("/partner-lists")
    rows(page, "selected", f"{name} 0", f"{name} 1", f"{name} 2")
    page.get_by_text(desk("Save as a list…")).click()
    page.locator("#name").fill(name)
    page.locator("details").get_by_role("button", name=desk("Save"), exact=True).click()
    saved = page.locator(".saved-lists li").filter(has_text=name)
    expect(saved).to_be_visible()
    page.keyboard.press("Alt+KeyR")
    rows(page, "selected")
    rows(page, "found")

    saved.get_by_role("button", name=desk("Write to this list…")).click()
    expect(desk.heading()).to_contain_text(name)
    # What is written is there again, saved or not.
    page.get_by_role("button", name=desk("Write the text…")).or_(desk.link("Write the text…")).click()
    subject = page.locator("[data-takes-fields][name^=subject_]:visible")
    subject.fill(f"Offer {name}")
    expect(page.locator("#text-kept")).to_have_text(desk("Kept as a draft"))
    page.reload()
    expect(subject).to_have_value(f"Offer {name}")
    assert not list(complaints(desk, reader.language))
    page.locator(".form-actions").get_by_role("button", name=desk("Save"), exact=True).click()
    expect(page.locator("#flashes")).to_contain_text(desk("The text was saved."))
    desk.link("Leaf through the emails").click()
    expect(page.locator(".sheet-title")).to_contain_text(f"Offer {name}")
    page.locator("a[rel=next]").click()
    expect(page.locator(".facts")).to_contain_text(f"{name.casefold()}1@example.com")
    assert not list(complaints(desk, reader.language))
    page.go_back()
    page.go_back()
    page.locator("button.btn-primary").filter(has_text="2").click()
    wait_until("both emails", lambda: len(house.mailbox(f"Offer {name}")) == 2)
    assert all(message["List-Unsubscribe"] for _row, message in house.mailbox(f"Offer {name}"))
