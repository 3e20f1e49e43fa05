"""Every model of core, for migrations."""

from core.auth.models import Grant, KnownPermission, Role, SignInAttempt, User
from core.begin.models import FirstStep
from core.companies.models import Company, Sequence
from core.db.changes import Change
from core.documents.models import Document
from core.files.models import FileStoreMark, StoredChunk, StoredFile
from core.followers.models import Follower
from core.imports.models import Import, ImportRow
from core.installation.models import Installation, OldestProgram
from core.partners.labels import PartnerLabel
from core.partners.lists.models import PartnerList
from core.partners.models import Partner
from core.partners.search_index import PartnerSearch
from core.products.models import Product, Tax

__all__ = [
    "Change",
    "Company",
    "Document",
    "FileStoreMark",
    "FirstStep",
    "Follower",
    "Grant",
    "Import",
    "ImportRow",
    "Installation",
    "KnownPermission",
    "OldestProgram",
    "Partner",
    "PartnerLabel",
    "PartnerList",
    "PartnerSearch",
    "Product",
    "Role",
    "Sequence",
    "SignInAttempt",
    "StoredChunk",
    "StoredFile",
    "Tax",
    "User",
]
