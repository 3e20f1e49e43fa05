"""The content-addressed store of files, wherever it is: a folder, the database, or an object storage."""

from core.files.folder import FolderStore, held
from core.files.opening import open_store
from core.files.store import FileMissingError, FileStore, StoreAwayError, StoreError, StoreFullError

__all__ = [
    "FileMissingError",
    "FileStore",
    "FolderStore",
    "StoreAwayError",
    "StoreError",
    "StoreFullError",
    "held",
    "open_store",
]
