"""The configuration of mail: servers, transports, templates."""

from core.contract import JobSpec, MenuItem, Module, Permission, Receiver, Scope, SlotFill, TransportSpec
from core.i18n import N_

module = Module(
    name="mail_config",
    version="0.1.0",
    title=N_("Email configuration"),
    package="modules.mail_config",
    models="modules.mail_config.models",
    blueprint="modules.mail_config.views:blueprint",
    menu=(
        MenuItem(
            N_("Email templates"),
            "mail_config.templates",
            "mail_config.template.edit",
            N_("Configuration"),
            40,
        ),
        MenuItem(
            N_("Mail servers"),
            "mail_config.servers",
            "mail_config.server.edit",
            N_("Configuration"),
            50,
            technical=True,
        ),
        MenuItem(
            N_("Senders"),
            "mail_config.senders",
            "mail_config.server.edit",
            N_("Configuration"),
            52,
            technical=True,
        ),
    ),
    permissions=(
        Permission(
            "mail_config.server.edit",
            N_("Set up and test mail servers"),
            granted={"administrator": Scope.ALL},
        ),
        Permission(
            "mail_config.sender.own",
            N_("Send from an own address, and by an own mail server"),
            scopes=(Scope.OWN,),
            granted=dict.fromkeys(("salesperson", "cashier", "support", "administrator"), Scope.OWN),
        ),
        Permission(
            "mail_config.template.edit", N_("Edit email templates"), granted={"administrator": Scope.ALL}
        ),
        Permission(
            "mail_config.template.add",
            N_("Save the text of an email as a new template"),
            granted={"salesperson": Scope.ALL, "administrator": Scope.ALL},
        ),
    ),
    jobs=(
        JobSpec(
            "mail_config.probe_servers",
            "modules.mail_config.servers.jobs:probe_servers",
            timeout=600,
            every=20,
        ),
    ),
    transports=(
        TransportSpec(
            "mail_config.smtp",
            N_("SMTP"),
            "modules.mail_config.servers.access:open_smtp",
            dict.fromkeys(
                (
                    *("host", "port", "encryption", "username", "password"),
                    *("ca_certificate", "bounce_address", "bounce_tokens", "sent_copy", "signs_itself"),
                ),
                "",
            ),
            order=10,
            personal=True,
        ),
        TransportSpec(
            "mail_config.sendgrid",
            N_("SendGrid"),
            "modules.mail_config.servers.relays:open_sendgrid",
            {"password": N_("API key")},
            "api.sendgrid.com",
            20,
            personal=True,
        ),
        TransportSpec(
            "mail_config.postmark",
            N_("Postmark"),
            "modules.mail_config.servers.relays:open_postmark",
            {"password": N_("Server API token")},
            "api.postmarkapp.com",
            30,
            personal=True,
        ),
        TransportSpec(
            "mail_config.drop",
            N_("Folder"),
            "modules.mail_config.servers.drop:open_drop",
            dict.fromkeys(("bounce_address", "bounce_tokens", "signs_itself"), ""),
            order=40,
            shown="modules.mail_config.servers.drop:offered",
        ),
        TransportSpec(
            "mail_config.capture",
            N_("Capture: keep here, send to nobody"),
            "modules.mail_config.servers.access:open_capture",
            order=50,
        ),
        # Their servers come of an account that somebody connects.
        TransportSpec(
            "mail_config.gmail",
            N_("Gmail, without SMTP"),
            "modules.mail_config.servers.access:open_account_api",
            order=20,
            shown="modules.mail_config.servers.connecting:chosen_by_hand",
        ),
        TransportSpec(
            "mail_config.graph",
            N_("Microsoft 365, without SMTP"),
            "modules.mail_config.servers.access:open_account_api",
            order=21,
            shown="modules.mail_config.servers.connecting:chosen_by_hand",
        ),
    ),
    receivers=(
        Receiver("mail_templates_asked", "modules.mail_config.mail_templates.selection:choices_for"),
        Receiver("check_asked", "modules.mail_config.servers.playground:in_production"),
        Receiver("first_steps_asked", "modules.mail_config.servers.first_step:steps"),
        Receiver("check_asked", "modules.mail_config.mail_templates.unusable:unusable"),
        Receiver("metrics_asked", "modules.mail_config.servers.figures:metrics"),
    ),
    slots=(SlotFill("shell.user", "modules.mail_config.senders.views.mine:menu_entry"),),
    install="modules.mail_config.mail_templates.shipped:install",
    demo="modules.mail_config.mail_templates.shipped:demo",
    cli="modules.mail_config.cli:commands",
    config_defaults={
        # 1: servers may be this machine itself. Else whoever sets one up could speak to what only listens here.
        "MAIL_CONFIG_ALLOW_LOCAL_SERVERS": 0,
        # A file with certificates in PEM: authorities of the house, trusted beside those of the system.
        "MAIL_CONFIG_CA_FILE": "",
        # How this machine calls itself to mail servers; "" for the name that it has.
        "MAIL_CONFIG_EHLO_NAME": "",
        # Whom to ask about the DNS, addresses or address:port, separated by blanks; "" for what the system asks,
        # "none" for nobody.
        "MAIL_CONFIG_DNS_SERVERS": "",
        # Where to ask about a domain: https addresses or paths, with {domain}; "" to ask nobody.
        "MAIL_CONFIG_AUTOCONFIG": "",
        # Where relays by HTTP are spoken to: another region, or a sandbox.
        "MAIL_CONFIG_SENDGRID_BASE_URL": "https://api.sendgrid.com",
        "MAIL_CONFIG_POSTMARK_BASE_URL": "https://api.postmarkapp.com",
        # Who this installation is at Google and Microsoft; "" where an administrator says it on a page.
        "MAIL_CONFIG_GOOGLE_CLIENT_ID": "",
        "MAIL_CONFIG_GOOGLE_CLIENT_SECRET": "",
        "MAIL_CONFIG_MICROSOFT_CLIENT_ID": "",
        "MAIL_CONFIG_MICROSOFT_CLIENT_SECRET": "",
        "MAIL_CONFIG_MICROSOFT_TENANT": "",
        # Another place that speaks for the provider, to try things out; https, or http on this machine itself.
        "MAIL_CONFIG_GOOGLE_BASE_URL": "",
        "MAIL_CONFIG_MICROSOFT_BASE_URL": "",
        # Another server for its mails, `smtps://host:465` or `smtp://host:587` (STARTTLS).
        "MAIL_CONFIG_GOOGLE_SMTP_URL": "",
        "MAIL_CONFIG_MICROSOFT_SMTP_URL": "",
        # Another server for its mailboxes, `imaps://host:993` or `imap://host:143` (STARTTLS).
        "MAIL_CONFIG_GOOGLE_IMAP_URL": "",
        "MAIL_CONFIG_MICROSOFT_IMAP_URL": "",
        # An absolute path: servers may drop mails there as .eml files. "": that kind of server is not offered.
        "MAIL_CONFIG_DROP_FOLDER": "",
    },
    config_check="modules.mail_config.servers.settings:problems_of_settings",
    shared={
        "mail_config.server.edit": "Administrators set up the mail servers of every company.",
        "mail_config.template.edit": "Administrators edit the templates of every company.",
    },
)
