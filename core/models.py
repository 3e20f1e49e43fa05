"""Every model of core, for migrations."""

from core.auth.models import Grant, KnownPermission, Role, SignInAttempt, User
from core.companies.models import Company, Sequence
from core.db.changes import Change
from core.documents.models import Document
from core.followers.models import Follower
from core.installation.models import Installation, OldestProgram
from core.partners.imports.models import ImportRow, PartnerImport
from core.partners.labels import PartnerLabel
from core.partners.lists.models import PartnerList
from core.partners.models import Partner
from core.products.models import Product, Tax

__all__ = [
    "Change",
    "Company",
    "Document",
    "Follower",
    "Grant",
    "ImportRow",
    "Installation",
    "KnownPermission",
    "OldestProgram",
    "Partner",
    "PartnerImport",
    "PartnerLabel",
    "PartnerList",
    "Product",
    "Role",
    "Sequence",
    "SignInAttempt",
    "Tax",
    "User",
]
