"""Roles: what users may do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from flask import abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import func, select
from wtforms import Field, SelectChoice, SelectField, StringField
from wtforms.validators import Regexp

from core.auth.models import Role, user_role
from core.auth.permissions import requires, signed_in_user
from core.auth.service import save_role
from core.contract import Permission, Scope
from core.db import db
from core.i18n import lazy_gettext as _l
from core.registry import current_registry
from core.views.blueprint import blueprint
from core.web.forms import at_most, required, submit
from core.web.record_form import RecordForm, record_form

SCOPE_TITLES = {
    Scope.OWN: _l("Own records"),
    Scope.COMPANY: _l("Own companies"),
    Scope.ALL: _l("Everything"),
}
NONE = ""


class RoleForm(RecordForm):
    """A role; `form_for` adds one select for each permission."""

    name = StringField(_l("Name"), [*required(), at_most(80)])


class NewRoleForm(RoleForm):
    """A new role, which needs a code as well."""

    code = StringField(
        _l("Code"),
        [
            *required(),
            at_most(40),
            Regexp(r"[a-z][a-z0-9_-]*\Z", message=_l("Small letters, digits, - and _ only; a letter first.")),
        ],
        description=_l("Names the role on the command line; it never changes."),
        render_kw={"autocapitalize": "none", "spellcheck": "false"},
    )


@dataclass(frozen=True, slots=True)
class PermissionGroup:
    """The permissions of one module, as the form shows them.

    Attributes:
        title: Title of the module.
        fields: One select for each permission.
    """

    title: str
    fields: Sequence[Field]


def _choices(permission: Permission) -> list[SelectChoice]:
    no = SelectChoice(NONE, _l("No"))
    if permission.scopes == (Scope.ALL,):
        return [no, SelectChoice(Scope.ALL.value, _l("Yes"))]
    return [no, *(SelectChoice(scope.value, SCOPE_TITLES[scope]) for scope in permission.scopes)]


def _offered(permission: Permission, present: Scope | None) -> str:
    """Return what the select shows for a grant: its own reach, else the next narrower one on offer."""
    if present is None:
        return NONE
    fitting = [scope for scope in permission.scopes if scope.breadth <= present.breadth]
    return max(fitting, key=lambda scope: scope.breadth).value if fitting else NONE


def form_for(base: type[RoleForm], role: Role | None, **how: None) -> RoleForm:
    """Return the form of a role with a select for every permission that an enabled module declares."""
    granted = {grant.permission: grant.scope for grant in role.grants} if role else {}
    fields = {
        permission.name: SelectField(
            _l(permission.title),
            choices=_choices(permission),
            default=_offered(permission, granted.get(permission.name)),
        )
        for permission in current_registry().permissions.values()
    }
    form: RoleForm = type(base.__name__, (base,), fields)(obj=role, **how)
    return form


def _groups(form: RoleForm) -> list[PermissionGroup]:
    return [
        PermissionGroup(gettext(module.title), [form[permission.name] for permission in module.permissions])
        for module in current_registry().modules
        if module.permissions
    ]


def _grants(form: RoleForm) -> dict[str, Scope]:
    return {
        name: Scope(form[name].data) for name in current_registry().permissions if form[name].data != NONE
    }


@blueprint.get("/roles")
@requires("core.user.edit")
def roles() -> ResponseReturnValue:
    """List the roles; there are never more than a handful."""
    rows = list(db.session.scalars(select(Role).order_by(Role.name, Role.id)))
    members = select(user_role.c.role_id, func.count()).group_by(user_role.c.role_id)
    counts = {row[0]: row[1] for row in db.session.execute(members)}
    known = current_registry().permissions
    grant_counts = {row.id: sum(grant.permission in known for grant in row.grants) for row in rows}
    return render_template(
        "core/users/roles.html", rows=rows, user_counts=counts, grant_counts=grant_counts, total=len(known)
    )


@blueprint.route("/roles/new", methods=["GET", "POST"])
@requires("core.user.edit")
def role_new() -> ResponseReturnValue:
    """Make a role."""
    form = form_for(NewRoleForm, None)
    if submit(
        form,
        lambda: save_role(
            None,
            code=form["code"].data,
            name=form.name.data.strip(),
            grants=_grants(form),
            by=signed_in_user(),
        ),
    ):
        flash(gettext("%(name)s was saved.", name=form.name.data), "success")
        return redirect(url_for("core.roles"))
    return render_template("core/users/role.html", form=form, groups=_groups(form), title=gettext("New role"))


@blueprint.route("/roles/<int:role_id>", methods=["GET", "POST"])
@requires("core.user.edit")
def role_edit(role_id: int) -> ResponseReturnValue:
    """Change what a role allows."""
    row = db.session.get(Role, role_id) or abort(404)
    title = gettext(row.name)
    form = record_form(row, partial(form_for, RoleForm, row))

    def save() -> None:
        save_role(row, code=row.code, name=form.name.data.strip(), grants=_grants(form), by=signed_in_user())

    if submit(form, save):
        flash(gettext("%(name)s was saved.", name=gettext(row.name)), "success")
        return redirect(url_for("core.roles"))
    return render_template("core/users/role.html", form=form, groups=_groups(form), title=title)
