"""What a module declares about itself.

Everything here is inert: dotted paths instead of functions and classes, so that listing modules imports
no model. `core.loader` checks the declarations and resolves the paths; `core.testing.conformance` holds
the promises that every module, ours or a third party's, must keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Scope(StrEnum):
    """How far a permission reaches."""

    OWN = "own"  # what the user owns or is responsible for
    COMPANY = "company"  # what belongs to a company of the user's
    ALL = "all"  # everything, whichever company it belongs to

    @property
    def breadth(self) -> int:
        """A number that grows with the reach."""
        return ("own", "company", "all").index(self.value)


@dataclass(frozen=True, slots=True)
class Permission:
    """Something that a role may be allowed to do.

    Attributes:
        name: `<module>.<what>.<verb>`, for example `sales.document.edit`.
        title: English sentence part, marked with `N_`.
        scopes: The reaches that a role can be given, narrowest first.
        granted: Roles of the first day (by code) and their reach; changed by administrators later.
    """

    name: str
    title: str
    scopes: tuple[Scope, ...] = (Scope.ALL,)
    granted: Mapping[str, Scope] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MenuItem:
    """An entry of the menu.

    Attributes:
        title: English, marked with `N_`.
        endpoint: The Flask endpoint it leads to.
        permission: Who sees it; None for every signed-in user.
        section: The menu it belongs to: a module's own title, or `Configuration`.
        order: Position, ascending.
        technical: Shown in developer mode only, under Configuration › Technical.
        shown: Dotted path of a function that says whether there is anything behind it yet; None for always. It is asked
            for each page, so it must be quick.
    """

    title: str
    endpoint: str
    permission: str | None
    section: str
    order: int = 100
    technical: bool = False
    shown: str | None = None


@dataclass(frozen=True, slots=True)
class DocumentKind:
    """A kind of document that can be followed, printed and sent.

    Attributes:
        name: `<module>.<kind>`, for example `sales.invoice`.
        title: English, marked with `N_`, for example "Invoice".
        endpoint: Shows one document; takes `document_id`.
        read: Permission that reading it needs.
        behavior: Dotted path of a `core.documents.behavior.DocumentBehavior`.
        billed: True where the billing contacts of the customer get it in place of the customer, where it has any.
    """

    name: str
    title: str
    endpoint: str
    read: str
    behavior: str
    billed: bool = False


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job that the worker runs.

    Attributes:
        name: `<module>.<verb>`, the only thing the queue carries beside plain arguments.
        function: Dotted path `package.module:function`.
        timeout: Seconds after which a run is ended.
        every: Seconds between two runs by the queue's scheduler; None for jobs that are asked for.
        without_worker: True where the scheduler runs a periodic job itself while no worker is alive.
    """

    name: str
    function: str
    timeout: int = 600
    every: int | None = None
    without_worker: bool = False


@dataclass(frozen=True, slots=True)
class SlotFill:
    """A piece of a page that a module puts into a slot of another.

    Attributes:
        slot: Name of the slot, see `core.web.slots`.
        function: Dotted path of a function that takes the slot's keywords and returns Markup.
        order: Position among the fills of the slot, ascending.
    """

    slot: str
    function: str
    order: int = 100


@dataclass(frozen=True, slots=True)
class SelectableList:
    """A list whose rows can be selected, taken away as a table, and acted upon together.

    Attributes:
        name: The endpoint of its page, for example `sales.invoices`.
        title: English, marked with `N_`.
        permission: That of its page.
        source: Dotted path of a function that takes the user and returns a `core.selection.ListSource`.
        of: What its rows are: `document` for rows of `core_document`, `partner` for customers, `mail` for emails.
    """

    name: str
    title: str
    permission: str
    source: str
    of: str = "document"


@dataclass(frozen=True, slots=True)
class DocumentFilter:
    """A filter that is offered above every list of documents, whoever's kind they are.

    Attributes:
        name: `<module>.<what>`, for example `outbox.failed`; it stands in the address of the page.
        title: English, marked with `N_`.
        condition: Dotted path of a function without arguments that returns the condition on
            `core.documents.models.Document`. It is asked of one document after the other, so it must be quick.
        permission: What somebody needs to use it; None for whoever reads the list.
        group: Filters of one group are joined by OR, groups by AND.
        order: Position among the filters, ascending.
        among: Dotted path of a function that returns a statement of the ids of documents, by an index, all that
            the condition keeps among them: where those are few, a list begins there. "" where there is none.
    """

    name: str
    title: str
    condition: str
    permission: str | None = None
    group: str = ""
    order: int = 100
    among: str = ""


@dataclass(frozen=True, slots=True)
class PartnerCriterion:
    """A criterion by which customers are added to a list of recipients, or taken from it.

    Attributes:
        name: `<module>.<what>`, for example `sales.bought`; saved lists keep it.
        title: English, marked with `N_`, for example "Has bought".
        criterion: Dotted path of a `core.partners.lists.criteria.Criterion`.
        permission: What somebody needs to ask by it; None for whoever reads customers.
        order: Position among the criteria, ascending.
    """

    name: str
    title: str
    criterion: str
    permission: str | None = None
    order: int = 100


