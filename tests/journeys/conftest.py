"""The house, and a browser in it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Generator, Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    expect,
    sync_playwright,
)
from playwright.sync_api import Error as PlaywrightError

from core.demo import PASSWORD
from tests.journeys.house import House, running_house
from tests.journeys.words import Reader, Words
from tests.mail_config.provider import CLIENT_ID, CLIENT_SECRET, Provider, running_provider
from tools.browser import chromium

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# A condition is there when it is there: how long one waits for it costs nothing, but on a machine that is busy.
TIMEOUT_MS = 60_000

# What a browser says by itself about an answer that the application means: a form that needs another look
# (422), a page that is not there for this person (404), a request without a session (401, 403).
MEANT = ("status of 422", "status of 404", "status of 403", "status of 401", "Response Status Error Code 401")

CONTEXTS = pytest.StashKey[list[BrowserContext]]()
EXPECTED = pytest.StashKey[tuple[str, ...]]()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark each journey."""
    item.add_marker(pytest.mark.journey)
    item.add_marker(pytest.mark.smtp)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the processes have said, and how the pages look, to the report of a journey that failed."""
    report = yield
    if report.failed and "house" in getattr(item, "funcargs", {}):
        house: House = item.funcargs["house"]
        report.sections.append(("envoi up", house.last_words()))
        pages = [page for context in item.stash.get(CONTEXTS, []) for page in context.pages]
        for number, page in enumerate(pages):
            picture = house.log.with_name(f"{item.name.replace('/', '_')}-{report.when}-{number}.png")
            with contextlib.suppress(PlaywrightError):  # the page may be gone
                page.screenshot(path=picture, full_page=True)
                report.sections.append((f"page {number}", f"{page.url}\n{picture}"))
    return report


@pytest.fixture(scope="session")
def google() -> Iterator[Provider]:
    """Who speaks for Google in the house of all journeys."""
    with running_provider() as provider:
        yield provider


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, redis_url: str, google: Provider) -> Iterator[House]:
    """A running Envoi with demonstration data, one for all journeys."""
    folder = tmp_path_factory.mktemp("house")
    settings = {
        "ENVOI_DISTRIBUTION_ARCHIVE_DIR": str(folder),
        "ENVOI_MAIL_CONFIG_GOOGLE_BASE_URL": google.base_url,
        "ENVOI_MAIL_CONFIG_GOOGLE_CLIENT_ID": CLIENT_ID,
        "ENVOI_MAIL_CONFIG_GOOGLE_CLIENT_SECRET": CLIENT_SECRET,
    }
    with running_house(folder, redis_url, **settings) as house:
        yield house


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        yield browser
        browser.close()


def in_language(language: str) -> re.Pattern[str]:
    """Return what the language of a page says, whatever country is behind it."""
    return re.compile(rf"^{language}\b")


class Desk:
    """A browser of one person, who is signed in, with the words of their language.

    Args:
        page: The page they look at.
        words: What things are called there.
        reader: Who they are.
    """

    def __init__(self, house: House, page: Page, reader: Reader) -> None:
        self.house = house
        self.page = page
        self.reader = reader
        self.words = Words(reader.language)

    def __call__(self, message: str, **values: object) -> str:
        return self.words(message, **values)

    def come_in(self) -> None:
        """Go on with a session that was begun before; sign in where there is none, or none any more.

        A page is opened by what comes next.
        """
        kept = self.house.signed_in.get(self.reader.login)
        if kept:
            self.page.context.add_cookies(
                [{"name": name, "value": kept[name], "url": self.house.url} for name in kept]
            )
            # Asked beside the page: one that nobody looks at would be loaded for each journey.
            answer = self.page.context.request.get(f"{self.house.url}/", max_redirects=0)
            if urlsplit(answer.headers.get("location", "")).path not in {"", "/sign-in"}:
                return
        self.sign_in()

    def sign_in(self) -> None:
        """Sign in with the password of the demonstration."""
        self.go("/sign-in")
        self.page.get_by_label(self("Email address")).fill(f"{self.reader.login}@demo.example.com")
        self.page.get_by_label(self("Password")).fill(PASSWORD)
        self.button("Sign in").click()
        expect(self.page.locator("html")).to_have_attribute("lang", in_language(self.reader.language))
        expect(self.page.get_by_role("banner")).to_be_visible()
        self.house.signed_in[self.reader.login] = {
            cookie["name"]: cookie["value"] for cookie in self.page.context.cookies()
        }

    def prefer(self, **preference: str) -> None:
        """Set a preference as the menu of the user does; the page in view stays as it is."""
        page = self.page.context.request.get(f"{self.house.url}/", fail_on_status_code=True).text()
        found = re.search(r'<meta name="csrf-token" content="([^"]+)"', page)
        assert found is not None, page
        self._post("/preferences", preference, found[1])

    def sign_out_elsewhere(self) -> None:
        """End the session as another window does; the page in view stays as it is.

        Taking the cookie away would not do: an answer that is on its way puts it back.
        """
        token = self.page.locator("meta[name=csrf-token]").get_attribute("content") or ""
        self._post("/sign-out", {}, token)
        self.house.signed_in.pop(self.reader.login, None)

    def _post(self, path: str, fields: dict[str, str], token: str) -> None:
        self.page.context.request.post(
            f"{self.house.url}{path}", form={"csrf_token": token, **fields}, fail_on_status_code=True
        )

    def go(self, path: str) -> None:
        """Open a page of the house."""
        self.page.goto(f"{self.house.url}{path}")

    def button(self, message: str, **values: object) -> Locator:
        """Find a button by its English name."""
        return self.page.get_by_role("button", name=self(message, **values), exact=True)

    def link(self, message: str, **values: object) -> Locator:
        """Find a link by its English name."""
        return self.page.get_by_role("link", name=self(message, **values), exact=True)

    def field(self, message: str) -> Locator:
        """Find a field by its English label; a star behind it says that it is needed."""
        return self.page.get_by_label(re.compile(rf"^{re.escape(self(message))}( \*)?$")).and_(
            self.page.locator("input, select, textarea")
        )

    def heading(self) -> Locator:
        """Find the title of the page."""
        return self.page.get_by_role("heading", level=1)


@pytest.fixture
def new_context(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Callable[..., BrowserContext]]:
    """Make browsers without memory; what goes wrong in one of them fails the test."""
    contexts = request.node.stash.setdefault(CONTEXTS, [])
    meant = request.node.get_closest_marker("browser_says")
    if meant is not None:
        request.node.stash[EXPECTED] = meant.args
    complaints: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        expected = (*MEANT, *request.node.stash.get(EXPECTED, ()))
        if message.type in {"error", "warning"} and not any(words in message.text for words in expected):
            complaints.append(f"{message.type}: {message.text} ({message.location})")

    def watch(page: Page) -> None:
        page.on("console", heard)
        page.on("pageerror", lambda error: complaints.append(f"uncaught: {error}"))

    def make(**options: object) -> BrowserContext:
        # Dialogs that fade would only be waited for.
        usual = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"}
        context = browser.new_context(**{**usual, **options})  # type: ignore[arg-type]
        context.set_default_timeout(TIMEOUT_MS)
        context.on("page", watch)
        contexts.append(context)
        return context

    yield make
    for context in contexts:
        context.close()
    # A violation of the content security policy is among the errors of the console.
    assert not complaints, "The browser complains:\n" + "\n".join(complaints)


@pytest.fixture
def sit_down(house: House, new_context: Callable[..., BrowserContext]) -> Callable[..., Desk]:
    """Let somebody of the demonstration sign in, in a browser of their own."""

    def enter(reader: Reader, **options: object) -> Desk:
        context = new_context(locale={"fr": "fr-FR", "en": "en-GB"}[reader.language], **options)
        desk = Desk(house, context.new_page(), reader)
        desk.come_in()
        return desk

    return enter


@pytest.fixture
def enter(sit_down: Callable[..., Desk]) -> Callable[..., Desk]:
    """Let somebody sign in with a window of some width, in which the check for accessibility may run."""

    def at(reader: Reader, width: int = 1280, **more: object) -> Desk:
        return sit_down(reader, viewport={"width": width, "height": 800}, bypass_csp=True, **more)

    return at
