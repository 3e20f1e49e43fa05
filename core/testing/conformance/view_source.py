"""What the source of a view says about it: whether it asks how it was asked, and whether it writes."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from functools import cache
from types import FunctionType, ModuleType
from typing import Any

# What tells a form that was posted from a page that was asked for.
_ASKING = frozenset({"submit", "validate_on_submit", "is_submitted"})
# What every change of the database goes through.
_WRITING = "transaction"


@cache
def _read(function: FunctionType) -> tuple[frozenset[str], bool, frozenset[FunctionType]]:
    """Return the names that a function calls, whether it looks at a method, and its callees in its package and core."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return frozenset(), False, frozenset()
    names: set[str] = set()
    called: set[FunctionType] = set()
    looks = False
    for node in ast.walk(tree):
        looks = looks or (isinstance(node, ast.Attribute) and node.attr == "method")
        if isinstance(node, ast.Call):
            target = node.func
            names.add(target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", ""))
            found = _resolve(target, function.__globals__)
            if isinstance(found, FunctionType) and _package(found) in {_package(function), "core"}:
                called.add(found)
    return frozenset(names), looks, frozenset(called)


def _resolve(target: ast.expr, known: dict[str, Any]) -> object:
    """Return what a call names: a function of the file, or one of a Python module that the file has imported."""
    if isinstance(target, ast.Name):
        return inspect.unwrap(known[target.id]) if callable(known.get(target.id)) else None
    if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
        holder = known.get(target.value.id)
        found = getattr(holder, target.attr, None) if isinstance(holder, ModuleType) else None
        return inspect.unwrap(found) if callable(found) else None
    return None


def _package(function: FunctionType) -> str:
    """Return the package of a module, such as `envoi_toy` or `modules.sales`."""
    return _package_of(function.__module__)


def _package_of(name: str) -> str:
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] == "modules" else parts[0]


def _reached(view: Callable[..., Any]) -> Iterator[FunctionType]:
    """Yield a view and every function of its package and of core that it comes to."""
    function = inspect.unwrap(view)
    todo = [function] if isinstance(function, FunctionType) else []
    seen: set[FunctionType] = set()
    while todo:
        one = todo.pop()
        if one not in seen:
            seen.add(one)
            yield one
            todo += _read(one)[2]


def asks_for_the_method(view: Callable[..., Any]) -> bool:
    """Return True when a view, or what it calls in its package, looks whether something was posted."""
    own = inspect.unwrap(view).__module__
    return any(
        looks or names & _ASKING
        for function in _reached(view)
        if _package(function) == _package_of(own)
        for names, looks, _called in [_read(function)]
    )


def writer_of(view: Callable[..., Any]) -> str | None:
    """Return the name of a function that a view comes to and that begins a transaction, or None."""
    for function in _reached(view):
        if _WRITING in _read(function)[0]:
            return f"{function.__module__}.{function.__name__}"
    return None
