"""A real IMAP server on loopback: Debian's Dovecot, with a mailbox for every name."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.embedded import free_port, stop_process
from core.testing.services.certificates import make_certificate
from core.testing.services.limits import LOOPBACK, START_SECONDS
from modules.mail_config.models import Encryption
from modules.mail_config.transports.base import ServerAccess

DOVECOT = Path("/usr/sbin/dovecot")
PASSWORD = "clé-à-5€"
_NOBODY = 65534  # Dovecot reads no mail as root

_CONFIG = """\
base_dir = {folder}/run
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = no
mail_location = maildir:~/Maildir
first_valid_uid = 1
default_process_limit = 20
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/home/%u
}}
{tokens}service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
"""


# Whose an access token is, the provider says.
_TOKENS = """\
auth_mechanisms = plain login xoauth2
auth_failure_delay = 0
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {folder}/oauth2.conf
}}
"""
_OAUTH2 = "tokeninfo_url = {url}/tokeninfo?access_token=\nusername_attribute = email\n"


class Dovecot:
    """The server.

    Attributes:
        port: Where it begins in the clear, and offers STARTTLS.
        tls_port: Where it is encrypted from the first octet.
        ca_file: What a client must trust.
    """

    def __init__(self, folder: Path, provider_url: str = "") -> None:
        self.port, self.tls_port = free_port(), free_port()
        certificate = make_certificate(folder)
        self.ca_file = str(certificate.certificate)
        self._folder = folder
        own = os.getuid()
        self._uid, self._gid = (_NOBODY, _NOBODY) if own == 0 else (own, os.getgid())
        if provider_url:
            (folder / "oauth2.conf").write_text(_OAUTH2.format(url=provider_url))
        config = _CONFIG.format(
            folder=folder,
            tokens=_TOKENS.format(folder=folder) if provider_url else "",
            certificate=certificate.certificate,
            key=certificate.key,
            password=PASSWORD,
            uid=self._uid,
            gid=self._gid,
            port=self.port,
            tls_port=self.tls_port,
        )
        if own != 0:
            name = os.environ.get("USER", "nobody")
            config += f"default_internal_user = {name}\ndefault_login_user = {name}\n"
        (folder / "home").mkdir()
        (folder / "home").chmod(0o755)  # it serves as another user, whatever the mask of this process
        (folder / "dovecot.conf").write_text(config)
        self._process = subprocess.Popen([DOVECOT, "-F", "-c", folder / "dovecot.conf"])
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + START_SECONDS
        log = self._folder / "log"
        while time.monotonic() < until and self._process.poll() is None:
            if log.exists() and "starting up" in log.read_text():
                return
            time.sleep(0.05)
        raise RuntimeError(f"Dovecot did not start: {log.read_text() if log.exists() else ''}")

    def deliver(self, user: str, octets: bytes, *, folder: str = "") -> None:
        """Put a message into a mailbox, as a delivery agent does."""
        maildir = self.maildir(user) / folder
        number = time.time_ns()
        for part in ("tmp", "new", "cur"):
            (maildir / part).mkdir(parents=True, exist_ok=True)
        (maildir / "tmp" / str(number)).write_bytes(octets)
        self._give_away()
        (maildir / "tmp" / str(number)).rename(maildir / "new" / f"{number}.M1.test")

    def maildir(self, user: str) -> Path:
        """Return the folder of a mailbox, which other servers may deliver into as well."""
        maildir = self._folder / "home" / user / "Maildir"
        maildir.mkdir(parents=True, exist_ok=True)
        self._give_away()
        return maildir

    def _give_away(self) -> None:
        for path in (self._folder / "home").rglob("*"):
            os.chown(path, self._uid, self._gid)

    def forget_uids(self, user: str) -> None:
        """Let the server give every message a new UID, under another UIDVALIDITY."""
        maildir = self._folder / "home" / user / "Maildir"
        version, validity, *_rest = (maildir / "dovecot-uidlist").read_text().split(maxsplit=2)
        for path in maildir.glob("dovecot*"):
            path.unlink()
        (maildir / "dovecot-uidlist").write_text(f"{version} V{int(validity[1:]) + 1} N1\n")
        os.chown(maildir / "dovecot-uidlist", self._uid, self._gid)

    def flags(self, user: str) -> set[str]:
        """Return the flags that the messages of a mailbox have, as letters of Maildir."""
        cur = self._folder / "home" / user / "Maildir" / "cur"
        return {path.name.rpartition(",")[2] for path in cur.iterdir() if ":2," in path.name}

    def make_folder(self, user: str, folder: str) -> None:
        """Make a folder, by its name in modified UTF-7."""
        maildir = self._folder / "home" / user / "Maildir" / f".{folder}"
        for part in ("tmp", "new", "cur"):
            (maildir / part).mkdir(parents=True)
        for path in (self._folder / "home").rglob("*"):
            os.chown(path, self._uid, self._gid)

    def messages(self, user: str, folder: str) -> list[bytes]:
        """Return the messages of a folder, in the order in which they came."""
        maildir = self._folder / "home" / user / "Maildir" / f".{folder}"
        found = [path for part in ("new", "cur") for path in (maildir / part).glob("*")]
        # By when they came, not by what they say: the name begins with the second, then the part of it.
        found.sort(key=lambda path: path.stat().st_ctime_ns)
        return [path.read_bytes() for path in found]

    def flags_in(self, user: str, folder: str) -> set[str]:
        """Return the flags that the messages of a folder have, as letters of Maildir."""
        cur = self._folder / "home" / user / "Maildir" / f".{folder}" / "cur"
        return {path.name.rpartition(",")[2] for path in cur.iterdir()}

    def count(self, user: str) -> int:
        """Return how many messages lie in a mailbox."""
        maildir = self._folder / "home" / user / "Maildir"
        return sum(1 for part in ("new", "cur") for _ in (maildir / part).iterdir())

    def access(self, user: str, encryption: Encryption = Encryption.TLS) -> ServerAccess:
        """Return how the mailbox of a user is reached."""
        port = self.tls_port if encryption is Encryption.TLS else self.port
        return ServerAccess(LOOPBACK, port, encryption, user, PASSWORD, self.ca_file, timeout=5.0)

    def stop(self) -> None:
        """End it."""
        stop_process(self._process)


@contextmanager
def dovecot_server(provider_url: str = "") -> Iterator[Dovecot]:
    """Run the server for a while.

    Args:
        provider_url: Of a provider of accounts whose access tokens it takes as well, or "".
    """
    # Not in pytest's folder, into which nobody but its user may look.
    folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
    folder.chmod(0o755)
    server = None
    try:
        server = Dovecot(folder, provider_url)
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