@dataclass(frozen=True, slots=True)
class TransportSpec:
    """A kind of mail server: how mails are handed over to it.

    Attributes:
        name: `<module>.<what>`, for example `mail_config.smtp`; servers keep it.
        title: English, marked with `N_`, for example "SMTP".
        factory: Dotted path of a function that takes a `modules.mail_config.models.MailServer` and `timeout`, in
            seconds for each answer, and returns a `modules.mail_config.transports.base.Transport`.
        fields: What its form asks beside what every server has: columns of the server, or `password`, each with its
            title, English and marked with `N_`; "" for the usual one.
        host: The host of its provider, where nobody types one: what is known of that provider goes by it.
        order: Position among the kinds, ascending.
        shown: Dotted path of a function that says whether it is offered for new servers; None for always.
        personal: True where a user may have an own server of this kind, and not only the house.
    """

    name: str
    title: str
    factory: str
    fields: Mapping[str, str] = field(default_factory=dict)
    host: str = ""
    order: int = 100
    shown: str | None = None
    personal: bool = False


@dataclass(frozen=True, slots=True)
class Receiver:
    """A function that is called when a signal of `core.signals` is sent.

    Attributes:
        signal: The name of the variable in `core.signals`.
        function: Dotted path `package.module:function`.
    """

    signal: str
    function: str


@dataclass(frozen=True, slots=True)
class Module:
    """The declaration of a module; its package exposes exactly one, named `module`.

    Attributes:
        name: Identifier; prefix of tables, URLs, permissions, kinds and jobs.
        version: Version of the module.
        title: English, marked with `N_`.
        package: The import package, for example `modules.sales`.
        depends: Names of modules that must be enabled as well; loaded before.
        models: Dotted path of the module with the models, or None.
        blueprint: Dotted path `package.module:blueprint`, or None.
        menu: Entries of the menu.
        document_kinds: Kinds of documents it brings.
        permissions: Permissions it brings.
        jobs: Jobs it brings.
        receivers: Signals it listens to.
        install: Dotted path of a function of the application that inserts the rows the module needs from its
            first day. Called after every migration, in the order of loading; it must be idempotent, and must
            not change rows that a person may have edited.
        demo: Dotted path of a function of the application that inserts demonstration data; called once, on an
            empty database, in the order of loading.
        slots: Pieces it puts into the pages of others.
        lists: Lists of documents or customers whose rows can be selected.
        document_filters: Filters above every list of documents.
        criteria: Criteria by which customers are put on lists of recipients.
        transports: Kinds of mail servers it brings; such a module depends on `mail_config`.
        cli: Dotted path of a click command, or of a dictionary of commands by name, or None.
        processes: Names of commands that `envoi up` keeps running.
        watches: Dotted paths of functions of the application and a `threading.Event`, that wait for something outside
            and have a job come sooner. The scheduler runs each in a thread; it returns once the event is set, and is
            called again after whatever it raises.
        scripts: Files of the package's folder `static` that every page loads as ES modules, in this order.
        styles: Style sheets of the folder `static` that every page loads, after the shell's.
        migrations: True when the package has a folder `migrations` of Alembic versions.
        translations: True when the package has a folder `translations`.
        shared: What shows the same rows to the people of every company, each with the reason: endpoints, or
            permissions whose only reach is `all` for all of their pages. The conformance suite lets a user of another
            company find nothing anywhere else.
        config_defaults: Settings with their defaults; `ENVOI_<KEY>` overrides. Keys carry the prefix; the type
            of the default is the type of the setting. Numbers are greater than 0, unless the default is 0.
        config_check: Dotted path of a function that takes the settings of the module, in their types, and returns a
            sentence for each that makes no sense; called at start, so that nothing finds out later.
        changes: Dotted path of a `core.live.changes.ChangeSource`: a table that tells what has changed, so that open
            pages show it at once; or of a dictionary of several, by names such as `toy` and `toy.news`; or None.
        states: Dotted path of a dictionary of `core.live.states.States`, by names such as `toy.voucher`: what is worked
            on and says how far it is, so that open pages follow it; or None.
    """

    name: str
    version: str
    title: str
    package: str
    depends: tuple[str, ...] = ()
    models: str | None = None
    blueprint: str | None = None
    menu: tuple[MenuItem, ...] = ()
    document_kinds: tuple[DocumentKind, ...] = ()
    permissions: tuple[Permission, ...] = ()
    jobs: tuple[JobSpec, ...] = ()
    receivers: tuple[Receiver, ...] = ()
    install: str | None = None
    demo: str | None = None
    slots: tuple[SlotFill, ...] = ()
    lists: tuple[SelectableList, ...] = ()
    document_filters: tuple[DocumentFilter, ...] = ()
    criteria: tuple[PartnerCriterion, ...] = ()
    transports: tuple[TransportSpec, ...] = ()
    cli: str | None = None
    processes: tuple[str, ...] = ()
    watches: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()
    migrations: bool = True
    translations: bool = True
    shared: Mapping[str, str] = field(default_factory=dict)
    config_defaults: Mapping[str, str | int | float] = field(default_factory=dict)
    config_check: str | None = None
    changes: str | None = None
    states: str | None = None
