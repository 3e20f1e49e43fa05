"""What a declaration promises by itself."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Mapping

import click

from core import cli
from core.auth.service import FIRST_ROLES
from core.contract import Module
from core.declarations import check_declarations
from core.manifest import CORE
from core.registry import resolve
from core.signals import KEYWORDS
from core.testing.conformance.house import accepts, fail_if, installed_modules, tables_of, with_what_it_needs
from core.web.slots import SLOTS


class DeclarationRules:
    """What a declaration promises by itself."""

    def test_the_declaration_is_whole(self, module: Module) -> None:
        """Every dotted path resolves, names carry the prefix, permissions and signals exist."""
        fail_if(check_declarations([CORE, *with_what_it_needs(module)]))

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
        """Jobs, receivers, transports, slots, watches, install and demo can be called as they will be."""
        problems = [
            f"{path} must take the application."
            for path in (module.install, module.demo)
            if path is not None and not accepts(resolve(path), object())
        ]
        problems += [
            f"{path} must take the application and an event."
            for path in module.watches
            if not accepts(resolve(path), object(), threading.Event())
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
        problems += [
            f"{spec.factory} must take a mail server, and timeout by name."
            for spec in module.transports
            if not accepts(resolve(spec.factory), object(), timeout=1.0)
        ]
        fail_if(problems)

    def test_slots_exist(self, module: Module) -> None:
        """Fills go into a slot of core or of a module that is there, and take what it gives."""
        hosts = {CORE.name, *(other.name for other in with_what_it_needs(module))}
        problems = []
        for fill in module.slots:
            if fill.slot in SLOTS:
                if not accepts(resolve(fill.function), **dict.fromkeys(SLOTS[fill.slot])):
                    problems.append(f"{fill.function} must take {', '.join(SLOTS[fill.slot]) or 'nothing'}.")
            elif fill.slot.partition(".")[0] not in hosts - {CORE.name}:
                problems.append(f"There is no slot {fill.slot}; core has {', '.join(SLOTS)}.")
        fail_if(problems)

    def test_commands_belong_to_the_module_alone(self, module: Module) -> None:
        """Commands say what they do, hide no other, and the processes are among them."""
        own = _commands(module)
        taken = dict.fromkeys(cli.cli.commands, CORE.name)
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
