"""`envoi …` without loading it for each process: processes forked from one that has imported everything.

What is forked from has made an application and connected to nothing. Each command is a real process, which can be
stopped and killed; it has its own environment, makes its own application from that, and ends with the tests.
A line of standard input is a request in JSON; a line of standard output is its answer.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

from core import cli
from core.supervisor import share
from core.testing.applications import compile_builder, compiled_templates

ANSWER_SECONDS = 180
_POLL_SECONDS = 0.02
_PR_SET_PDEATHSIG = 1
_CLONE_NEWNET = 0x40000000


class WarmEnvoi:
    """Starts processes of `envoi`.

    Args:
        environ: The variables of each process, unless one is given its own.
        python: The interpreter that they run in, None for that of the tests.
    """

    def __init__(self, environ: Mapping[str, str], python: Path | None = None) -> None:
        self._environ = dict(environ)
        self._python = str(python or sys.executable)
        self._process: subprocess.Popen[str] | None = None
        self._turn = threading.Lock()

    def start(
        self,
        arguments: tuple[str, ...],
        out: Path,
        err: Path | None = None,
        environ: Mapping[str, str] | None = None,
        script: Path | None = None,
        namespace: Path | None = None,
    ) -> WarmProcess:
        """Start a command.

        Args:
            arguments: What follows `envoi`.
            out: The file that its output goes into.
            err: The file that its errors go into, None for the same.
            environ: All its variables, None for the usual ones.
            script: A Python program to run instead of `envoi`.
            namespace: The network that it is in, None for the usual one.
        """
        files = {"out": str(out), "err": str(err or out)}
        for file in files.values():
            Path(file).touch()
        request = {
            "arguments": arguments,
            **files,
            "environ": environ and dict(environ),
            "script": script and str(script),
            "namespace": namespace and str(namespace),
        }
        return WarmProcess(self, int(self._ask(request)), arguments)

    def run(
        self,
        arguments: tuple[str, ...],
        script: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> tuple[int, str, str]:
        """Run a command, or a script, and return its exit code, its output and its errors; see `start`."""
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            code = self.start(arguments, out, err, environ, script).wait(ANSWER_SECONDS)
            return code, out.read_text(), err.read_text()

    def ended(self, pid: int) -> int | None:
        """Return the exit code of a process that was started here, negative for a signal, None while it runs."""
        code: int | None = self._ask({"ended": pid})
        return code

    def _ask(self, request: Mapping[str, object]) -> Any:
        with self._turn:
            if self._process is None:
                templates = compiled_templates.folder
                command, pipe = [self._python, "-m", __name__, str(templates or "")], subprocess.PIPE
                folder = Path(__file__).parents[1]
                self._process = subprocess.Popen(
                    command, env=self._environ, cwd=folder, stdin=pipe, stdout=pipe, text=True
                )
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            try:
                self._process.stdin.write(json.dumps(request) + "\n")
                self._process.stdin.flush()
                return json.loads(self._process.stdout.readline())
            except BaseException:
                # A test whose time is over, say: its answer would be taken for that of the next request.
                self._kill()
                raise

    def close(self) -> None:
        """End what the processes are forked from, and with it all of them."""
        if self._process is not None:
            try:
                self._process.communicate(timeout=ANSWER_SECONDS)
            except subprocess.TimeoutExpired:
                self._kill()

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


_of_all: list[WarmEnvoi] = []


def warm_envoi() -> WarmEnvoi:
    """Return what the commands of all tests of this process are forked from; each says its variables when it starts."""
    if not _of_all:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("ENVOI_")}
        # It makes an application, and writes a key for it.
        folder = tempfile.TemporaryDirectory(prefix="envoi-warm-")
        _of_all.append(WarmEnvoi({**environ, "ENVOI_DATA_DIR": folder.name}))
        atexit.register(folder.cleanup)
        atexit.register(_of_all[0].close)
    return _of_all[0]


class WarmProcess:
    """A process of `envoi`, with the methods of `subprocess.Popen` that tests use."""

    def __init__(self, origin: WarmEnvoi, pid: int, args: tuple[str, ...]) -> None:
        self.pid = pid
        self.args = args
        self.returncode: int | None = None
        self._origin = origin

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal, or None while it runs."""
        if self.returncode is None:
            self.returncode = self._origin.ended(self.pid)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Wait until it has ended and return the exit code.

        Raises:
            subprocess.TimeoutExpired: It has not, within so many seconds.
        """
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(["envoi", *self.args], timeout)
            time.sleep(_POLL_SECONDS)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal to a process that has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def _become(request: Mapping[str, Any]) -> None:
    """Run a command in this forked process, and end it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if request["namespace"]:
        # `os.setns` comes with Python 3.12.
        descriptor = os.open(request["namespace"], os.O_RDONLY)
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
            os._exit(1)
        os.close(descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, request["out"]), (2, request["err"])):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
    if request["environ"] is not None:
        os.environ.clear()
        os.environ.update(request["environ"])
        cli._application.clear()
    code: Any = 1
    try:
        sys.argv = [request["script"] or "envoi", *request["arguments"]]
        if request["script"]:
            runpy.run_path(request["script"], run_name="__main__")
        else:
            cli.main()
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 (the process ends here, and says why)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


def _ended(pid: int, ended: dict[int, int]) -> int | None:
    """Return the exit code of a process; two threads may ask for it, and the system tells it once."""
    if pid not in ended:
        found, status = os.waitpid(pid, os.WNOHANG)
        if not found:
            return None
        ended[pid] = os.waitstatus_to_exitcode(status)
    return ended[pid]


def serve(templates: str) -> None:
    """Answer one request after the other.

    Args:
        templates: The folder of what Jinja has compiled, "" for none.
    """
    answers = os.fdopen(os.dup(1), "w")
    # Each process makes an application by its own settings: what is the same in all of them is made once.
    Rule._compile_builder = compile_builder
    compiled_templates.folder = Path(templates) if templates else None
    Flask.jinja_options = {"bytecode_cache": compiled_templates}
    share(cli.application())
    ended: dict[int, int] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "ended" in request:
            answer = _ended(request["ended"], ended)
        else:
            answer = os.fork()
            if answer == 0:
                _become(request)
            ended.pop(answer, None)  # of one before that had the same number
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve(*sys.argv[1:])
