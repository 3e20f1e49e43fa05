"""What the templates of a module keep to."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from core.contract import Module
from core.declarations import package_folder
from core.manifest import CORE
from core.testing import catalogues, template_rules
from core.testing.conformance.house import fail_if, installed_modules, template_folders, translated_part


class TemplateRules:
    """What the templates of a module keep to.

    Attributes:
        same_everywhere: Words in templates that are the same in every language: names and units.
    """

    same_everywhere: ClassVar[frozenset[str]] = frozenset()

    def test_templates_stand_in_their_own_folder(self, module: Module) -> None:
        """A template is found by the module's name, so that it hides nobody else's."""
        if module.name == CORE.name:
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
        users = list(installed_modules().values()) if module.name == CORE.name else [module]
        used: set[str] = set()
        for user in users:
            used |= set(template_rules.strings_of_python(package_folder(user)))
            used |= template_rules.referenced(template_rules.template_files(template_folders(user)).values())
        fail_if([f"Nothing uses the template {name}." for name in files if name not in used])

    def test_pages_hold_no_inline_code(self, module: Module) -> None:
        """No script, style or handler inside a page: the content security policy would block it."""
        fail_if(
            [
                f"The template {name} holds {what}."
                for name, path in pages_of(module)
                for what in template_rules.inline_code(path.read_text(encoding="utf-8"))
            ]
        )

    def test_forms_carry_a_token(self, module: Module) -> None:
        """Every form that posts carries the token against forged requests."""
        fail_if(
            [
                f"A form in the template {name} posts without csrf_token."
                for name, path in pages_of(module)
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

    def test_text_is_marked_for_translation(self, module: Module) -> None:
        """What a template says stands in `_(…)`: in pages, PDFs and mails."""
        files = template_rules.template_files(template_folders(module))
        fail_if(
            [
                f"The template {name} says “{words}”, which nobody can translate: write {{{{ _('…') }}}}, or "
                "name the word in `same_everywhere` where it is a name or a unit."
                for name, path in files.items()
                if path.suffix == ".html"
                for words in template_rules.unmarked_text(
                    path.read_text(encoding="utf-8"), {"Envoi", *self.same_everywhere}
                )
            ]
        )

    def test_only_strings_of_the_template_are_translated_as_such(self, module: Module) -> None:
        """What is computed is translated by the filter `translated`, which escapes it and formats nothing."""
        files = template_rules.template_files(template_folders(module))
        fail_if(
            [
                f"The template {name}, line {line}, hands a value to _(): write {{{{ value|translated }}}}."
                for name, path in files.items()
                for line in template_rules.computed_translations(path.read_text(encoding="utf-8"))
            ]
        )

    def test_catalogues_are_compiled(self, module: Module) -> None:
        """What people read is what the catalogues say: a .mo file is neither missing nor older than its .po file."""
        part = translated_part(module)
        found = [(locale, catalogues.stale(part, locale)) for locale in catalogues.LOCALES]
        fail_if([f"{module.name} ({locale}): {sentence}" for locale, sentence in found if sentence])


def pages_of(module: Module) -> list[tuple[str, Path]]:
    """Return the templates of a module that reach a browser, with their names."""
    files = template_rules.template_files(template_folders(module))
    return [
        (name, path)
        for name, path in files.items()
        if not template_rules.OUTSIDE_THE_BROWSER.intersection(name.split("/")[:-1])
    ]
