"""What every module must keep, ours or a third party's: one suite that runs over each.

A module by others runs it with a few lines in its tests, beside `pytest_plugins = ["core.testing.fixtures"]`
in its `conftest.py`:

    from core.testing.conformance import *

    class TestMyModule(ModuleConformance):
        module_name = "my_module"

The module must be installed, so that its entry point is found. Its demonstration data is what pages and
documents are tried with: it must hold some of every kind. Nothing is skipped.
"""

from __future__ import annotations

import datetime as dt
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, cast

import click
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from flask import Flask, url_for
from flask.testing import FlaskClient
from flask_babel import force_locale
from sqlalchemy import Engine, Table, event, select
from sqlalchemy import inspect as inspect_database
from werkzeug.routing import IntegerConverter, Rule

from core import cli, loader, migrate
from core.app import create_app, shell_folder
from core.auth.models import Role, User
from core.auth.permissions import PUBLIC, SIGNED_IN, declared_permission
from core.auth.service import FIRST_ROLES
from core.config import SUPPORTED_LANGUAGES
from core.contract import DocumentKind, Module
from core.db import Base, db
from core.documents.behavior import DocumentBehavior
from core.documents.models import Document
from core.documents.pdf import render_document
from core.registry import current_registry, resolve
from core.signals import KEYWORDS
from core.testing import catalogues, template_rules
from core.testing.fixtures import test_settings
from core.web.slots import SLOTS

__all__ = ["ModuleConformance", "administrator", "demonstration"]

# Core owns the root of the site: it has no address, and no folder of templates, of its own name.
ADDRESS_PREFIX_NOT_NEEDED = {loader.CORE.name}
# What may ask a page without changing anything, and the one method by which something is changed.
READING_METHODS = {"GET", "HEAD", "OPTIONS"}
CHANGING_METHOD = "POST"
# A view named by such a verb does something; it must not do it when somebody follows a link.
CHANGING_VERBS = {
    *("activate", "add", "bulk", "cancel", "confirm", "correct", "delete", "duplicate", "mark", "post"),
    *("remove", "reopen", "resend", "send"),
}
# More rows of one table than these are not tried when a page wants an id.
TRIED_IDS = range(1, 41)
# What a field of a document may be.
PLAIN_VALUES: tuple[type[object], ...] = (str, Decimal, dt.date, int)
# Slots that a page with a document offers, so that other modules can add to it.
PAGE_SLOTS = ("document.actions", "document.status", "document.aside")
_FIELD_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_CHANGE = re.compile(r"\s*(INSERT|UPDATE|DELETE|REPLACE|DROP|CREATE|ALTER)\b", re.IGNORECASE)


def installed_modules() -> dict[str, Module]:
    """Return core and every installed module by name."""
    return {loader.CORE.name: loader.CORE, **loader.discover()}


def with_what_it_needs(module: Module) -> list[Module]:
    """Return a module after all that it depends on, core left out."""
    if module.name == loader.CORE.name:
        return []
    installed = loader.discover()
    names: list[str] = [module.name]
    for name in names:
        names += [needed for needed in installed[name].depends if needed not in names]
    return loader.select(installed, tuple(names))


def fail_if(problems: Sequence[str]) -> None:
    """Fail with the sentences, one to a line; a rule that holds has none."""
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


def inside(package: str, name: str) -> bool:
    """Return True when a Python module belongs to a package."""
    return name == package or name.startswith(f"{package}.")


def tables_of(module: Module) -> set[str]:
    """Return the names of the tables that a module's models define."""
    if module.models is None:
        return set()
    resolve(module.models)
    mapped = {
        cast("Table", mapper.local_table).name
        for mapper in Base.registry.mappers
        if inside(module.package, mapper.class_.__module__)
    }
    held: dict[bool, set[str]] = {True: set(), False: set()}
    for name, python_module in list(sys.modules.items()):
        for value in list(vars(python_module).values()):
            if isinstance(value, Table):
                held[inside(module.package, name)].add(value.name)
    # A table that others hold as well was imported, not defined here; that they may import ours from us
    # does no harm, since its prefix is looked at when their turn comes.
    return mapped | (held[True] - held[False])


