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

from typing import ClassVar

import pytest

from core.contract import Module
from core.testing.conformance.declaration import DeclarationRules
from core.testing.conformance.documents import DocumentRules
from core.testing.conformance.house import administrator, demonstration, installed_modules
from core.testing.conformance.migrations import MigrationRules
from core.testing.conformance.pages import PageRules
from core.testing.conformance.reach import ReachRules, leaks
from core.testing.conformance.templates import TemplateRules
from core.testing.conformance.tour import tour

__all__ = ["ModuleConformance", "administrator", "demonstration", "leaks", "tour"]


class ModuleConformance(
    DeclarationRules, PageRules, TemplateRules, MigrationRules, DocumentRules, ReachRules
):
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
