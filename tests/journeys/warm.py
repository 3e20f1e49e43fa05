"""The command line of a house, loaded once: `envoi …` as a person types it, without loading it for each command.

A line of standard input is a JSON list of arguments. Each command runs in a process of its own, forked from one that
has imported everything and connected to nothing; a line of standard output says how it ended.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from typing import IO, Any

from core.cli import application, main

ANSWER_SECONDS = 60


class WarmCommandLine:
    """`envoi …` on the data of one house.

    Args:
        environ: The variables of the house.
    """

    def __init__(self, environ: dict[str, str]) -> None:
        self._environ = environ
        self._process: subprocess.Popen[str] | None = None

    def run(self, arguments: tuple[str, ...]) -> tuple[int, str, str]:
        """Run a command and return its exit code, its output and its errors."""
        if self._process is None:
            command = [sys.executable, "-m", __name__]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(command, env=self._environ, stdin=pipe, stdout=pipe, text=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        code, out, err = json.loads(self._process.stdout.readline())
        return int(code), str(out), str(err)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.communicate(timeout=ANSWER_SECONDS)


def _run(arguments: list[str], out: IO[Any], err: IO[Any]) -> None:
    """Run a command in this forked process, and end it."""
    signal.alarm(ANSWER_SECONDS)  # ends a command that hangs
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    code: Any = 1
    try:
        sys.argv = ["envoi", *arguments]
        main()
        code = 0
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


def serve() -> None:
    """Answer one command after the other."""
    answers = os.fdopen(os.dup(1), "w")
    application()
    for line in sys.stdin:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = os.fork()
            if child == 0:
                _run(json.loads(line), out, err)
            _pid, status = os.waitpid(child, 0)
            printed = []
            for file in (out, err):
                file.seek(0)
                printed.append(file.read().decode())
        answers.write(json.dumps([os.waitstatus_to_exitcode(status), *printed]) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve()
