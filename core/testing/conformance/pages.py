"""What the pages of a module keep to."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from flask import Flask, url_for
from flask.testing import FlaskClient
from werkzeug.routing import IntegerConverter, Rule

from core.auth.permissions import PUBLIC, SIGNED_IN, declared_permission
from core.contract import Module
from core.manifest import CORE
from core.registry import current_registry, resolve
from core.testing.conformance.given_names import names_not_given, says_may_be_absent
from core.testing.conformance.house import (
    changes_of_the_database,
    demonstration_fault,
    fail_if,
    rules_of,
    template_folders,
)
from core.testing.conformance.tour import Tour
from core.testing.conformance.view_source import asks_for_the_method, writer_of

# Core owns the root of the site: it has no address, and no folder of templates, of its own name.
ADDRESS_PREFIX_NOT_NEEDED = {CORE.name}
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
            if not rule.arguments and status >= 400 and rule.endpoint not in self.untried:
                problems.append(
                    f"The page {rule.endpoint} answers an administrator with {status} at {address}."
                )
            if status == 404:
                unseen.append(rule.endpoint)
            problems += [f"Asking for {address} changes the database: {change}." for change in changes]
        fault = demonstration_fault(demonstration, module)
        if fault and set(unseen) - self.untried:
            problems.insert(0, fault)
        problems += [
            f"The demonstration data has nothing to show on {endpoint}; name it in `untried` if that is meant."
            for endpoint in unseen
            if endpoint not in self.untried and not fault
        ]
        fail_if(problems)

    def test_reading_changes_nothing_on_any_row(
        self, module: Module, demonstration: Flask, tour: Tour
    ) -> None:
        """Asking by GET writes nothing, whichever row is asked for, and with what the page's own buttons post."""
        rules = rules_of(demonstration, module)
        fail_if(
            [
                sentence
                for found in (tour.writes, tour.failures, tour.refused)
                for rule in rules
                for sentence in list(dict.fromkeys(found.get(rule.endpoint, ())))[:3]
            ]
        )

    def test_pages_show_what_they_are_given(self, module: Module, demonstration: Flask, tour: Tour) -> None:  # noqa: ARG002 (the walk renders the pages)
        """No template reads a name that nobody gives, unless a comment in it speaks of that name.

        Jinja takes such a name for nothing: a column that is shown where there are several companies is gone for good
        once the page has the companies by another name.
        """
        fail_if(
            [
                f"The template {Path(path).name} reads “{name}”, which nobody gives. If it may be absent, let a "
                f"comment in the template speak of it: `{name}`."
                for path, name in sorted(names_not_given(demonstration))
                if any(Path(path).is_relative_to(folder) for folder in template_folders(module))
                and not says_may_be_absent(Path(path).read_text(encoding="utf-8"), name)
            ]
        )

    def test_what_takes_both_asks_which(self, module: Module, demonstration: Flask) -> None:
        """A view that takes GET and POST is a form's: it calls `submit` or looks at the method before it does anything.

        Found in the source, so that an action that was opened to GET is noticed also where no row of the demonstration
        is in a state in which it would do something.
        """
        fail_if(
            [
                f"The page {rule.endpoint} takes GET and POST, but its view asks neither submit(), nor "
                "validate_on_submit(), nor request.method: let it take POST only."
                for rule in rules_of(demonstration, module)
                if {"GET", CHANGING_METHOD} <= set(rule.methods or ())
                and not asks_for_the_method(demonstration.view_functions[rule.endpoint])
            ]
        )

    def test_what_is_only_read_begins_no_transaction(self, module: Module, demonstration: Flask) -> None:
        """A view that takes GET alone comes to no function that begins a transaction, as far as its source tells."""
        fail_if(
            [
                f"The page {rule.endpoint} takes GET, but its view comes to {writer}(), which begins a transaction: "
                "let it take POST only."
                for rule in rules_of(demonstration, module)
                if "GET" in (rule.methods or ())
                and not asks_for_the_method(view := demonstration.view_functions[rule.endpoint])
                and (writer := writer_of(view)) is not None
            ]
        )

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
