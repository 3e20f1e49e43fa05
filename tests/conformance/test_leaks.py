"""The conformance suite is red on a leak: each of these mutations of a module is told by a sentence."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask import Flask, abort
from sqlalchemy import delete, select, true
from werkzeug.routing import Rule

from core import demonstration, loader, migrate
from core.auth.models import user_company
from core.auth.permissions import requires
from core.contract import Module
from core.db import db, transaction
from core.documents.models import Document
from core.partners.models import Partner
from core.pickers import PartnerField
from core.registry import resolve
from core.testing import applications
from core.testing.conformance import ModuleConformance, reach
from core.testing.conformance.house import administrator_of
from core.testing.conformance.posted_ids import ForeignIds
from core.testing.conformance.reach import Leaks, Search, different
from core.testing.conformance.tour import Ids, Post, Tour, Walk
from core.testing.fixtures import test_settings
from modules.pos import queries as pos_queries
from modules.sales import queries as sales_queries
from tests.conformance.test_suite import complaint
from tests.conformance.toys import toy  # noqa: F401 (a fixture)

SUITE = ModuleConformance()
STRANGER = "a user of another company"
COLLEAGUE = "a colleague who reaches only what is their own"


def make_app(folder: Path, toy: Module, *modules: str) -> Flask:  # noqa: F811 (the fixture)
    """An application with the toy among its modules."""
    discover = loader.discover
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader, "discover", lambda: {**discover(), toy.name: toy})
        app = applications.make_app(test_settings(folder, modules=modules))
        app.config["WTF_CSRF_ENABLED"] = False
    return app


def make_house(folder: Path, toy: Module, *modules: str) -> Flask:  # noqa: F811 (the fixture)
    """The same, with demonstration data."""
    app = make_app(folder, toy, *modules)
    with app.app_context():
        migrate.upgrade(app)
        loaded = demonstration.load_demo(app)
        assert loaded is not None
        assert not loaded.faults
        db.session.remove()
    return app


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, toy: Module) -> Iterator[Flask]:  # noqa: F811 (the fixture)
    app = make_house(tmp_path_factory.mktemp("house"), toy, "sales", "pos", "toy")
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture(scope="module")
def found(house: Flask) -> Search:
    """Who looks for leaks, with what there is to find."""
    return Search(house, Walk(house, administrator_of(house)).walk())


@pytest.fixture
def look(found: Search) -> Callable[..., Leaks]:
    """Look for leaks on some pages, as they are now."""

    def again(*endpoints: str) -> Leaks:
        found.leaks = Leaks()
        return found.search(endpoints)

    return again


def names_without_reach(patch: pytest.MonkeyPatch) -> None:
    """The list of the toy forgets `within_reach`."""
    service = resolve("envoi_toy.service")
    open_to_all = SimpleNamespace(**vars(service) | {"within_reach_of": lambda _user: true()})
    patch.setattr(resolve("envoi_toy.views"), "service", open_to_all)


def any_voucher(_user: object, document_id: int, _permission: str = "") -> object:
    """What `voucher_for` of the toy would be without `within_reach`."""
    voucher = resolve("envoi_toy.models:Voucher")
    return db.session.scalar(select(voucher).where(voucher.document_id == document_id))


def test_as_they_are_nothing_leaks(look: Callable[..., Leaks], found: Search) -> None:
    leaks = look(
        "toy.vouchers", "toy.voucher", "toy.voucher_extend", "sales.orders", "sales.order", "pos.ticket"
    )
    assert [sentence for by in (leaks.rows, leaks.lists) for said in by.values() for sentence in said] == []
    assert found.tour.pages["toy.voucher"], "there was something to find"
    assert [post.page for post in found.tour.posts["toy.voucher_extend"] if post.page]


def test_a_list_without_reach_is_noticed(look: Callable[..., Leaks], monkeypatch: pytest.MonkeyPatch) -> None:
    names_without_reach(monkeypatch)
    said = look("toy.vouchers").lists["toy.vouchers"]
    assert (
        f"The page toy.vouchers shows {STRANGER} “GIFT00001” at /toy/vouchers, which is not theirs." in said
    )
    assert any(COLLEAGUE in sentence for sentence in said)


def test_a_page_without_reach_is_noticed(look: Callable[..., Leaks], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve("envoi_toy.service"), "voucher_for", any_voucher)
    said = look("toy.voucher").rows["toy.voucher"]
    assert said[0].startswith(f"The page toy.voucher answers {STRANGER} with 200 to GET /toy/vouchers/")
    assert any(COLLEAGUE in sentence for sentence in said)


def test_an_action_without_reach_is_noticed(
    look: Callable[..., Leaks], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve("envoi_toy.service"), "voucher_for", any_voucher)
    said = look("toy.voucher_extend").rows["toy.voucher_extend"]
    assert said[0].startswith(
        f"The page toy.voucher_extend answers {STRANGER} with 302 to POST /toy/vouchers/"
    )
    assert any("changes the database: UPDATE toy_voucher" in sentence for sentence in said)


def test_a_reach_that_knows_no_owner_is_noticed(
    look: Callable[..., Leaks], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = resolve("envoi_toy.service")
    monkeypatch.setattr(
        service,
        "within_reach_of",
        lambda user, _permission="": Document.company_id.in_(
            select(user_company.c.company_id).where(user_company.c.user_id == user.id)
        ),
    )
    leaks = look("toy.vouchers", "toy.voucher")
    assert all(COLLEAGUE in sentence for sentence in leaks.rows["toy.voucher"] + leaks.lists["toy.vouchers"])
    assert leaks.rows["toy.voucher"]
    assert leaks.lists["toy.vouchers"]


def test_a_piece_of_anothers_page_without_reach_is_noticed(
    look: Callable[..., Leaks], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        resolve("envoi_toy.slots"), "render_template", lambda *_args, **_keywords: "GIFT00001"
    )
    said = look("core.partner").lists["core.partner"]
    assert f"The page core.partner shows {STRANGER} “GIFT00001” at /partners/1, which is not theirs." in said


@pytest.mark.parametrize(
    ("queries", "name", "listed", "page"),
    [
        (sales_queries, "within_reach", "sales.orders", "sales.order"),
        (pos_queries, "in_reach", "pos.tickets", "pos.ticket"),
    ],
)
def test_our_own_modules_without_reach_are_noticed(
    look: Callable[..., Leaks],
    monkeypatch: pytest.MonkeyPatch,
    queries: object,
    name: str,
    listed: str,
    page: str,
) -> None:
    monkeypatch.setattr(queries, name, lambda *_args, **_keywords: true())
    leaks = look(listed, page)
    assert leaks.lists[listed][0].startswith(f"The page {listed} shows {STRANGER} “")
    assert leaks.rows[page][0].startswith(f"The page {page} answers {STRANGER} with 200 to GET ")


@pytest.fixture(scope="module")
def small_data(tmp_path_factory: pytest.TempPathFactory, toy: Module) -> Path:  # noqa: F811 (the fixture)
    """The data of a house with few modules, which each test copies."""
    folder = tmp_path_factory.mktemp("small")
    app = make_house(folder, toy, "sales", "toy")
    with app.app_context():
        db.engine.dispose()
    return folder


def test_an_id_in_a_form_without_reach_is_noticed(
    house: Flask, found: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = ForeignIds(house, found.tour, found.shared)
    pages = ("toy.voucher_new", "sales.quotation_new", "sales.invoice_new", "sales.order_edit")
    assert [sentence for by in search.search(pages).values() for sentence in by] == []
    assert set(pages) <= found.tour.posts.keys(), "there was something to post"
    monkeypatch.setattr(PartnerField, "find", lambda _self, number: db.session.get(Partner, number))
    said = search.search(["toy.voucher_new"])["toy.voucher_new"]
    assert all("The form of /toy/vouchers/new (toy.voucher_new), posted with partner_id=" in s for s in said)
    assert any("a core_partner of another company, is answered with its name." in s for s in said)
    assert any("is taken: core_document.partner_id refers to it now." in s for s in said)


@pytest.fixture
def small(tmp_path: Path, toy: Module, small_data: Path) -> Iterator[Flask]:  # noqa: F811 (the fixture)
    """A house with few modules, to be changed before it is walked through."""
    shutil.copytree(small_data, tmp_path / "data")
    app = make_app(tmp_path / "data", toy, "sales", "toy")
    yield app
    with app.app_context():
        db.engine.dispose()


def opened(app: Flask, address: str, endpoint: str, *methods: str) -> Tour:
    """Open an action to other methods, and walk through the house."""
    app.url_map.add(Rule(address, endpoint=endpoint, methods=methods))
    return Walk(app, administrator_of(app), "toy.").walk()


@pytest.mark.parametrize("methods", [("GET", "POST"), ("GET",)])
def test_an_action_that_was_opened_to_get_is_noticed(
    small: Flask,
    toy: Module,  # noqa: F811 (the fixture)
    methods: tuple[str, ...],
) -> None:
    address = "/toy/vouchers/<int:document_id>/extend"
    tour = opened(small, address, "toy.voucher_extend", *methods)
    said = complaint(SUITE.test_reading_changes_nothing_on_any_row, toy, small, tour)
    assert "(toy.voucher_extend) changes the database: UPDATE toy_voucher" in said


def test_an_action_that_needs_what_is_posted_is_noticed(small: Flask, toy: Module) -> None:  # noqa: F811
    """It does nothing without the values of its form, and nothing in the state of the demonstration."""

    @requires("toy.voucher.issue")
    def quiet(document_id: int) -> str:
        return f"{document_id}"

    small.view_functions["toy.quiet"] = quiet
    small.url_map.add(Rule("/toy/quiet/<int:document_id>", endpoint="toy.quiet", methods=["GET", "POST"]))
    said = complaint(SUITE.test_what_takes_both_asks_which, toy, small)
    assert said == (
        "The page toy.quiet takes GET and POST, but its view asks neither submit(), nor validate_on_submit(), nor "
        "request.method: let it take POST only."
    )


def test_an_action_that_takes_get_alone_is_noticed_in_its_source(small: Flask, toy: Module) -> None:  # noqa: F811
    """Whatever it is called, and though no row of the demonstration is in a state in which it would do something."""
    small.url_map.add(
        Rule("/toy/vouchers/<int:document_id>/x", endpoint="toy.voucher_extend", methods=["GET"])
    )
    said = complaint(SUITE.test_what_is_only_read_begins_no_transaction, toy, small)
    assert said == (
        "The page toy.voucher_extend takes GET, but its view comes to envoi_toy.service.extend(), which begins a "
        "transaction: let it take POST only."
    )


def test_an_action_that_no_page_offers_is_noticed_though_few_ids_are_tried(
    small: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its kind begins with an early letter; ids of the kinds of others must not take its place."""

    @requires("sales.document.edit")
    def quiet(document_id: int) -> str:
        order = db.session.scalar(
            select(Document).where(Document.id == document_id, Document.kind == "sales.order")
        )
        return abort(404) if order is None else str(order.number)

    small.view_functions["sales.quiet"] = quiet
    small.url_map.add(Rule("/sales/quiet/<int:document_id>", endpoint="sales.quiet", methods=["POST"]))
    monkeypatch.setattr(reach, "ADDRESSES_OF_A_PAGE", 2)
    tour = Walk(small, administrator_of(small), "sales.quiet").walk()
    said = Search(small, tour).search(["sales.quiet"]).rows["sales.quiet"]
    assert said[0].startswith(f"The page sales.quiet answers {STRANGER} with 200 to POST /sales/quiet/")


