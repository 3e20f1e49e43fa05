"""Who may sign in, and what they may do."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from flask_login import UserMixin
from sqlalchemy import Column, ForeignKey, Index, String, Table, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core import clock
from core.contract import Scope
from core.db import Base, StrEnumType, UtcDateTime

user_role = Table(
    "core_user_role",
    Base.metadata,
    Column("user_id", ForeignKey("core_user.id", ondelete="CASCADE"), primary_key=True),
    Column("role_id", ForeignKey("core_role.id", ondelete="CASCADE"), primary_key=True),
)

user_company = Table(
    "core_user_company",
    Base.metadata,
    Column("user_id", ForeignKey("core_user.id", ondelete="CASCADE"), primary_key=True),
    Column("company_id", ForeignKey("core_company.id", ondelete="CASCADE"), primary_key=True),
)


class Role(Base):
    """A set of permissions that users are given together."""

    __tablename__ = "core_role"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(40), unique=True)
    """Names the role in `Permission.granted`; set once, so that a role may be renamed."""
    name: Mapped[str] = mapped_column(String(80))
    """As people read it; roles that ship are translated when they are shown."""
    grants: Mapped[list[Grant]] = relationship(
        back_populates="role", cascade="all, delete-orphan", lazy="selectin"
    )


class Grant(Base):
    """One permission of one role, and its reach."""

    __tablename__ = "core_grant"

    role_id: Mapped[int] = mapped_column(ForeignKey("core_role.id", ondelete="CASCADE"), primary_key=True)
    """The role that has it."""
    permission: Mapped[str] = mapped_column(String(80), primary_key=True)
    """`module.what.verb`, as a module declares it; no foreign key, since modules come and go."""
    scope: Mapped[Scope] = mapped_column(StrEnumType(Scope))
    """How far it reaches: own rows, the user's companies, everything."""
    role: Mapped[Role] = relationship(back_populates="grants")


class User(Base, UserMixin):  # type: ignore[misc]
    """Somebody who signs in."""

    __tablename__ = "core_user"

    id: Mapped[int] = mapped_column(primary_key=True)
    login: Mapped[str] = mapped_column(String(254), unique=True)
    """The email address, in lower case; it is also where alerts go."""
    name: Mapped[str] = mapped_column(String(120))
    """As colleagues and customers read it, also as the display name of answers."""
    password_hash: Mapped[str] = mapped_column(String(255))
    """Argon2id with its parameters, so that they can grow; never rendered, never exported. "": none was chosen yet."""
    language: Mapped[str] = mapped_column(String(8), default="en")
    """Of the pages the user sees, an ISO 639-1 code; mails follow the customer's."""
    country: Mapped[str] = mapped_column(String(2), default="", server_default="")
    """ISO 3166-1 alpha-2: where dates and numbers are written as on the user's pages; "" for the company's."""
    timezone: Mapped[str] = mapped_column(String(64), default="Europe/Paris")
    """IANA name in which times are shown; the database keeps UTC."""
    signature_html: Mapped[str] = mapped_column(Text, default="")
    """Clean HTML that mails written by the user end with, or ""."""
    active: Mapped[bool] = mapped_column(default=True)
    """False: cannot sign in. Users are never deleted, since documents and mails name them."""
    company_id: Mapped[int | None] = mapped_column(ForeignKey("core_company.id", ondelete="SET NULL"))
    """The company that the user works for at the moment."""
    if TYPE_CHECKING:
        company_country: str | None
        """Where that company is: loaded with the user, since each page asks; `core.companies.models` knows how."""
    session_key: Mapped[str] = mapped_column(String(43))
    """Changes with the password and at deactivation, and so ends every session."""
    created_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When the account was made."""
    invited_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When they were last sent a link by which to choose their first password; None once they have one."""
    roles: Mapped[list[Role]] = relationship(secondary=user_role, order_by=Role.name)
    """Loaded with whoever is signed in, by `core.auth.service.user_of_session`, and for others when somebody asks: most
    rows that name a user, such as a document its owner, need only the name."""

    @property
    def is_active(self) -> bool:
        """True unless the user was deactivated."""
        return self.active

    @property
    def today(self) -> dt.date:
        """The day that it is where the user is."""
        return clock.day_in(self.timezone)

    @property
    def invited(self) -> bool:
        """True until somebody who was invited has come and chosen a password."""
        return self.invited_at is not None

    def get_id(self) -> str:
        """Return what the session cookie holds."""
        return f"{self.id}:{self.session_key}"

    def scope(self, permission: str) -> Scope | None:
        """Return the widest reach of a permission that any role of the user grants, or None."""
        scopes = [
            grant.scope for role in self.roles for grant in role.grants if grant.permission == permission
        ]
        return max(scopes, key=lambda scope: scope.breadth, default=None)

    def can(self, permission: str) -> bool:
        """Return True when some role grants the permission, however far it reaches."""
        return self.scope(permission) is not None


class SignInAttempt(Base):
    """A failed sign-in, kept for a while to slow down guessing."""

    __tablename__ = "core_sign_in_attempt"
    __table_args__ = (
        Index("ix_core_sign_in_attempt_login_at", "login", "at"),
        Index("ix_core_sign_in_attempt_remote_at", "remote", "at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    login: Mapped[str] = mapped_column(String(254))
    """What was typed, in lower case; nobody need have that login."""
    remote: Mapped[str] = mapped_column(String(64))
    """The address it came from, so that one guesser cannot lock everybody out."""
    at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When it failed; old rows are removed."""


class EndedSession(Base):
    """A session that somebody has ended by signing out, so that a copy of its cookie lets nobody in."""

    __tablename__ = "core_ended_session"
    __table_args__ = (Index("ix_core_ended_session_at", "at"),)

    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of the session's name: whoever reads this table learns no cookie."""
    at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When it was ended; old rows are removed."""


class KnownPermission(Base):
    """A permission that was met once, so that its first grants are not repeated after they were taken away."""

    __tablename__ = "core_known_permission"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    """`module.what.verb`. It stays when the module goes, since the module may come back."""
