"""Names that somebody typed: no page takes them for a format, for HTML, or for something htmx obeys."""

from __future__ import annotations

import re

import pytest

from core.auth.models import Role
from core.auth.service import save_role
from core.db import db
from core.mail.html import ATTRIBUTES, TAGS, clean_html
from core.testing.template_rules import computed_translations
from modules.mail_config.template_language.tree import read_editor

HOSTILE = [
    "Sales 100%",
    "100%(name)s",
    "%s %d %(",
    "{0} {x} {{ 7 * 7 }}",
    '<i hx-post="/users/1/active" hx-trigger="load">',
    '<b data-hx-get="/x" data-hx-trigger="load">x</b>',
]
PAGES = ["/users", "/users/new", "/users/{user}", "/roles", "/roles/new", "/roles/{role}", "/modules"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_role_may_have_any_name(make_user, sign_in, name):
    boss = make_user("administrator", name=name)
    role = save_role(None, code="hostile", name=name, grants={})
    boss.roles.append(role)
    db.session.commit()
    client = sign_in(boss)
    for page in PAGES:
        response = client.get(page.format(user=boss.id, role=role.id))
        assert response.status_code == 200, page
        assert "<i hx-" not in response.text
        assert "<b data-hx-" not in response.text
    assert "f=role-hostile" in client.get("/users").text


@pytest.mark.parametrize("name", HOSTILE)
def test_saving_it_says_its_name_as_it_is(make_user, sign_in, name):
    client = sign_in(make_user("administrator"))
    role = db.session.query(Role).filter_by(code="support").one()
    form = {"name": name}
    response = client.post(f"/roles/{role.id}", data=form, follow_redirects=True)
    assert response.status_code == 200
    assert "<i hx-" not in response.text


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("{{ _('Name') }}", []),
        ("{{ _('%(name)s was saved.', name=name) }}", []),
        ("{{ ngettext('%(num)s mail', '%(num)s mails', n) }}", []),
        ("{{ role.name|translated }}", []),
        ("{{ _(role.name) }}", [1]),
        ("\n{{ gettext(title if title else 'x') }}", [2]),
        ("{{ ngettext('one', several, 2) }}", [1]),
        ("{{ _('a' ~ name) }}", [1]),
    ],
)
def test_the_conformance_suite_finds_what_is_handed_to_gettext(source, lines):
    assert computed_translations(source) == lines


def test_what_people_write_keeps_no_attribute_of_htmx():
    html = "".join(
        f'<{tag} hx-get="/x" data-hx-get="/x" hx-trigger="load" hx-on:load="x">y</{tag}>'
        for tag in sorted(TAGS)
    )
    assert "hx-" not in clean_html(html, pictures=True)
    assert not any(name.startswith(("hx", "data")) for names in ATTRIBUTES.values() for name in names)
    assert "hx-" not in repr(read_editor(html))


@pytest.mark.parametrize("page", ["/signature"])
def test_htmx_is_off_where_the_words_of_people_stand(make_user, sign_in, page):
    text = sign_in(make_user("salesperson")).get(page).text
    editors = re.findall(r"<trix-editor[^>]*>", text)
    assert editors
    assert all("hx-disable" in editor for editor in editors)
