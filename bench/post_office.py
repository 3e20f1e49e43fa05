"""django-post_office at the same work: its own queue in the database, its own command that drains it.

It runs as its documentation says: mails with a ready PDF written by `mail.send`, then `send_queued_mail` until
nothing is left. Its promises are fewer: a crash sends a batch again, and a refused recipient is called sent.
"""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.db import transaction

from bench.pdfs import own_pdf

HTML = "<p>Hello,</p><p>please find your <strong>document</strong> attached.</p>"
TEXT = "Hello,\n\nplease find your document attached.\n"


def database(folder: Path, url: str) -> dict[str, object]:
    """Return the settings of a database with the same durability as Envoi's."""
    if not url:
        pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(folder / "post_office.db"),
            "OPTIONS": {"init_command": pragmas, "transaction_mode": "IMMEDIATE", "timeout": 60},
        }
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": parts.username,
        "PASSWORD": parts.password or "",
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
    }


def configure(folder: Path, database_url: str, port: int, tuning: dict[str, int]) -> None:
    """Set Django up with a database and the sink; everything else as post_office comes, but for the tuning."""
    settings.configure(
        INSTALLED_APPS=["django.contrib.contenttypes", "post_office"],
        DATABASES={"default": database(folder, database_url)},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        EMAIL_BACKEND="post_office.EmailBackend",
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=port,
        POST_OFFICE=tuning,
        MEDIA_ROOT=str(folder / "media"),
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        USE_TZ=True,
        LOGGING={
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"errors": {"class": "logging.StreamHandler", "level": "WARNING"}},
            "loggers": {"post_office": {"handlers": ["errors"], "level": "WARNING"}},
        },
    )
    django.setup()


def submit(count: int, pdf: Path) -> None:
    """Create the tables and write the mails, each with a PDF of its own, as documents have."""
    from post_office import mail  # noqa: PLC0415 (needs the settings)
    from post_office.models import Attachment  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    with transaction.atomic():
        for number in range(count):
            attachment = Attachment(name="document.pdf", mimetype="application/pdf")
            own = own_pdf(pdf.read_bytes(), number)
            attachment.file.save("document.pdf", ContentFile(own), save=True)
            email = mail.send(
                f"n{number}@example.com",
                "a@example.com",
                subject="Your document",
                message=TEXT,
                html_message=HTML,
            )
            email.attachments.add(attachment)


def check() -> None:
    """End with an error unless every mail is called sent."""
    from post_office.models import STATUS, Email  # noqa: PLC0415

    left = Email.objects.exclude(status=STATUS.sent).count()
    if left:
        raise SystemExit(f"post_office: {left} mails were not sent.")


def main() -> None:
    """Do `submit COUNT PDF`, `drain PROCESSES` or `check`, after FOLDER DATABASE_URL PORT SETTING=NUMBER,…"""
    folder, database_url, port, tuning, verb, *rest = sys.argv[1:]
    pairs = (setting.split("=") for setting in tuning.split(",") if setting)
    configure(Path(folder), database_url, int(port), {name: int(value) for name, value in pairs})
    if verb == "submit":
        submit(int(rest[0]), Path(rest[1]))
    elif verb == "drain":
        lock = str(Path(folder) / "lock")
        call_command("send_queued_mail", processes=int(rest[0]), lockfile=lock, verbosity=0)
    else:
        check()


if __name__ == "__main__":
    main()
