"""`python -m bench.memory`: what `envoi up` holds, and how soon it answers, on data that are there already.

The data are the demonstration; 100 mails are sent, each with a quotation that is rendered, and a person signs in and
looks at some pages. Memory is the proportional set size of all processes, so that what they share counts once.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode

from bench.envoi import Installation
from bench.measure import sink
from core.config import embedded_redis_url
from core.demo import PASSWORD
from core.embedded import die_with_parent, free_port

PAGES = ("/sales/quotations", "/sales/invoices", "/outbox/mails", "/products", "/partners", "/pos/tickets")
WAIT_SECONDS = 180.0


def family(pid: int) -> dict[int, str]:
    """Return the processes below one, and itself, with what each calls itself."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    names: dict[int, str] = {}
    for one in found:
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{one}/cmdline").read_bytes().split(b"\0")
            names[one] = b" ".join(line).decode(errors="replace").strip()[-40:]
    return names


def megabytes(pid: int) -> tuple[float, float]:
    """Return the proportional set size of a process, and what it alone holds, in MB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    sizes = {name: int(size) for name, size in re.findall(r"^(\w+): +(\d+) kB$", text, re.MULTILINE)}
    return sizes["Pss"] / 1024, (sizes["Private_Clean"] + sizes["Private_Dirty"]) / 1024


def cpu_seconds(pid: int) -> float:
    """Return what a process, and those that it has waited for, have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def everything(environ: dict[str, str], port: int) -> Iterator[tuple[int, float, float]]:
    """Run `envoi up`; yield its process, and the seconds and CPU seconds until its first page."""
    begun = time.monotonic()
    process = subprocess.Popen(
        [*die_with_parent(), sys.executable, "-m", "core", "up", "--no-demo"],
        env={**os.environ, **environ},
        stdout=subprocess.DEVNULL,
    )
    try:
        while not answers(port):
            if process.poll() is not None or time.monotonic() > begun + WAIT_SECONDS:
                raise SystemExit("envoi up does not answer.")
            time.sleep(0.01)
        seconds = time.monotonic() - begun
        yield process.pid, seconds, sum(cpu_seconds(pid) for pid in family(process.pid))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", "/sign-in")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def look_around(port: int) -> None:
    """Sign in, and look at some pages."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    base = f"http://127.0.0.1:{port}"
    token = re.search(
        r'name="csrf_token"[^>]*value="([^"]+)"', browser.open(f"{base}/sign-in").read().decode()
    )
    assert token is not None
    form = {"csrf_token": token[1], "login": "admin@demo.example.com", "password": PASSWORD}
    browser.open(f"{base}/sign-in", urlencode(form).encode()).read()
    for page in PAGES:
        browser.open(base + page).read()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mails", type=int, default=100)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, sink() as sink_port:
        folder = Path(name)
        installation = Installation(folder, embedded_redis_url(folder), sink_port, None)
        environ = {key: value for key, value in installation.environ.items() if key != "ENVOI_REDIS_URL"}
        for workers in options.workers:
            port = free_port()
            environ |= {
                "ENVOI_PORT": str(port),
                "ENVOI_WORKERS": str(workers),
                "ENVOI_PLAYGROUND_SMTP_PORT": str(free_port()),
            }
            with everything(environ, port) as (pid, seconds, cpu):
                installation.submit_quotations(options.mails)
                look_around(port)
                until = time.monotonic() + WAIT_SECONDS
                while installation.unsettled():
                    assert time.monotonic() < until
                    time.sleep(0.2)
                sizes: dict[int, tuple[tuple[float, float], str]] = {}
                for one, called in family(pid).items():
                    # One may end at this moment, such as what a job has started.
                    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                        sizes[one] = (megabytes(one), called)
            print(f"{workers} worker(s): first page after {seconds:.1f} s ({cpu:.1f} s of CPU)")
            for (pss, alone), called in sizes.values():
                print(f"  {pss:6.1f} MB, {alone:6.1f} of it its own  {called}")
            together = sum(pss for (pss, _alone), _called in sizes.values())
            print(f"  {together:6.1f} MB together after {options.mails} mails")


if __name__ == "__main__":
    main()
