"""How everybody is measured: the same sink, the clock from the first mail to the last, the CPU of the processes."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import resource
import smtplib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

from core.embedded import free_port


@dataclasses.dataclass(frozen=True)
class Figure:
    """What one contestant did in one round.

    Attributes:
        rate: Mails a second, from the first that arrived to the last. What happens before the first, such as
            loading a batch, and after the last is not in it: that favors those who work in large batches.
        cpu_ms: CPU a mail, user and system, of all the processes, less what starting them takes.
    """

    rate: float
    cpu_ms: float


@dataclasses.dataclass(frozen=True)
class Work:
    """Processes that empty a queue and end."""

    commands: Sequence[Sequence[str]]
    environ: Mapping[str, str]

    def start(self) -> list[subprocess.Popen[bytes]]:
        environ = {**os.environ, **self.environ}
        return [subprocess.Popen(command, env=environ) for command in self.commands]

    def idle_cpu(self) -> float:
        """Return the CPU seconds of the same processes with nothing to do: what starting them takes."""
        before = cpu_of_children()
        for process in self.start():
            if process.wait(120):
                raise SystemExit(f"{process.args!r} failed.")
        return cpu_of_children() - before


def cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@contextlib.contextmanager
def sink(delay: float = 0.0) -> Iterator[int]:
    """Run a sink, each of whose answers comes `delay` seconds late, and return its port."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "bench.sink", str(port), str(delay)])
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), smtplib.SMTP("127.0.0.1", port, timeout=1):
                break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def measured(name: str, mails: int, port: int, work: Work) -> Figure:
    """Run processes until the queue is empty.

    The time to load the application is left out for everybody: it is paid once in a worker's life.
    """
    with smtplib.SMTP("127.0.0.1", port, timeout=5) as watcher:

        def accepted() -> int:
            return int(watcher.docmd("COUNT")[1])

        before, cpu_before = accepted(), cpu_of_children()
        begun = time.monotonic()
        processes = work.start()
        started = ended = 0.0
        first = 0
        while not ended and time.monotonic() < begun + 900:
            done, now = accepted() - before, time.monotonic()
            if done and not started:
                started, first = now, done
            if done >= mails:
                ended = now
            elif all(process.poll() is not None for process in processes) and accepted() - before < mails:
                break
            time.sleep(0.005)
        for process in processes:
            process.wait(120)
        if not ended:
            raise SystemExit(f"{name}: only {accepted() - before} of {mails} mails arrived.")
    cpu = cpu_of_children() - cpu_before
    return Figure(
        rate=(mails - first) / max(ended - started, 1e-9),
        cpu_ms=max(cpu - work.idle_cpu(), 0.0) / mails * 1000,
    )


def median(figures: Sequence[Figure]) -> Figure:
    """Return the median of each value over the rounds."""
    return Figure(
        *(
            statistics.median(getattr(figure, field.name) for figure in figures)
            for field in dataclasses.fields(Figure)
        )
    )


def show_head(last: str) -> None:
    print(f"{'':58} {'mails/s':>8} {'CPU ms':>7}  {last}")


def show(name: str, figure: Figure, ratio: str = "") -> None:
    print(f"{name:58} {figure.rate:8.1f} {figure.cpu_ms:7.2f}  {ratio}")
