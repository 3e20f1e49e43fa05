"""Problems of a template as its page shows them: with the piece of text around each."""

from __future__ import annotations

import re
from dataclasses import dataclass

from modules.mail_config.template_language.problems import Problem

_CONTEXT = 40  # characters shown before and after a problem
_CONTEXT_MARKUP = re.compile(r"(?:<[^<>]*>?|\s)+")


@dataclass(slots=True)
class ShownProblem:
    """A problem with the piece of text around it, divided where the problem is."""

    message: str
    line: int = 0
    before: str = ""
    marked: str = ""
    after: str = ""


def located(problem: Problem, source: str) -> ShownProblem:
    """Return a problem with what stands around the formula that is meant."""
    shown = ShownProblem(problem.message, problem.line, marked=problem.excerpt)
    lines = source.splitlines()
    if problem.excerpt and 0 < problem.line <= len(lines):
        line = lines[problem.line - 1]
        at = line.rfind(problem.excerpt, 0, max(0, problem.column - 1) + len(problem.excerpt))
        if at >= 0:
            shown.before = _CONTEXT_MARKUP.sub(" ", line[:at])[-_CONTEXT:]
            shown.after = _CONTEXT_MARKUP.sub(" ", line[at + len(problem.excerpt) :])[:_CONTEXT]
    return shown
