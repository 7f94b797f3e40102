"""The lock file `packages.json`: which file of which package this machine needs."""

import json
import platform
from dataclasses import dataclass

from .failure import Failure
from .paths import SCRIPTS


@dataclass(frozen=True)
class Package:
    """One file of one package, as locked."""

    name: str
    version: str
    file: str
    size: int
    sha256: str
    extract: dict  # name inside the file -> name on disk


def package(name, on=None, lock=SCRIPTS / "packages.json"):
    """Returns the locked file of the package `name` for the platform `on` (by default this machine's)."""
    entry = json.loads(lock.read_text("utf-8"))[name]
    files, machine = entry["files"], on or this_platform()
    if "any" not in files and machine not in files:
        known = ", ".join(files)
        raise Failure(
            f"{name} {entry['version']} has no file for this machine ({machine}); it has {known}",
            f"use one of those, or install {name} yourself and name its library: export ORT_DYLIB_PATH=FILE",
        )
    return Package(name, entry["version"], **files.get("any", files.get(machine)))


def this_platform():
    """Names this machine as the lock file does, for example `linux-x86_64`."""
    system = {"Darwin": "macos"}.get(platform.system(), platform.system().lower())
    # The packages are built against glibc: on another C library the file would install and then not load.
    if system == "linux" and platform.libc_ver()[0] != "glibc":
        system = "linux-without-glibc"
    return f"{system}-{platform.machine()}"