def rules_of(app: Flask, module: Module) -> list[Rule]:
    """Return the addresses of a module's pages."""
    if module.blueprint is None:
        return []
    name = resolve(module.blueprint).name
    return [
        rule
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith(f"{name}.") and not rule.endpoint.endswith(".static")
    ]


def template_folders(module: Module) -> list[Path]:
    """Return the folders with the templates of a module; core's are those of the shell."""
    if module.name == loader.CORE.name:
        return [shell_folder() / "templates"]
    folder = loader.package_folder(module) / "templates"
    return [folder] if folder.is_dir() else []


def translated_part(module: Module) -> catalogues.Part:
    """Return where the strings and the catalogues of a module are."""
    folder = loader.package_folder(module)
    more = [path for path in template_folders(module) if not path.is_relative_to(folder)]
    return catalogues.part_of_package(module.name, folder, *more)


def accepts(function: Callable[..., Any], *args: object, **keywords: object) -> bool:
    """Return True when a function can be called like this."""
    try:
        inspect.signature(function).bind(*args, **keywords)
    except TypeError:
        return False
    return True


@contextmanager
def changes_of_the_database() -> Iterator[list[str]]:
    """Collect the statements that would change the database."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if _CHANGE.match(statement):
            seen.append(" ".join(statement.split())[:120])

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@pytest.fixture(scope="session")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """Every installed module, with its demonstration data; only read from."""
    app = create_app(test_settings(tmp_path_factory.mktemp("demonstration")), testing=True)
    with app.app_context():
        migrate.upgrade(app)
        migrate.load_demo(app)
        db.session.remove()
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def administrator(demonstration: Flask) -> FlaskClient:
    """A browser in which an administrator of the demonstration, in developer mode, is signed in."""
    with demonstration.app_context():
        user = db.session.scalars(
            select(User).join(User.roles).where(Role.code == "administrator").order_by(User.id)
        ).first()
        assert user is not None, "The demonstration data holds no administrator."
        identity = user.get_id()
        db.session.remove()
    client = demonstration.test_client()
    with client.session_transaction() as session:
        session["_user_id"] = identity
        session["developer"] = True
    return client


def kinds_of(module: Module) -> Sequence[tuple[DocumentKind, DocumentBehavior]]:
    """Return the document kinds of a module with their behavior."""
    return [(kind, cast("DocumentBehavior", resolve(kind.behavior))) for kind in module.document_kinds]


class DeclarationRules:
    """What a declaration promises by itself."""

    def test_the_declaration_is_whole(self, module: Module) -> None:
        """Every dotted path resolves, names carry the prefix, permissions and signals exist."""
        fail_if(loader.check_declarations([loader.CORE, *with_what_it_needs(module)]))

    def test_the_declaration_is_inert(self, module: Module) -> None:
        """It says its title and version, and every setting has a plain default."""
        problems = [
            f"The module {module.name} has no {what}."
            for what, text in (("title", module.title), ("version", module.version))
            if not text.strip()
        ]
        defaults: Mapping[str, object] = module.config_defaults
        problems += [
            f"The setting {key} has the default {default!r}, which is no text and no number."
            for key, default in defaults.items()
            if not isinstance(default, str | int | float) or isinstance(default, bool)
        ]
        fail_if(problems)

    def test_permissions_are_granted_to_known_roles(self, module: Module) -> None:
        """The first day's grants name roles that exist, and a reach that the permission can have."""
        problems = []
        for permission in module.permissions:
            if not permission.scopes or list(permission.scopes) != sorted(
                set(permission.scopes), key=lambda scope: scope.breadth
            ):
                problems.append(
                    f"The permission {permission.name} must list its scopes once, narrowest first."
                )
            for role, scope in permission.granted.items():
                if role not in FIRST_ROLES:
                    problems.append(
                        f"The permission {permission.name} is granted to the unknown role {role}."
                    )
                if scope not in permission.scopes:
                    problems.append(
                        f"The permission {permission.name} is granted to {role} with the reach “{scope}”, "
                        "which it cannot have."
                    )
        fail_if(problems)

    def test_functions_take_what_they_are_given(self, module: Module) -> None:
        """Jobs, receivers, slots, install and demo are functions that can be called as they will be."""
        problems = [
            f"{path} must take the application."
            for path in (module.install, module.demo)
            if path is not None and not accepts(resolve(path), object())
        ]
        for job in module.jobs:
            function = resolve(job.function)
            if not callable(function):
                problems.append(f"The job {job.name} names {job.function}, which cannot be called.")
                continue
            if job.timeout <= 0 or (job.every is not None and job.every <= 0):
                problems.append(f"The job {job.name} needs a timeout and an interval above zero.")
            if job.every is not None and not accepts(function):
                problems.append(
                    f"The job {job.name} is periodic, so {job.function} must work without arguments."
                )
            if any(
                parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty
                for parameter in inspect.signature(function).parameters.values()
            ):
                problems.append(
                    f"The job {job.name} has a keyword argument; the queue carries positions only."
                )
        for receiver in module.receivers:
            keywords = KEYWORDS[receiver.signal]
            if not accepts(resolve(receiver.function), object(), **dict.fromkeys(keywords)):
                problems.append(f"{receiver.function} must take a sender, and {', '.join(keywords)} by name.")
        fail_if(problems)

    def test_slots_exist(self, module: Module) -> None:
        """Fills go into a slot of core or of a module that is there, and take what it gives."""
        hosts = {loader.CORE.name, *(other.name for other in with_what_it_needs(module))}
        problems = []
        for fill in module.slots:
            if fill.slot in SLOTS:
                if not accepts(resolve(fill.function), **dict.fromkeys(SLOTS[fill.slot])):
                    problems.append(f"{fill.function} must take {', '.join(SLOTS[fill.slot]) or 'nothing'}.")
            elif fill.slot.partition(".")[0] not in hosts - {loader.CORE.name}:
                problems.append(f"There is no slot {fill.slot}; core has {', '.join(SLOTS)}.")
        fail_if(problems)

    def test_commands_belong_to_the_module_alone(self, module: Module) -> None:
        """Commands say what they do, hide no other, and the processes are among them."""
        own = _commands(module)
        taken = dict.fromkeys(cli.cli.commands, loader.CORE.name)
        for other in installed_modules().values():
            if other.name != module.name:
                taken |= dict.fromkeys(_commands(other), other.name)
        problems = [f"The command {name} does not say what it does." for name, c in own.items() if not c.help]
        problems += [f"The command {name} is one of {taken[name]} already." for name in own if name in taken]
        problems += [
            f"The process {name} is no command of the module {module.name}."
            for name in module.processes
            if name not in own
        ]
        fail_if(problems)

    def test_tables_carry_the_prefix(self, module: Module) -> None:
        """Every table of the module begins with its name."""
        fail_if(
            [
                f"The table {name} of the module {module.name} must begin with “{module.name}_”."
                for name in sorted(tables_of(module))
                if not name.startswith(f"{module.name}_")
            ]
        )


