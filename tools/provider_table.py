"""Write `docs/providers.md`: each provider of mail that Envoi knows, its settings, and what usually goes wrong there.

`tests/mail_config/test_providers.py` fails while the page is not what this writes.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from modules.mail_config.servers.providers import Provider, providers  # noqa: E402

PAGE = ROOT / "docs" / "providers.md"
REGIONS = {"world": "Worldwide", "fr": "France", "be": "Belgium", "ch": "Switzerland", "de": "Germany"}
USERS = {"address": "the address", "local": "what stands before the @", "other": "as its console says"}
HEAD = """# Providers of mail that Envoi knows

Written by `tools/provider_table.py` from `modules/mail_config/servers/providers.toml`; what is said below the form of
a server and beside a failed test is the same. Where Thunderbird's list has a provider, host, port and encryption were
compared with it; the others, the figures and the links are given to the best of our knowledge and were neither looked
up again nor tried.
"""


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    for region, title in REGIONS.items():
        rows = [_row(provider) for provider in providers() if provider.region == region]
        heads = "| provider | host and port | user name | at most | for a business |\n|---|---|---|---|---|"
        parts.append(f"## {title}\n\n{heads}\n" + "\n".join(rows) + "\n")
    parts.append("## What usually goes wrong\n\n" + _troubles())
    return "\n".join(parts)


def _row(provider: Provider) -> str:
    figures = [
        (provider.per_minute, "a minute"),
        (provider.per_hour, "an hour"),
        (provider.per_day, "a day"),
        (provider.recipients_per_message, "recipients an email"),
        (provider.per_connection, "emails by one connection"),
        (provider.connections, "connections"),
        (provider.size_mb, "MB"),
    ]
    most = ", ".join(f"{number:,} {words}" for number, words in figures if number) or "–"
    user = USERS.get(provider.user, f"`{provider.user}`")
    host = provider.host or f"…{provider.hosts[0]}"
    where = f"{host}, {provider.port} {provider.encryption.value.upper()}"
    fits = "yes" if provider.business else "no"
    return f"| [{provider.name}]({provider.link}) | {where} | {user} | {most} | {fits} |"


def _troubles() -> str:
    """Return provider × fault × sentence: those who share a sentence stand together."""
    shared: dict[tuple[str, str, str], list[str]] = {}
    for provider in providers():
        for trouble in provider.trouble:
            faults = ", ".join(f"`{kind.value}`" for kind in trouble.failures)
            shared.setdefault((faults, trouble.texts["en"], trouble.texts["fr"]), []).append(provider.name)
    rows = ["| providers | fault | English | French |", "|---|---|---|---|"]
    for (faults, english, french), names in shared.items():
        said = [text % {"provider": "*provider*"} for text in (english, french)]
        rows.append(f"| {', '.join(names)} | {faults} | {said[0]} | {said[1]} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
