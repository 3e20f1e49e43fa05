"""Fetch the front-end's files from the npm registry and copy the few that pages use to static/vendor.

Nothing third-party is committed: package.json names exact versions, package-lock.json holds their hashes,
and this program puts the files in place. It does nothing when they are already there, and a run that is
killed leaves the old folder or none, never half of one.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import icons

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "static" / "vendor"
STAMP = ".complete"
NPM_TIMEOUT = 900

# Folder under static/vendor → the npm package and its files; "a -> b" renames while copying.
FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "bootstrap": (
        "bootstrap",
        (
            "dist/css/bootstrap.min.css",
            "dist/js/bootstrap.bundle.min.js",
            "../@popperjs/core/LICENSE.md -> LICENSE-popper",
        ),
    ),
    "bootstrap-icons": (
        "bootstrap-icons",
        ("font/bootstrap-icons.min.css", "font/fonts/bootstrap-icons.woff2 -> fonts/bootstrap-icons.woff2"),
    ),
    "htmx": ("htmx.org", ("dist/htmx.min.js",)),
    "trix": (
        "trix",
        ("dist/trix.css", "dist/trix.umd.min.js", "../dompurify/LICENSE -> LICENSE-dompurify"),
    ),
    "tom-select": (
        "tom-select",
        ("dist/js/tom-select.complete.min.js", "dist/css/tom-select.bootstrap5.min.css"),
    ),
    "fonts": (
        "dejavu-fonts-ttf",
        ("ttf/DejaVuSans.ttf", "ttf/DejaVuSans-Bold.ttf", "ttf/DejaVuSans-Oblique.ttf"),
    ),
    "idb": ("idb", ("build/index.js",)),
    "axe": ("axe-core", ("axe.min.js", "LICENSE-3RD-PARTY.txt")),
}

# The maps themselves are not copied, so the comments would only make browsers ask for missing files.
SOURCE_MAP = re.compile(
    rb"\s*(?://[#@]\s*sourceMappingURL=[^\r\n]*|/\*[#@]\s*sourceMappingURL=[^*]*\*/)\s*\Z"
)
# Every browser that Bootstrap 5 supports reads woff2; the fallback is not copied.
WOFF_FALLBACK = re.compile(rb',\s*url\("?[^")]*\.woff(?:\?[^")]*)?"?\)\s*format\("woff"\)')


def fingerprint() -> str:
    """The hash of everything that decides what static/vendor holds."""
    digest = hashlib.sha256()
    sources = (ROOT / "package.json", ROOT / "package-lock.json", Path(__file__))
    for path in (*sources, Path(icons.__file__), icons.NAMES, icons.LOCK):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def find_npm() -> list[str]:
    """The command that runs npm: the machine's, else that of the wheel, which is installed on the spot."""
    npm = shutil.which("npm")
    if npm is not None:
        return [npm]
    beside = Path(sys.executable).parent / "npm"
    if not beside.exists():
        print("There is no npm on this machine; installing the one that PyPI carries.", flush=True)
        lock = ROOT / "requirements" / "node.lock"
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--require-hashes", "-r"]
        subprocess.run([*install, str(lock)], check=True, timeout=NPM_TIMEOUT, stdin=subprocess.DEVNULL)
    return [str(beside)]


def fetch(folder: Path, source: Path = ROOT) -> Path:
    """Install the packages that are locked in `source` under `folder` and return its node_modules."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(source / name, folder / name)
    command = [*find_npm(), "ci", "--ignore-scripts", "--include=dev", "--no-audit", "--no-fund"]
    # The wheel's npm starts `node` by name.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    subprocess.run(
        [*command, "--loglevel=error"],
        cwd=folder,
        env={**os.environ, "PATH": path, "CI": "1"},
        check=True,
        timeout=NPM_TIMEOUT,
        stdin=subprocess.DEVNULL,
    )
    return folder / "node_modules"


def copy(source: Path, target: Path) -> None:
    """Copy one file, leaving out what would point at files that are not copied."""
    target.parent.mkdir(parents=True, exist_ok=True)
    data = source.read_bytes()
    if source.suffix in {".css", ".js"}:
        data = SOURCE_MAP.sub(b"\n", data)
        if b"sourceMappingURL=" in data[-300:]:
            raise SystemExit(f"{source.name} still names a source map.")
    if source.suffix == ".css":
        data = WOFF_FALLBACK.sub(b"", data)
    target.write_bytes(data)


def assemble(modules: Path, folder: Path) -> None:
    """Copy the wanted files and each package's licence into `folder`."""
    for name, (package, files) in FILES.items():
        for entry in files:
            origin, _, renamed = entry.partition(" -> ")
            copy(modules / package / origin, folder / name / (renamed or Path(origin).name))
        copy(modules / package / "LICENSE", folder / name / "LICENSE")
    icons.take_used(folder / "bootstrap-icons")


def main() -> None:
    """Bring static/vendor up to date."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--force", action="store_true", help="fetch again even when nothing has changed")
    force: bool = parser.parse_args().force
    wanted = fingerprint()
    stamp = TARGET / STAMP
    if not force and stamp.exists() and stamp.read_text().strip() == wanted:
        return
    # In the checkout, so that the renames below stay on one file system and are atomic.
    scratch = ROOT / ".setup"
    scratch.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="vendor-", dir=scratch) as temporary:
        work = Path(temporary)
        fresh = work / "vendor"
        fresh.mkdir()
        # The temporary folder is private to its owner, a web server's user must read this one.
        fresh.chmod(0o755)
        assemble(fetch(work), fresh)
        (fresh / STAMP).write_text(wanted + "\n")
        TARGET.parent.mkdir(exist_ok=True)
        if TARGET.exists():
            TARGET.rename(work / "old")
        fresh.rename(TARGET)
    print(f"static/vendor: {sum(1 for path in TARGET.rglob('*') if path.is_file())} files.")


if __name__ == "__main__":
    main()