def _commands(module: Module) -> dict[str, click.Command]:
    if module.cli is None:
        return {}
    found = resolve(module.cli)
    if isinstance(found, click.Command):
        return {found.name or "": found}
    assert isinstance(found, dict), f"{module.cli} must be a click command or a dictionary of them."
    return found


class PageRules:
    """What the pages of a module keep to.

    Attributes:
        untried: Endpoints that the demonstration data has nothing for, and that other tests try.
    """

    untried: ClassVar[frozenset[str]] = frozenset()

    def test_pages_belong_to_the_module(self, module: Module, demonstration: Flask) -> None:
        """The blueprint has the module's name, and addresses begin with it."""
        if module.blueprint is None:
            return  # nothing to keep to
        name = resolve(module.blueprint).name
        problems = [] if name == module.name else [f"The blueprint {name} must be named {module.name}."]
        if module.name not in ADDRESS_PREFIX_NOT_NEEDED:
            prefix = f"/{module.name}"
            problems += [
                f"The address {rule.rule} of {rule.endpoint} must begin with {prefix}/."
                for rule in rules_of(demonstration, module)
                if rule.rule != prefix and not rule.rule.startswith(f"{prefix}/")
            ]
        fail_if(problems)

    def test_every_page_declares_who_may_open_it(self, module: Module, demonstration: Flask) -> None:
        """Every page names a permission that exists, or is public, or for all who are signed in."""
        problems = []
        with demonstration.app_context():
            known = {PUBLIC, SIGNED_IN, *current_registry().permissions}
            for rule in rules_of(demonstration, module):
                permission = declared_permission(rule.endpoint)
                if permission is None:
                    problems.append(f"The page {rule.endpoint} does not declare a permission.")
                elif permission not in known:
                    problems.append(f"The page {rule.endpoint} declares the unknown permission {permission}.")
        fail_if(problems)

    def test_menu_entries_lead_somewhere(self, module: Module, demonstration: Flask) -> None:
        """An entry leads to a page without arguments that whoever sees the entry may open."""
        problems = []
        with demonstration.app_context():
            for item in module.menu:
                rules = [
                    r for r in demonstration.url_map.iter_rules(item.endpoint) if "GET" in (r.methods or ())
                ]
                if not any(not rule.arguments for rule in rules):
                    problems.append(
                        f"The menu entry {item.title} leads to {item.endpoint}, which needs arguments."
                    )
                permission = declared_permission(item.endpoint)
                if permission not in {item.permission, PUBLIC, SIGNED_IN}:
                    problems.append(
                        f"The menu entry {item.title} is shown for {item.permission or 'everybody'}, "
                        f"but its page needs {permission}."
                    )
        fail_if(problems)

    def test_only_post_changes_something(self, module: Module, demonstration: Flask) -> None:
        """A page is asked by GET and changed by POST; a view named by a verb takes POST alone."""
        problems = []
        for rule in rules_of(demonstration, module):
            methods = set(rule.methods or ())
            other = methods - READING_METHODS - {CHANGING_METHOD}
            if other:
                problems.append(f"The page {rule.endpoint} takes {', '.join(sorted(other))}; use POST.")
            verb = rule.endpoint.rpartition(".")[2].split("_")[-1]
            if verb in CHANGING_VERBS and "GET" in methods:
                problems.append(
                    f"The page {rule.endpoint} is named by the verb “{verb}”, so it must take POST only."
                )
        fail_if(problems)

    def test_pages_answer_and_reading_changes_nothing(
        self, module: Module, demonstration: Flask, administrator: FlaskClient
    ) -> None:
        """Every page that can be asked answers an administrator, and asking it writes no row."""
        rules = [rule for rule in rules_of(demonstration, module) if "GET" in (rule.methods or ())]
        if not rules:
            return  # nothing to keep to
        problems = []
        unseen: list[str] = []
        for rule in rules:
            with changes_of_the_database() as changes:
                try:
                    status, address = _ask(demonstration, administrator, rule)
                except Exception as error:  # noqa: BLE001 (in testing mode, whatever a page raises comes here)
                    problems.append(f"The page {rule.endpoint} fails: {type(error).__name__}: {error}")
                    continue
            if status >= 500:
                problems.append(f"The page {rule.endpoint} answers {status} at {address}.")
            if not rule.arguments and status >= 400:
                problems.append(
                    f"The page {rule.endpoint} answers an administrator with {status} at {address}."
                )
            if status == 404:
                unseen.append(rule.endpoint)
            problems += [f"Asking for {address} changes the database: {change}." for change in changes]
        problems += [
            f"The demonstration data has nothing to show on {endpoint}; name it in `untried` if that is meant."
            for endpoint in unseen
            if endpoint not in self.untried
        ]
        fail_if(problems)

    def test_pages_turn_strangers_away(self, module: Module, demonstration: Flask) -> None:
        """Nobody sees a page that is not public without signing in."""
        problems = []
        client = demonstration.test_client()
        for rule in rules_of(demonstration, module):
            with demonstration.app_context():
                if declared_permission(rule.endpoint) == PUBLIC:
                    continue
            if "GET" not in (rule.methods or ()):
                continue
            response = client.get(_address(demonstration, rule, 1))
            if response.status_code not in {302, 401, 403} or (
                response.status_code == 302 and "/sign-in" not in response.headers["Location"]
            ):
                problems.append(f"The page {rule.endpoint} answers a stranger with {response.status_code}.")
        fail_if(problems)