def test_documents_of_the_own_module_are_tried_first_and_each_kind_in_turn() -> None:
    ids = Ids({"abc.note": [1, 2], "abc.bill": [3, 4], "zoo.animal": [5, 6]})
    assert ids.documents_for("abc.note_delete") == [3, 1, 4, 2, 5, 6]
    assert ids.documents_for("zoo.animal_feed") == [5, 6, 3, 1, 4, 2]


def test_posts_that_pages_offer_are_tried_first() -> None:
    bare = [Post("abc.x", f"/abc/{number}", (), "") for number in range(20)]
    offered = Post("abc.x", "/abc/19", (("revision", "1"),), "/abc")
    assert different([*bare, offered]) == [offered, *bare[:11]]


def test_a_pdf_that_cannot_be_made_is_told_in_an_english_sentence(
    small: Flask,
    toy: Module,  # noqa: F811 (the fixture)
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_document: Document) -> str:
        raise KeyError("frais")

    with small.app_context(), transaction() as session:
        for document in session.scalars(select(Document).where(Document.kind == "toy.voucher")):
            document.language = "fr"
    monkeypatch.setattr(resolve("envoi_toy.behavior:voucher"), "pdf_html", broken)
    said = complaint(SUITE.test_a_document_becomes_a_pdf, toy, small)
    assert said == "The module toy has a fault (toy.voucher GIFT00001): pdf_html() raises KeyError: 'frais'."


def test_what_a_failed_demonstration_lacks_is_not_told_beside_its_fault(
    small: Flask,
    toy: Module,  # noqa: F811 (the fixture)
) -> None:
    with small.app_context(), transaction() as session:
        session.execute(delete(Document).where(Document.kind == "toy.voucher"))
    rules = [
        lambda: complaint(
            SUITE.test_pages_answer_and_reading_changes_nothing, toy, small, administrator_of(small)
        ),
        lambda: complaint(SUITE.test_a_document_becomes_a_pdf, toy, small),
    ]
    assert [rule() for rule in rules] == [
        "The demonstration data has nothing to show on toy.voucher; name it in `untried` if that is meant.",
        "The demonstration data must hold a document of toy.voucher to try.",
    ]
    fault = "The demonstration of the module toy was not loaded: no paper."
    small.extensions["envoi_demo_faults"] = {"toy": fault}
    assert [rule() for rule in rules] == [fault, fault]
