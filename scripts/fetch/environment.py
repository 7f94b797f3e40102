"""The virtual environment `.ml/python`: made when missing, filled from hashed lists, entered by exec."""

import hashlib
import importlib.util
import os
import subprocess
import sys

from .failure import Failure
from .paths import PYTHON, SCRIPTS, shown

INTERPRETER = PYTHON / "bin" / "python"


def enter(*requirements):
    """Goes on in the environment with these requirement files of `scripts/` installed.

    Returns when this process already runs there; otherwise replaces it by the same command, run there.
    """
    # Another Python than the environment's was asked for, or the system's was upgraded: packages do not
    # carry over.
    library = PYTHON / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    if not (INTERPRETER.exists() and library.exists()):
        create()
    for name in requirements:
        if not installed(name):
            install(name)
    if os.path.realpath(sys.prefix) != os.path.realpath(PYTHON):
        os.execv(INTERPRETER, [str(INTERPRETER), *sys.argv])


def create():
    """Makes the environment afresh; what an interrupted run left of it is cleared."""
    if importlib.util.find_spec("ensurepip") is None:
        raise Failure("this Python cannot make a virtual environment", "sudo apt-get install -y python3-venv")
    print(f"making the Python environment {shown(PYTHON)}", flush=True)
    execute([sys.executable, "-m", "venv", "--clear", str(PYTHON)], f"rm -rf {shown(PYTHON)}")


def install(name):
    """Installs one requirement file, every package checked against its hash."""
    print(f"installing {shown(SCRIPTS / name)} there", flush=True)
    command = [str(INTERPRETER), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    hashed = ["--require-hashes", "--only-binary", ":all:", "-r", str(SCRIPTS / name)]
    execute(
        command + hashed,
        "check the network and `python3 -m pip config list`, then run the same command again",
    )
    stamp(name).write_text(fingerprint(name), "utf-8")


def execute(command, fix):
    """Runs a command that is silent when it works; its last words become the error when it does not."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        words = [line for line in done.stdout.splitlines() if line.strip()] or ["it said nothing"]
        # pip's last words are then that it found no such version, which hides why.
        if "connection broken" in done.stdout:
            words = ["the package index that pip is configured with cannot be reached"]
        raise Failure(f"`{' '.join(command[1:4])}` failed: {words[-1]}", fix)


def installed(name):
    """Whether this very version of the requirement file was installed to its end."""
    return stamp(name).exists() and stamp(name).read_text("utf-8") == fingerprint(name)


def stamp(name):
    """The file that says which version of a requirement file is installed."""
    return PYTHON / f"{name.replace('/', '-')}.installed"


def fingerprint(name):
    """The requirement file's sha256."""
    return hashlib.sha256((SCRIPTS / name).read_bytes()).hexdigest()
