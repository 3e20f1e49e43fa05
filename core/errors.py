"""The errors that Envoi raises on purpose, each with a sentence for a person."""

from __future__ import annotations

from collections.abc import Sequence


class EnvoiError(Exception):
    """The root of every error that Envoi raises on purpose.

    Args:
        message: A sentence for a person; may be a lazily translated string.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return str(self.message)


class UserError(EnvoiError):
    """An action is refused for a reason that the person can mend; its text is shown to them.

    Args:
        message: What is wrong and how to mend it, in the words of the person.
        field: The name of the form field to show it beside, or None for the page.
    """

    def __init__(self, message: object, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class ConcurrentChangeError(UserError):
    """Somebody else changed the record since it was shown."""


class ProblemsError(EnvoiError):
    """Several problems found at once; nothing was done.

    Args:
        problems: One sentence each.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(f"- {problem}" for problem in problems))
        self.problems = tuple(problems)


class ConfigError(ProblemsError):
    """Settings are missing or wrong; every one of them is listed."""


class ModuleError(ProblemsError):
    """Modules cannot be loaded; every reason is listed."""
