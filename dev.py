"""The developer's entry: `python3 dev.py demo|run|test|check|bench|fsck`. Needs Python 3.13 and Node.js 20 or newer.

Sets up what is missing (.venv and node_modules, both inside the checkout) and is quick when everything is there.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
DATA = ROOT / ".data"
DEFAULT_PORT = 7071
NODE_VERSION = 20
START_SECONDS = 120
STOP_SECONDS = 40
LONG_STEP_SECONDS = 5


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    demo = commands.add_parser("demo", help="walk through the service on real DICOM files")
    demo.add_argument("directory", nargs="?", type=Path, help="a folder with your own DICOM files")
    run = commands.add_parser("run", help="keep the service running until Ctrl-C")
    for command in (demo, run):
        command.add_argument("--port", type=int, help=f"port of the service (default {DEFAULT_PORT}, or a free one)")
    test = commands.add_parser("test", help="run the tests; what follows goes to pytest")
    commands.add_parser("check", help="lint, formatting, types, import directions")
    fsck = commands.add_parser("fsck", help="check the stored data: those in .data, or of AzureWebJobsStorage")
    fsck.add_argument("--repair", action="store_true", help="mend what can be mended without guessing")
    bench = commands.add_parser("bench", help="measure; what follows goes to the benchmark")
    for command in (test, bench):
        command.add_argument("rest", nargs=argparse.REMAINDER)
    arguments, unknown = parser.parse_known_args()
    if unknown and arguments.command not in ("test", "bench"):
        parser.error(f"unknown arguments: {' '.join(unknown)}")
    set_up()
    if arguments.command == "demo":
        return demonstrate(arguments.port, arguments.directory)
    if arguments.command == "run":
        return keep_running(arguments.port)
    if arguments.command == "check":
        return check()
    if arguments.command == "fsck":
        return run_in_venv("fsck.py", *(["--repair"] if arguments.repair else []))
    rest = unknown + arguments.rest
    if arguments.command == "test":
        return run_in_venv("-m", "pytest", *(["-n", "2", "--dist", "loadfile"] if not rest else []), *rest)
    return run_in_venv("-m", "bench", *rest)


# Setting up


def set_up() -> None:
    """Creates .venv and node_modules, unless they are as the pinned files want them."""
    python = ["requirements.txt", "requirements-dev.txt", "constraints.txt", ".python-version"]
    install("Python packages", python, VENV, create_venv)
    install("Azurite", ["package.json", "package-lock.json"], ROOT / "node_modules", install_azurite)


def install(what: str, files: list[str], folder: Path, create: Callable[[], None]) -> None:
    digest = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in files)).hexdigest()
    stamp = folder / ".installed"
    if stamp.exists() and stamp.read_text() == digest:
        return
    print(f"Setting up {what} in {folder.relative_to(ROOT)}", flush=True)
    create()
    stamp.write_text(digest)


def create_venv() -> None:
    patiently([find_python(), "-m", "venv", str(VENV)])
    pip = [str(venv_python()), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    patiently([*pip, "-r", str(ROOT / "requirements-dev.txt")])


def install_azurite() -> None:
    npm = shutil.which("npm")
    node = shutil.which("node")
    if not npm or not node:
        raise SystemExit("Node.js is missing: Azurite, the storage emulator, needs version 20 or newer (nodejs.org).")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < NODE_VERSION:
        raise SystemExit(
            f"Node.js {version} is too old: Azurite, the storage emulator, needs version {NODE_VERSION} or newer."
        )
    patiently([npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"])


def find_python() -> str:
    """A Python of the version in .python-version: this one, one on the PATH, or one of pyenv."""
    wanted = (ROOT / ".python-version").read_text().strip()
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [sys.executable, shutil.which(f"python{wanted}")]
    candidates += [str(path) for path in sorted(root.glob(f"versions/{wanted}*/bin/python"), reverse=True)]
    probe = "import sys; print('%d.%d' % sys.version_info[:2])"
    for candidate in filter(None, candidates):
        found = subprocess.run([candidate, "-c", probe], capture_output=True, text=True, check=False)
        if found.returncode == 0 and found.stdout.strip() == wanted:
            return candidate
    raise SystemExit(
        f"Python {wanted} is missing: it is neither this interpreter nor on the PATH (python{wanted}) nor one of pyenv's.\n"
        f"Install it from python.org or with 'pyenv install {wanted}', and start again."
    )


def patiently(command: list[str]) -> None:
    """Runs a command in the checkout; says every few seconds that it is still at it. Stops with its output if it fails."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        started = time.monotonic()
        while True:
            try:
                code = process.wait(LONG_STEP_SECONDS)
                break
            except subprocess.TimeoutExpired:
                print(f"  ... {time.monotonic() - started:.0f} s", flush=True)
        if code:
            log.seek(0)
            sys.stderr.write(log.read().decode(errors="replace"))
            raise SystemExit(f"Failed: {' '.join(command)}")


