"""Files from one store into another, each proved by its SHA-256; what ended halfway goes on where it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from core.errors import EnvoiError
from core.files.opening import known_mark
from core.files.store import FileMissingError, FileStore

LEFT = "-left"
"""Behind the mark of a store that was left for another."""


@dataclass(slots=True)
class Copied:
    """What a copy has done.

    Attributes:
        there: How many of the files are in the target.
        new: How many of them were not before.
        damaged: Those of the source that are damaged there, and were left out.
    """

    there: int = 0
    new: int = 0
    damaged: list[str] = field(default_factory=list)


def copy_files(source: FileStore, target: FileStore, *, prove: bool = False, anew: bool = False) -> Copied:
    """Copy what a store holds and another does not; what is erased meanwhile is left out.

    Args:
        source: The one.
        target: The other.
        prove: True to read each file again where it has arrived, even where it was before.
        anew: True to read each file of the source, whatever the target has, so that damage there is noticed.

    Raises:
        StoreError: One of both cannot be reached, or takes nothing.
    """
    copied = Copied()
    for folder in source.folders():
        arrived = {name for name, sound in target.names(folder) if sound}
        for sha256 in [name for name, sound in source.names(folder) if sound]:
            if not anew and sha256 in arrived and (not prove or _is_sound(target, sha256)):
                copied.there += 1
                continue
            try:
                data = source.get(sha256)
            except FileMissingError:
                if sha256 in {name for name, _sound in source.names(folder)}:
                    copied.damaged.append(sha256)
                continue
            target.put(data)
            if prove and not _is_sound(target, sha256):
                raise EnvoiError(f"The file {sha256} has not arrived in {target.name} as it was.")
            copied.there += 1
            copied.new += 1
    return copied


def _is_sound(store: FileStore, sha256: str) -> bool:
    try:
        store.get(sha256)
    except FileMissingError:
        return False
    return True


def move_files(source: FileStore, target: FileStore, told: Callable[[str], object]) -> Copied:
    """Move the store of an installation while everything runs; ended halfway, it is called again.

    Whoever still has the old store reads from it, and waits before writing: what is written would be left behind.

    Args:
        source: The store that the installation has.
        target: The other one.
        told: Is told in a sentence what happens.

    Raises:
        EnvoiError: The source is not the store of the installation, or a file is damaged; the store is then as it was.
        StoreError: One of both cannot be reached, or takes nothing.
    """
    mark = known_mark()
    if source.name == target.name:
        raise EnvoiError("Both are the same store.")
    if not mark or not (source.has_mark(mark) or source.has_mark(mark + LEFT)):
        raise EnvoiError(f"{source.name} is not the file store of this installation.")
    first = copy_files(source, target, prove=True)
    if first.damaged:
        raise EnvoiError(
            f"These files are damaged in {source.name}: {', '.join(first.damaged)}. Put them there from a backup, or "
            "remove them."
        )
    told(f"{first.there} files are in {target.name}, each as it was; {first.new} were not before.")
    source.set_mark(mark + LEFT)
    source.clear_mark(mark)
    # What came while the others were copied; nothing comes any more.
    second = copy_files(source, target)
    for sha256 in second.damaged:
        told(f"The file {sha256} is damaged.")
    target.set_mark(mark)
    target.clear_mark(mark + LEFT)
    return Copied(second.there, first.new + second.new, second.damaged)


def clear_left(store: FileStore) -> int:
    """Remove the files of a store that was left for another, and return how many they were.

    Raises:
        EnvoiError: It was not left.
        StoreError: It cannot be reached.
    """
    mark = known_mark()
    if not mark or store.has_mark(mark) or not store.has_mark(mark + LEFT):
        raise EnvoiError(f"{store.name} is not a store that was left by `envoi files move`.")
    gone = 0
    for folder in store.folders():
        for name, sound in list(store.names(folder)):
            if sound:
                gone += store.remove(name)
            else:
                store.discard_leftover(folder, name)
    store.clear_mark(mark + LEFT)
    return gone
