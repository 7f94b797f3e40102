"""Downloads one locked file: goes on where an interrupted run stopped, trusts nothing but the checksum."""

import hashlib
import shutil
import time

from pip._vendor.requests.exceptions import RequestException
from pip._vendor.urllib3.exceptions import HTTPError

from . import index
from .failure import Failure
from .paths import DOWNLOADS, shown
from .progress import Progress, megabytes

ATTEMPTS = 5
CHUNK = 256 * 1024


def get(package, folder=DOWNLOADS, pause=time.sleep):
    """Returns the package's file, verified; one that is there already was verified before its rename."""
    target = folder / package.file
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{package.file}.part"
    check_space(package, folder)
    with index.open_index() as opened:
        address = index.find(opened, package)
        complete(opened[2], address, package, part, pause)
    part.rename(target)
    return target


def complete(session, address, package, part, pause):
    """Makes `part` the whole and right file."""
    resumed = size_of(part) > 0
    transfer(session, address, package, part, pause)
    if digest(part) == package.sha256:
        return
    part.unlink()
    if resumed:
        # What an earlier run left may have been damaged: the whole file deserves one try of its own.
        print(f"{package.file}: the part of an earlier run was damaged; starting again")
        return complete(session, address, package, part, pause)
    raise Failure(
        f"{package.file} does not have the locked checksum {package.sha256}; it was removed",
        f"try again; if it stays so, the index or a proxy alters files: python3 -m pip download --no-deps"
        f" {package.name}=={package.version}",
    )


def transfer(session, address, package, part, pause):
    """Fetches what is missing, and tries again after a broken connection."""
    for attempt in range(ATTEMPTS):
        try:
            if size_of(part) < package.size:
                receive(session, address, package, part)
            if size_of(part) >= package.size:
                return
            problem = f"the connection closed at {size_of(part)} of {package.size} bytes"
        except (RequestException, HTTPError) as error:
            problem = str(error)
        if attempt + 1 < ATTEMPTS:
            print(f"{package.file}: {problem}; trying again")
            pause(2**attempt)
    raise Failure(
        f"{package.file} could not be downloaded: {problem}",
        f"check the network, then run the same command again: it goes on at {megabytes(size_of(part))} MB",
    )


def receive(session, address, package, part):
    """One request: appends to `part` what the server sends."""
    start = size_of(part)
    headers = {"Accept-Encoding": "identity"}  # A packed answer would make the offsets meaningless.
    if start:
        headers["Range"] = f"bytes={start}-"
    response = session.get(address, headers=headers, stream=True)
    response.raise_for_status()
    if response.status_code != 206:
        start = 0  # The server sends the whole file whatever was asked.
    progress = Progress(package.file, package.size, start)
    with part.open("ab" if start else "wb") as file:
        for chunk in response.raw.stream(CHUNK, decode_content=False):
            file.write(chunk)
            progress.update(file.tell())


def check_space(package, folder):
    """Refuses early what would fill the disk: the file, and what is unpacked and made from it."""
    free, needed = shutil.disk_usage(folder).free, 3 * package.size
    if free < needed:
        raise Failure(
            f"{package.name} needs {megabytes(needed)} MB in {shown(folder)}; {megabytes(free)} MB are free",
            "free some space (`cargo clean` empties target/), then run the same command again",
        )


def size_of(path):
    """The size in bytes; 0 when there is no such file."""
    return path.stat().st_size if path.exists() else 0


def digest(path):
    """The file's sha256 in hexadecimal digits."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            total.update(chunk)
    return total.hexdigest()