def venv_python() -> Path:
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def run_in_venv(*arguments: str) -> int:
    return subprocess.run([str(venv_python()), *arguments], cwd=ROOT, check=False).returncode


# Commands


def check() -> int:
    tools = [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"], ["lint-imports"]]
    failed = []
    for tool in tools:
        print(f"> {' '.join(tool)}", flush=True)
        if subprocess.run([str(venv_python().parent / tool[0]), *tool[1:]], cwd=ROOT, check=False).returncode:
            failed.append(" ".join(tool))
    print(f"Failed: {', '.join(failed)}" if failed else "All checks passed.")
    return 1 if failed else 0


def demonstrate(port: int | None, directory: Path | None) -> int:
    if directory is not None and not directory.is_dir():
        raise SystemExit(f"{directory} is not a folder.")
    with tempfile.TemporaryDirectory(prefix="dicom-demo-") as folder:
        host, url = start_host(port, Path(folder))
        try:
            wanted = [str(directory.resolve())] if directory else []
            return run_in_venv("demo.py", "--url", url, *wanted)
        finally:
            stop_host(host)


def keep_running(port: int | None) -> int:
    host, url = start_host(port, DATA)
    sample = sample_file()
    print(
        f"\nThe service is at {url} and keeps its data in {DATA}. Ctrl-C stops it. Try:\n\n"
        f"  curl -H 'Content-Type: application/dicom' --data-binary @{sample} {url}/v2/studies\n"
        f"  curl '{url}/v2/studies?PatientName=comp*'\n"
        f"  curl {url}/v2/changefeed\n",
        flush=True,
    )
    try:
        return host.wait()
    except KeyboardInterrupt:
        print("\nStopping ...", flush=True)
        return stop_host(host)


def sample_file() -> Path:
    [found] = VENV.glob("lib/python*/site-packages/pydicom/data/test_files/CT_small.dcm")
    return found.relative_to(ROOT)


# The host


def start_host(port: int | None, data: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Starts the service with an Azurite of its own; returns when it answers."""
    chosen = choose_port(port)
    url = f"http://127.0.0.1:{chosen}"
    storage = ("AzureWebJobsStorage", "DICOM_STORAGE")  # settings of real accounts must not reach a local run
    environment = {name: value for name, value in os.environ.items() if not name.startswith(storage)}
    environment.setdefault("DICOM_AUTHENTICATION", "off")  # the local host listens to this machine alone
    command = [str(venv_python()), "-m", "devhost", "--app", str(ROOT), "--data", str(data), "--port", str(chosen)]
    print(f"Starting the service at {url}", flush=True)
    host = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
    deadline = time.monotonic() + START_SECONDS
    try:
        while not answers(f"{url}/health/check"):
            if host.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("The service did not start.")
            time.sleep(0.1)
    except BaseException:  # also Ctrl-C: nothing may be left running
        stop_host(host)
        raise
    return host, url


def stop_host(host: subprocess.Popen[bytes]) -> int:
    if host.poll() is None:
        host.send_signal(signal.SIGTERM)
    try:
        return host.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        host.kill()
        return host.wait()


def choose_port(port: int | None) -> int:
    wanted = port or DEFAULT_PORT
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex(("127.0.0.1", wanted)) != 0:
            return wanted
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = int(probe.getsockname()[1])
    print(f"Port {wanted} is taken, using {free}.", flush=True)
    return free


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    for ending in ("SIGTERM", "SIGHUP"):  # like Ctrl-C: what was started is stopped first
        if hasattr(signal, ending):
            signal.signal(getattr(signal, ending), signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
