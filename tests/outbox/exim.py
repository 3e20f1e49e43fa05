"""A real mail server that accepts, and whose bounces come back: Debian's Exim, on loopback, as an ordinary user.

It takes whatever is handed over, passes it on to the next hop, and returns what that one refuses to the mailbox of the
sender, as the server of a provider does. It asks no DNS, and reaches nothing but loopback.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.embedded import free_port, stop_process
from core.testing.services.limits import LOOPBACK, START_SECONDS

EXIM = Path("/usr/sbin/exim4")
OUR_DOMAIN = "maison.example.com"
LOCAL_DOMAIN = "delivered.example"
_NOBODY = 65534  # Exim delivers nothing as root

_CONFIG = """\
exim_user = {uid}
exim_group = {gid}
spool_directory = {folder}/spool
log_file_path = {folder}/log/%slog
pid_file_path = {folder}/exim.pid
primary_hostname = mx.provider.example
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
keep_environment =
tls_advertise_hosts =
dsn_advertise_hosts = *
host_lookup =
rfc1413_query_timeout = 0s
acl_smtp_rcpt = accept
acl_smtp_data = accept
delay_warning = 1s
log_selector = -queue_run

begin routers
home:
  driver = accept
  domains = {ours} : {local}
  transport = mailboxes
onward:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = next_hop

begin transports
mailboxes:
  driver = appendfile
  maildir_format
  directory = {maildir}
  delivery_date_add
  envelope_to_add
  return_path_add
  user = {uid}
  group = {gid}
next_hop:
  driver = smtp
  port = {next_port}
  allow_localhost
  hosts_avoid_tls = *
  hosts_try_fastopen =

begin retry
{given_up}  *  F,1s,1s
*           *  F,1h,1s
"""


class Exim:
    """The server.

    Attributes:
        host: Where it listens.
        port: For mail, without encryption or sign-in.
    """

    host = LOOPBACK

    def __init__(self, folder: Path, maildir: Path, next_port: int, given_up: str) -> None:
        self.port = free_port()
        self._folder = folder
        root = os.getuid() == 0
        uid, gid = (_NOBODY, _NOBODY) if root else (os.getuid(), os.getgid())
        config = folder / "exim.conf"
        config.write_text(
            _CONFIG.format(
                folder=folder,
                port=self.port,
                next_port=next_port,
                maildir=maildir,
                ours=OUR_DOMAIN,
                local=LOCAL_DOMAIN,
                given_up=given_up,
                uid=uid,
                gid=gid,
            )
        )
        for name in ("spool", "log"):
            (folder / name).mkdir()
        if root:
            for path in (folder, *folder.iterdir()):
                os.chown(path, uid, gid)
        other = {"user": uid, "group": gid, "extra_groups": []} if root else {}
        self._process = subprocess.Popen(
            [EXIM, "-bdf", "-q1s", "-C", config],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            **other,  # type: ignore[call-overload]
        )
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            try:
                with socket.create_connection((self.host, self.port), timeout=1):
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"Exim did not start: {self.log()}")

    def log(self) -> str:
        """Return what it has written down."""
        return "\n".join(path.read_text(errors="replace") for path in (self._folder / "log").iterdir())

    def stop(self) -> None:
        """End it, with the processes that try again."""
        stop_process(self._process)


@contextmanager
def exim_server(maildir: Path, next_port: int, *, given_up: str = "given.up.example") -> Iterator[Exim]:
    """Run the server for a while.

    Args:
        maildir: Where mail to our domain goes, and to a domain that is delivered to.
        next_port: Of the server on loopback that everything else is passed on to.
        given_up: Domain for which it gives up after a second, and not after an hour.
    """
    folder = Path(tempfile.mkdtemp(prefix="exim-"))
    folder.chmod(0o755)
    server = None
    try:
        server = Exim(folder, maildir, next_port, given_up)
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
