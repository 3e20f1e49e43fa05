"""Files in an object storage that speaks the protocol of Amazon S3.

An object is `ab/<SHA-256>/<moment>-<nonce>`. To touch a file is to copy it to a new name, and to remove it is to remove
the names that were found: who touches and who removes at the same moment cannot take the file from each other, although
the protocol knows neither locks nor conditions that every storage would keep. Reading lists the names first, and
begins anew where one has gone meanwhile.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from core import clock
from core.file_place import FilePlace
from core.files.store import FileStore, away, is_hash

_TRIES = 5
_MARK_SECONDS = 10.0
"""For so long it is not asked again whether the store bears its mark."""


@dataclass(frozen=True, slots=True)
class Access:
    """What an object storage wants to know; without a key, what the host itself is allowed counts.

    Attributes:
        region: Where it is; storages of one's own mostly take any.
        key: Names who asks.
        secret: Proves it.
    """

    region: str = "us-east-1"
    key: str = ""
    secret: str = ""


class ObjectStore(FileStore):
    """Files in a bucket.

    Args:
        place: The bucket.
        access: How it is asked.
        mark: See `FileStore`.
    """

    def __init__(self, place: FilePlace, access: Access, mark: Callable[[], str] | None = None) -> None:
        super().__init__(mark)
        self._place, self._seen_mark = place, ("", 0.0)
        keys = {"access_key_id": access.key, "secret_access_key": access.secret} if access.key else {}
        self._store = S3Store(
            place.bucket,
            prefix=place.prefix or None,
            endpoint=place.endpoint,
            region=access.region,
            # The bucket in the path: storages of one's own have no name in the DNS for each.
            virtual_hosted_style_request=False,
            client_options={"allow_http": True, "connect_timeout": "3s", "timeout": "60s"},
            # A page waits for it; a mail is tried again by itself.
            retry_config={"max_retries": 2, "retry_timeout": dt.timedelta(seconds=8)},
            **keys,  # type: ignore[arg-type]
        )

    @property
    def name(self) -> str:
        """The address of the bucket."""
        return str(self._place)

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        """Tell in a sentence what the storage or the network says; a file that is not there is told as such."""
        try:
            yield
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise away(self.name, "there is no such bucket") from error
            raise
        except (BaseError, OSError) as error:
            raise away(self.name, _why(error)) from error

    def _names(self, sha256: str) -> list[str]:
        """Return the names under which a file lies, the one that was touched last at the end."""
        return self._list(f"{sha256[:2]}/{sha256}")

    def _list(self, folder: str) -> list[str]:
        with self._asking():
            return sorted(str(one["path"]) for page in obstore.list(self._store, folder) for one in page)

    def _delete(self, names: Sequence[str]) -> None:
        if names:
            with self._asking(), contextlib.suppress(FileNotFoundError):
                obstore.delete(self._store, names)

    def _write(self, sha256: str, data: bytes) -> None:
        # Always written: what is damaged is mended by it, and reading costs as much.
        name = _new_name(sha256)
        try:
            with self._asking():
                # In one request, so that it is there whole or not at all.
                obstore.put(self._store, name, data, use_multipart=False)
        except FileNotFoundError as error:
            raise away(self.name, "it does not take files") from error
        self._delete([other for other in self._names(sha256) if other < name])

    def _read(self, sha256: str) -> bytes | None:
        for _ in range(_TRIES):
            names = self._names(sha256)
            if not names:
                return None
            with contextlib.suppress(FileNotFoundError), self._asking():
                return bytes(obstore.get(self._store, names[-1]).bytes())
        return None

    def _touch(self, sha256: str) -> bool:
        for _ in range(_TRIES):
            names = self._names(sha256)
            if not names:
                return False
            name = _new_name(sha256)
            with contextlib.suppress(FileNotFoundError), self._asking():
                obstore.copy(self._store, names[-1], name)
                self._delete([other for other in names if other < name])
                return True
        return False

    def _remove(self, sha256: str, unless_touched_after: dt.datetime | None) -> bool:
        names = self._names(sha256)
        if names and unless_touched_after and _moment(names[-1]) > unless_touched_after.timestamp():
            return False
        self._delete(names)
        return True

    def names(self, folder: str, *, untouched_for: float | None = None) -> Iterator[tuple[str, bool]]:
        """Return what lies in a folder; see `FileStore.names`."""
        latest = None if untouched_for is None else clock.now().timestamp() - untouched_for
        last = {sha256: name for name in self._list(folder) if is_hash(sha256 := name.split("/")[-2])}
        return ((one, True) for one, name in last.items() if latest is None or _moment(name) <= latest)

    def has_mark(self, mark: str) -> bool:
        """Return True when the bucket bears a mark; see `FileStore.has_mark`."""
        seen, at = self._seen_mark
        if seen == mark and time.monotonic() - at < _MARK_SECONDS:
            return True
        try:
            with self._asking():
                obstore.head(self._store, f"store/{mark}")
        except FileNotFoundError:
            return False
        self._seen_mark = mark, time.monotonic()
        return True

    def set_mark(self, mark: str) -> None:
        """Let the bucket bear a mark; see `FileStore.set_mark`."""
        try:
            with self._asking():
                obstore.put(self._store, f"store/{mark}", b"", use_multipart=False)
        except FileNotFoundError as error:
            raise away(self.name, "it does not take files") from error

    def clear_mark(self, mark: str) -> None:
        """Take a mark from the bucket; see `FileStore.clear_mark`."""
        self._seen_mark = ("", 0.0)
        self._delete([f"store/{mark}"])


def _new_name(sha256: str) -> str:
    # Of the same length for a long time, so that names sort by their moment.
    moment = int(clock.now().timestamp() * 1_000_000)
    return f"{sha256[:2]}/{sha256}/{moment:017d}-{secrets.token_hex(4)}"


def _moment(name: str) -> float:
    stamp = name.rpartition("/")[2].partition("-")[0]
    return int(stamp) / 1_000_000 if stamp.isdigit() else 0.0


def _why(error: Exception) -> str:
    """Return the first words of an error, which are about the request; what follows is for who writes the library."""
    words = str(error).partition("\n")[0]
    for code in ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "NoSuchBucket"):
        if code in str(error):
            return code
    return words.rpartition("HTTP error: ")[2][:200]
