"""Lists of recipients: criteria that add and take, who is picked and stays, what is kept under a name."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from core.auth.models import User
from core.companies.models import Company
from core.companies.service import save_company
from core.db import db, transaction
from core.errors import UserError
from core.partners.labels import LabelKind, save_label
from core.partners.lists import service
from core.partners.lists.criteria import How
from core.partners.lists.models import MEMBERS, ListKind, PartnerList
from core.partners.merging import merge
from core.partners.models import MailConsent, Partner
from core.partners.service import save_contact, save_partner
from core.registry import current_registry
from core.selection import Selection
from tests.at_once import at_once

MakeUser = Callable[..., User]
PAGE = "/partner-lists"
MINE = {"company_id": None, "owner_id": None}


@pytest.fixture
def seller(make_user: MakeUser) -> User:
    return make_user("salesperson", name="Sophie Bernard")


@pytest.fixture
def people(company: Company) -> dict[str, Partner]:
    """Four customers of two families and two countries, one of them archived, and a contact."""
    garage, retail = (save_label(None, LabelKind.FAMILY, {"name": name}).id for name in ("Garage", "Retail"))
    vip = save_label(None, LabelKind.TAG, {"name": "VIP"}).id
    code = save_label(None, LabelKind.FUNCTION, {"name": "Invoices", "code": "FACT"}).id
    made = {
        name: save_partner(None, {"name": name, **values})
        for name, values in {
            "Adam": {"family_id": garage, "zip_code": "75011", "label_ids": [vip]},
            "Étoile": {"family_id": garage, "country": "BE", "zip_code": "1000"},
            "Claire": {"family_id": retail, "zip_code": "75002"},
            "Denis": {"family_id": retail, "active": False},
        }.items()
    }
    made["Anna"] = save_contact(made["Adam"], "Anna", "anna@example.com")
    save_partner(made["Anna"], {"label_ids": [code]})
    ids = {"garage": garage, "retail": retail, "vip": vip, "code": code}
    return made | {name: Partner(id=number) for name, number in ids.items()}


def step(user: User, people: dict[str, Partner], how: How, name: str, *chosen: str) -> None:
    values = [str(people[one].id) if one in people else one for one in chosen]
    service.add_step(user, name, how, {"chosen": values})


def names(condition: object) -> list[str]:
    return sorted(db.session.scalars(select(Partner.name).where(condition)))  # type: ignore[arg-type]


def found(user: User) -> list[str]:
    return names(service.found_by(service.working_list(user), user))


def selected(user: User) -> list[str]:
    return names(service.selected_of(service.working_list(user), user))


def ids_of(people: dict[str, Partner], names: Iterable[str]) -> list[int]:
    return [people[name].id for name in names]


def test_criteria_add_to_take_from_and_keep_what_is_found(
    app: Flask, seller: User, people: dict[str, Partner]
) -> None:
    with app.test_request_context():
        assert found(seller) == []
        step(seller, people, How.ADD, "core.family", "garage")
        assert found(seller) == ["Adam", "Étoile"]
        step(seller, people, How.ADD, "core.family", "retail", "garage")
        assert found(seller) == ["Adam", "Claire", "Étoile"]  # nobody who is archived
        # Who has no value of what is asked for is not taken.
        step(seller, people, How.TAKE, "core.tag", "vip")
        assert found(seller) == ["Claire", "Étoile"]
        step(seller, people, How.KEEP, "core.country", "BE")
        assert found(seller) == ["Étoile"]
        step(seller, people, How.ADD, "core.function", "code")
        assert found(seller) == ["Anna", "Étoile"]  # by its code, a contact
        working = service.working_list(seller)
        assert working is not None
        service.remove_step(seller, working.steps[3]["key"])
        assert found(seller) == ["Anna", "Claire", "Étoile"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"field": "zip_code", "way": "begins", "text": "75"}, ["Adam", "Claire"]),
        ({"field": "name", "way": "contains", "text": "ETOI"}, ["Étoile"]),
        ({"field": "zip_code", "way": "contains", "text": "%"}, []),
        ({"field": "email", "way": "filled", "text": ""}, []),
        ({"field": "email", "way": "empty", "text": ""}, ["Adam", "Claire", "Étoile"]),
    ],
)
def test_an_own_filter_by_a_field(
    app: Flask, seller: User, people: dict[str, Partner], values: dict[str, str], expected: list[str]
) -> None:
    with app.test_request_context():
        service.add_step(seller, "core.fields", How.ADD, values)
        assert found(seller) == expected


def test_who_is_selected_stays_until_it_is_reset(
    app: Flask, seller: User, people: dict[str, Partner]
) -> None:
    with app.test_request_context():
        service.add_step(seller, "core.everybody", How.ADD, {})
        assert service.pick(seller, ids_of(people, ["Adam", "Denis", "Anna"])) == 1  # what was found alone
        assert (found(seller), selected(seller)) == (["Claire", "Étoile"], ["Adam"])
        assert service.pick(seller, ids_of(people, ["Adam"])) == 0
        assert service.pick(seller) == 2
        assert found(seller) == []
        service.drop(seller, ids_of(people, ["Adam"]))
        assert (found(seller), selected(seller)) == (["Adam"], ["Claire", "Étoile"])
        # Others choose for themselves.
        assert service.working_list(seller) is not None
        service.drop(seller)
        assert selected(seller) == []
        service.reset(seller)
        assert service.working_list(seller) is None
        assert found(seller) == []


def test_both_panes_tell_who_has_not_agreed(app: Flask, seller: User, people: dict[str, Partner]) -> None:
    save_partner(
        people["Claire"], {"consent": MailConsent.PROMOTIONAL, "consent_at": None, "consent_source": "fair"}
    )
    with app.test_request_context():
        service.add_step(seller, "core.everybody", How.ADD, {})
        counts = service.count(service.found_by(service.working_list(seller), seller))
        assert counts == service.Counts(3, 2)


def test_a_dynamic_list_asks_again_and_a_fixed_one_does_not(
    app: Flask, seller: User, people: dict[str, Partner]
) -> None:
    with app.test_request_context():
        with pytest.raises(UserError, match="Add a criterion first"):
            service.save(seller, "Garages", ListKind.DYNAMIC, **MINE)
        step(seller, people, How.ADD, "core.family", "garage")
        with pytest.raises(UserError, match="Select somebody first"):
            service.save(seller, "Garages", ListKind.FIXED, **MINE)
        service.pick(seller)
        dynamic = service.save(seller, " All  garages ", ListKind.DYNAMIC, **MINE)
        fixed = service.save(seller, "Garages", ListKind.FIXED, **MINE)
        with pytest.raises(UserError, match="of this name already"):
            service.save(seller, "GARAGES", ListKind.FIXED, **MINE)
        new = save_partner(None, {"name": "New", "family_id": people["garage"].id})
        save_partner(people["Adam"], {"active": False})
        assert names(service.those_of(dynamic, seller)) == ["New", "Étoile"]
        assert names(service.those_of(fixed, seller)) == ["Étoile"]
        # The window is as it was; a list opens into it.
        service.reset(seller)
        service.open_list(seller, fixed)
        service.open_list(seller, fixed)
        assert selected(seller) == ["Étoile"]
        service.open_list(seller, dynamic)
        assert found(seller) == ["New"]
        # Other lists take part in criteria.
        service.add_step(seller, "core.saved", How.TAKE, {"chosen": [str(fixed.id)]})
        service.drop(seller)
        assert found(seller) == ["New"]
        service.delete_list(fixed)
        assert found(seller) == ["New", "Étoile"]
        assert db.session.scalar(select(func.count()).select_from(MEMBERS)) == 0
        assert new.id


def test_a_criterion_that_is_not_there_is_told_and_finds_nobody(
    app: Flask, seller: User, people: dict[str, Partner], sign_in, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.test_request_context():
        step(seller, people, How.ADD, "core.family", "garage")
        step(seller, people, How.ADD, "core.tag", "vip")
        kept = service.save(seller, "Kept", ListKind.DYNAMIC, **MINE)
    registry = current_registry()
    without = {name: entry for name, entry in registry.criteria.items() if name != "core.family"}
    monkeypatch.setitem(app.extensions, "envoi_registry", dataclasses.replace(registry, criteria=without))
    client = sign_in(seller)
    page = client.get(PAGE).text
    assert page.count("A criterion that is not available any more") == 3
    with app.test_request_context():
        assert found(seller) == ["Adam"]  # by the tag
        for how in (How.TAKE, How.KEEP):
            row = service.working_list(seller)
            assert row is not None
            with transaction():
                row.steps = [row.steps[1], {**row.steps[0], "how": how.value}]
            assert found(seller) == []  # whom it would have spared is not known
    assert client.get(f"/partners?list={kept.id}&all=1").text.count("data-row") == 1


_NONSENSE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("core.family", {}),  # its form has other fields now
    ("core.family", {"chosen": None}),
    ("core.saved", {"chosen": {"x": 1}}),
    ("core.fields", {"field": "fax", "way": "filled", "text": ""}),
    ("core.fields", {"field": "name", "way": "sounds like", "text": "x"}),
    ("core.fields", {"field": "name", "way": "begins", "text": 7}),
    ("core.since", {"first": "2026-02-30", "last": None}),
    ("core.since", {"first": 20260230, "last": None}),
    ("sales.bought", {"product_id": "x", "first": None, "last": None}),
    ("sales.bought", {"product_id": 10**12, "first": None, "last": None}),
    ("sales.bought", {"first": None, "last": None}),
    ("sales.no_order_since", {"day": None, "customers": True}),
)


@pytest.mark.both_databases
def test_criteria_that_are_not_understood_any_more_are_told_and_find_nobody(
    app: Flask, seller: User, people: dict[str, Partner], sign_in
) -> None:
    with app.test_request_context():
        for name, values in _NONSENSE:
            service.add_step(seller, name, How.ADD, values)
        kept = service.save(seller, "Kept", ListKind.DYNAMIC, **MINE)
        step(seller, people, How.ADD, "core.tag", "vip")
        assert found(seller) == ["Adam"]  # by the tag
    client = sign_in(seller)
    page = client.get(PAGE).text
    # Each where it was chosen, on its button, and in the list that was saved.
    assert page.count("A criterion that is not available any more") == 3 * len(_NONSENSE)
    assert "A criterion is not available any more, so fewer are found." in page
    assert client.get(f"/partners?list={kept.id}&all=1").text.count("data-row") == 0
    with app.test_request_context():
        row = service.working_list(seller)
        assert row is not None
        stored = list(row.steps)
        for nonsense in stored[:-1]:
            with transaction():
                row.steps = [stored[-1], {**nonsense, "how": How.TAKE.value}]
            assert found(seller) == []  # whom it would have spared is not known


def test_lists_of_others_are_theirs_unless_they_share_them(
    app: Flask, seller: User, people: dict[str, Partner], make_user: MakeUser, sign_in
) -> None:
    colleague = make_user("salesperson", login="marc@maison.example.com", name="Marc")
    with app.test_request_context():
        step(seller, people, How.ADD, "core.family", "garage")
        own = service.save(seller, "Mine", ListKind.DYNAMIC, company_id=None, owner_id=seller.id)
        shared = service.save(seller, "Ours", ListKind.DYNAMIC, **MINE)
        working = service.working_list(seller)
        assert working is not None
    client = sign_in(colleague)
    page = client.get(PAGE).text
    assert "Ours" in page
    assert "Mine" not in page
    for row in (own, working):
        assert client.get(f"/partners?list={row.id}").text.count("data-row") == 0
        for what in ("open", "delete"):
            assert client.post(f"{PAGE}/{row.id}/{what}").status_code == 404
    assert client.get(f"{PAGE}/{shared.id}").status_code == 200
    assert client.get("/partners?list=999&all=1").text.count("data-row") == 0  # one that is gone is nobody
    # Nobody finds by a list whom they do not reach.
    other = save_company(
        None, {"name": "Other", "email": "o@example.com", "currency": "EUR", "language": "en"}
    )
    stranger = make_user("salesperson", login="eve@maison.example.com", name="Eve", company_ids=[other.id])
    save_partner(people["Adam"], {"company_id": people["Adam"].company_id or other.id})
    with app.test_request_context():
        assert names(service.those_of(shared, colleague)) == ["Étoile"]
        assert names(service.those_of(shared, stranger)) == ["Adam", "Étoile"]


def test_of_two_that_are_merged_one_stays_on_the_list(
    app: Flask, seller: User, people: dict[str, Partner]
) -> None:
    with app.test_request_context():
        service.add_members(seller, ids_of(people, ["Adam", "Claire"]))
        merge(people["Claire"].id, people["Adam"].id, seller)
        assert selected(seller) == ["Claire"]


@pytest.mark.both_databases
@pytest.mark.parametrize("crossed", [False, True])
def test_two_merges_at_once_of_customers_on_lists_lose_nothing(
    app: Flask,
    seller: User,
    people: dict[str, Partner],
    make_user: MakeUser,
    company: Company,
    crossed: bool,
) -> None:
    boss_id = make_user("administrator", login="root@maison.example.com", company_ids=[company.id]).id
    seller_id = seller.id
    adam, claire, star = ids_of(people, ["Adam", "Claire", "Étoile"])
    with app.test_request_context():
        service.add_members(seller, [adam, claire, star])
        service.save(seller, "All", ListKind.FIXED, **MINE)
        service.drop(seller, [claire])

    def merging(kept: int, merged: int) -> str:
        try:
            merge(kept, merged, db.session.get_one(User, boss_id))
        except UserError as error:
            return str(error.message)
        return ""

    def choosing() -> int:
        return service.add_members(db.session.get_one(User, seller_id), [claire, star])

    # Either one goes into two others; the same two, the other way round.
    other = (adam, claire) if crossed else (star, adam)
    said = at_once(app, partial(merging, claire, adam), partial(merging, *other), choosing)
    assert isinstance(said[2], int)
    assert sorted(said[:2]) == ["", "Somebody has merged one of the two meanwhile."]
    db.session.expire_all()
    (gone,) = db.session.scalars(select(Partner).where(Partner.merged_into_id.is_not(None)))
    left = {adam, claire, star} - {gone.id}
    assert gone.merged_into_id in left
    on_lists: dict[int, set[int]] = {}
    for list_id, partner_id in db.session.execute(select(MEMBERS.c.list_id, MEMBERS.c.partner_id)):
        on_lists.setdefault(list_id, set()).add(partner_id)
    assert list(on_lists.values()) == [left, left]


def test_two_windows_of_one_person_choose_for_one_list(
    app: Flask, seller: User, people: dict[str, Partner], sign_in: Callable[[User], FlaskClient]
) -> None:
    clients = [(sign_in(seller), people[name].id) for name in ("Adam", "Claire")]
    posts = [
        partial(client.post, f"{PAGE}/from/core.partners", data={"id": [number]})
        for client, number in clients
    ]
    assert [answer.status_code for answer in at_once(app, *posts)] == [302, 302]
    with app.test_request_context():
        assert selected(seller) == ["Adam", "Claire"]
    assert db.session.scalar(select(func.count()).select_from(PartnerList)) == 1


def token_of(page: str) -> str:
    found = re.search(r'name="key" value="(\w+)"', page)
    assert found is not None
    return found[1]


def test_the_page_without_a_script(
    app: Flask, seller: User, people: dict[str, Partner], sign_in: Callable[[User], FlaskClient]
) -> None:
    client = sign_in(seller)
    assert "Add a criterion to find customers." in client.get(PAGE).text
    wrong = client.post(
        f"{PAGE}/criteria", data={"criterion": "core.fields", "field": "name", "way": "begins"}
    )
    assert (wrong.status_code, "This field is required." in wrong.text) == (422, True)
    assert client.post(f"{PAGE}/criteria", data={"criterion": "x.y"}).status_code == 404
    none = client.post(f"{PAGE}/criteria", data={"criterion": "core.family", "how": "add"})
    assert (none.status_code, "Choose at least one." in none.text) == (422, True)
    data = {"criterion": "core.family", "how": "add", "chosen": [people["garage"].id]}
    page = client.post(f"{PAGE}/criteria", data=data, follow_redirects=True).text
    assert "Family: Garage" in page
    assert "2 of them have not agreed to promotional emails." in page
    page = client.post(f"{PAGE}/move", data={"move": "pick_all"}, follow_redirects=True).text
    assert "Nobody else fits the criteria." in page
    assert "Étoile" in client.get(PAGE).text  # it stays
    saved = {"name": "Garages", "kind": "fixed", "reach": f"user-{seller.id}"}
    assert client.post(f"{PAGE}/save", data={**saved, "name": ""}).status_code == 422
    page = client.post(f"{PAGE}/save", data=saved, follow_redirects=True).text
    assert "The list “Garages” was saved." in page
    assert client.post(f"{PAGE}/save", data=saved).status_code == 422
    client.post(f"{PAGE}/criteria/remove", data={"key": token_of(page)})
    assert "Family: Garage" not in client.get(PAGE).text
    for junk in ({}, {"move": "x"}, {"move": "pick", "id": ["x", "-1", "99999999999"]}):
        assert client.post(f"{PAGE}/move", data=junk).status_code in {302, 400}
    client.post(f"{PAGE}/reset")
    assert "Nobody is selected." in client.get(PAGE).text
    # From the list of customers, and back to it.
    client.post(f"{PAGE}/from/core.partners", data={"id": [people["Claire"].id, people["Anna"].id]})
    page = client.get(PAGE).text
    assert "Claire" in page
    assert "Anna" in page
    number = db.session.scalars(select(PartnerList.id).where(PartnerList.name == "Garages")).one()
    rows = client.get(f"/partners?list={number}&all=1").text
    assert ("Adam" in rows, "Claire" in rows) == (True, False)
    with app.test_request_context(f"/partners?list={number}"):
        declared = current_registry().lists["core.partners"]
        assert declared.of == "partner"
        assert Selection(declared, None)
