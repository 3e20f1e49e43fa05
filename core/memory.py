"""How a process that goes on running asks for memory, and looks for what it may give back."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

_M_ARENA_MAX = -8
"""How many heaps a process has, by the number that glibc's `mallopt` knows it by."""

_YOUNG = 5000
"""So many new objects there are before Python looks for circles among them; by itself it does so from 700 on.

A request or a mail makes thousands, nearly all of which end with it and without that."""


def allocate_from_one_heap() -> None:
    """Let the threads of a process share one heap where the C library is glibc.

    It would give each thread its own, which saves waiting that Python's lock has done already, and keep what each has
    needed at some time: 20 MB of a worker with its lanes, 10 of the web server.
    """
    with suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def load_undisturbed() -> None:
    """Let the garbage collector wait for `keep_what_is_loaded`: it looks in vain at what is being loaded.

    That takes a fifth of the time in which a command is ready.
    """
    gc.disable()


def keep_what_is_loaded() -> None:
    """Let the garbage collector leave in peace what there is now, which lasts as long as the process.

    It would look at every module, model and form over and over: a fourth of what a mail costs. And what it leaves in
    peace stays shared between the processes that are forked afterwards.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 20)
    gc.enable()