def _address(app: Flask, rule: Rule, number: int) -> str:
    """Return the address of a page, with the number for each whole number and a word for all else."""
    words = {"kind": next(iter(app.extensions["envoi_registry"].kinds), "x")}
    values: dict[str, Any] = {
        name: number if isinstance(rule._converters[name], IntegerConverter) else words.get(name, "x")
        for name in rule.arguments
    }
    with app.test_request_context():
        return url_for(rule.endpoint, **values)


def _ask(app: Flask, client: FlaskClient, rule: Rule) -> tuple[int, str]:
    """Ask for a page with one id after the other until it is found; return its status and address."""
    address, status = "", 0
    for number in TRIED_IDS if rule.arguments else (0,):
        address = _address(app, rule, number)
        status = client.get(address).status_code
        if status != 404:
            break
    return status, address


class TemplateRules:
    """What the templates of a module keep to."""

    def test_templates_stand_in_their_own_folder(self, module: Module) -> None:
        """A template is found by the module's name, so that it hides nobody else's."""
        if module.name == loader.CORE.name:
            return  # core owns the root of the templates
        fail_if(
            [
                f"The template {name} must be in templates/{module.name}/."
                for name in template_rules.template_files(template_folders(module))
                if not name.startswith(f"{module.name}/")
            ]
        )

    def test_no_template_is_unused(self, module: Module) -> None:
        """Each template is rendered, extended, included or imported somewhere in the module."""
        files = template_rules.template_files(template_folders(module))
        # The shell is there for everybody, so everybody's use of it counts.
        users = list(installed_modules().values()) if module.name == loader.CORE.name else [module]
        used: set[str] = set()
        for user in users:
            used |= set(template_rules.strings_of_python(loader.package_folder(user)))
            used |= template_rules.referenced(template_rules.template_files(template_folders(user)).values())
        fail_if([f"Nothing uses the template {name}." for name in files if name not in used])

    def test_pages_hold_no_inline_code(self, module: Module) -> None:
        """No script, style or handler inside a page: the content security policy would block it."""
        fail_if(
            [
                f"The template {name} holds {what}."
                for name, path in _pages(module)
                for what in template_rules.inline_code(path.read_text(encoding="utf-8"))
            ]
        )

    def test_forms_carry_a_token(self, module: Module) -> None:
        """Every form that posts carries the token against forged requests."""
        fail_if(
            [
                f"A form in the template {name} posts without csrf_token."
                for name, path in _pages(module)
                for _ in range(template_rules.forms_without_token(path.read_text(encoding="utf-8")))
            ]
        )

    def test_everything_is_translated(self, module: Module) -> None:
        """Every string in Python and in templates has its translation, and every translation its string."""
        part = translated_part(module)
        if not module.translations:
            strings = catalogues.extract(part)
            fail_if(
                [f"The module {module.name} has no translations, but says {text!r}." for _, text in strings]
            )
            return
        fail_if(
            [
                f"{module.name} ({locale}): {problem}"
                for locale in catalogues.LOCALES
                for problem in catalogues.problems(part, locale)
            ]
        )


def _pages(module: Module) -> list[tuple[str, Path]]:
    files = template_rules.template_files(template_folders(module))
    return [
        (name, path)
        for name, path in files.items()
        if not template_rules.OUTSIDE_THE_BROWSER.intersection(name.split("/")[:-1])
    ]


class MigrationRules:
    """What the migrations of a module keep to."""

    def test_one_line_of_versions(self, module: Module) -> None:
        """One first version that carries the module's name as its branch label, and one last."""
        if not _has_migrations(module):
            return
        script = ScriptDirectory.from_config(migrate.alembic_config(module))
        bases, heads = script.get_bases(), script.get_heads()
        problems = []
        if len(bases) != 1 or len(heads) != 1:
            problems.append(
                f"{module.name} has {len(bases)} first and {len(heads)} last versions, not one of each."
            )
        for base in bases:
            labels = set(script.get_revision(base).branch_labels)
            if module.name not in labels:
                problems.append(f"The first version {base} must have branch_labels = (“{module.name}”,).")
        fail_if(problems)

    @pytest.mark.both_databases
    def test_models_and_migrations_agree(self, module: Module, app: Flask) -> None:
        """Migrated from an empty database, the tables are those of the models."""
        _ = app  # its database was migrated from empty
        if module.models is None:
            return  # nothing to agree with
        assert module.migrations, f"The module {module.name} has models and no migrations."
        assert not migrate.pending(module), f"Not every migration of {module.name} was applied."
        fail_if([f"{module.name}: {difference}" for difference in migrate.differences(module)])

    @pytest.mark.both_databases
    def test_downgrade_leaves_nothing(self, module: Module, app: Flask) -> None:
        """Taken back to before its first version, no table of the module is left; and it can come again."""
        if not _has_migrations(module):
            return
        modules = migrate.migrated_modules()
        after = modules[[other.name for other in modules].index(module.name) :]
        for other in reversed(after):
            try:
                command.downgrade(migrate.alembic_config(other), "base")
            except NotImplementedError as error:
                # Declared, and therefore allowed; whoever wants to go back must restore a backup.
                fail_if(
                    []
                    if str(error)
                    else [f"A migration of {other.name} cannot be undone and does not say why."]
                )
                return
        left = [
            name
            for name in inspect_database(db.engine).get_table_names()
            if migrate.only_tables_of(module)(name, "table", None)
        ]
        fail_if([f"The table {name} is still there after the downgrade of {module.name}." for name in left])
        migrate.upgrade(app)
        fail_if([f"{module.name}: {difference}" for difference in migrate.differences(module)])


def _has_migrations(module: Module) -> bool:
    """Return False for a module without migrations, which then must have no tables."""
    assert module.migrations or not tables_of(module), (
        f"The module {module.name} has tables and no migrations."
    )
    return module.migrations


class DocumentRules:
    """What document kinds keep to."""

    def test_behavior_has_everything(self, module: Module) -> None:
        """A behavior has the attributes and the functions of `DocumentBehavior`."""
        problems = []
        for kind, behavior in kinds_of(module):
            problems += [
                f"The behavior of {kind.name} needs a sequence {name}."
                for name in ("catalogue", "templates")
                if not isinstance(getattr(behavior, name, None), Sequence)
            ]
            for name in ("pdf_html", "fields", "why_not_sendable"):
                function = getattr(behavior, name, None)
                if not callable(function) or not accepts(function, object()):
                    problems.append(f"The behavior of {kind.name} needs a function {name}(document).")
        fail_if(problems)

    def test_fields_have_plain_names(self, module: Module) -> None:
        """Names are dotted words, each once, with a title and a sample of its type; none is a value and a group."""
        problems = []
        for kind, behavior in kinds_of(module):
            names = [field.name for field in behavior.catalogue]
            problems += [
                f"{kind.name} has the field {name} twice." for name in names if names.count(name) > 1
            ]
            for field in behavior.catalogue:
                if not _FIELD_NAME.fullmatch(field.name):
                    problems.append(f"{kind.name}: {field.name} is no name such as customer.name.")
                if not field.title.strip():
                    problems.append(f"{kind.name}: the field {field.name} has no title.")
                if any(name.startswith(f"{field.name}.") for name in names):
                    problems.append(f"{kind.name}: {field.name} is a field and a group of fields.")
                try:
                    field.sample_value()
                except ValueError:
                    problems.append(
                        f"{kind.name}: the sample of {field.name}, {field.sample!r}, is no {field.type}."
                    )
        fail_if(problems)

    def test_shipped_templates_speak_every_language(self, module: Module) -> None:
        """A shipped mail template has a subject and a body in each language, and a name of its own."""
        problems = []
        for kind, behavior in kinds_of(module):
            names = [template.name for template in behavior.templates]
            if len(set(names)) != len(names):
                problems.append(f"{kind.name} ships two mail templates of one name.")
            for template in behavior.templates:
                for language in SUPPORTED_LANGUAGES:
                    subject, body = template.texts.get(language, ("", ""))
                    if not subject.strip() or not body.strip():
                        problems.append(
                            f"{kind.name}: “{template.name}” lacks a subject or body in {language}."
                        )
        fail_if(problems)

    def test_the_page_of_a_document(self, module: Module, demonstration: Flask) -> None:
        """It takes `document_id`, needs the permission that reading needs, and is asked by GET."""
        problems = []
        with demonstration.app_context():
            for kind in module.document_kinds:
                rules = [
                    rule
                    for rule in demonstration.url_map.iter_rules(kind.endpoint)
                    if rule.arguments == {"document_id"} and "GET" in (rule.methods or ())
                ]
                if not rules:
                    problems.append(f"The page {kind.endpoint} of {kind.name} must take document_id, by GET.")
                if declared_permission(kind.endpoint) != kind.read:
                    problems.append(f"The page {kind.endpoint} of {kind.name} must need {kind.read}.")
        fail_if(problems)

    def test_the_page_offers_its_slots(self, module: Module) -> None:
        """Others can add to the page of a document: its actions, its status, panels beside it."""
        if not module.document_kinds:
            return  # no document page to offer them on
        sources = [path.read_text(encoding="utf-8") for _name, path in _pages(module)]
        fail_if(
            [
                f"No template of {module.name} offers the slot {name}."
                for name in PAGE_SLOTS
                if not any(re.search(rf"slot\(\s*['\"]{re.escape(name)}['\"]", source) for source in sources)
            ]
        )

    def test_a_document_says_what_its_catalogue_promises(self, module: Module, demonstration: Flask) -> None:
        """The fields of real documents are those of the catalogue, plain and of their types, in every language."""
        problems = []
        for kind, behavior, document in self._documents(module, demonstration):
            names = [field.name for field in behavior.catalogue]
            for language in SUPPORTED_LANGUAGES:
                with force_locale(language):
                    fields: Mapping[str, object] = behavior.fields(document)
                problems += [f"{kind.name}: the field {n} has no value." for n in names if n not in fields]
                problems += [f"{kind.name}: {n} is not in the catalogue." for n in fields if n not in names]
                problems += [
                    f"{kind.name}: the field {name} is a {type(value).__name__}, not text, number or date."
                    for name, value in fields.items()
                    if not isinstance(value, PLAIN_VALUES)
                ]
                problems += [
                    f"{kind.name}: the field {field.name} is a {field.type}, but not in {document.number}."
                    for field in behavior.catalogue
                    if field.name in fields and not field.fits(fields[field.name])
                ]
        fail_if(list(dict.fromkeys(problems)))

    def test_a_document_becomes_a_pdf(self, module: Module, demonstration: Flask) -> None:
        """One document of each kind can be rendered, and asking whether it can be sent changes nothing."""
        seen: set[str] = set()
        for kind, behavior, document in self._documents(module, demonstration):
            if kind.name in seen:
                continue
            seen.add(kind.name)
            with changes_of_the_database() as changes:
                assert render_document(document).startswith(b"%PDF-")
                behavior.why_not_sendable(document)
            fail_if([f"Rendering a {kind.name} changes the database: {change}." for change in changes])

    def _documents(
        self, module: Module, app: Flask
    ) -> Iterator[tuple[DocumentKind, DocumentBehavior, Document]]:
        """Return the documents of the demonstration, which holds some of every kind."""
        with app.app_context():
            missing = []
            for kind, behavior in kinds_of(module):
                rows = db.session.scalars(select(Document).where(Document.kind == kind.name).limit(20)).all()
                if not rows:
                    missing.append(kind.name)
                for row in rows:
                    yield kind, behavior, row
            db.session.remove()
        assert not missing, f"The demonstration data must hold a document of {', '.join(missing)} to try."


class ModuleConformance(DeclarationRules, PageRules, TemplateRules, MigrationRules, DocumentRules):
    """The whole suite, for one module."""

    module_name: ClassVar[str] = ""

    @pytest.fixture
    def module(self) -> Module:
        """The module that is looked at."""
        installed = installed_modules()
        assert self.module_name in installed, (
            f"The module {self.module_name!r} is not installed. Installed: {', '.join(sorted(installed))}."
        )
        return installed[self.module_name]
