"""A folder of a run's own for the sockets of its processes, gone with the run, or with the next one if it was killed.

A lock on a file inside says that whose folder it is still lives: the kernel lets go of it however a process ends.

Below: nothing. Above: fleet.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["private_folder"]

PREFIX = "aixgo-"
OWNER = ".owner"
LONGEST = 80  # bytes of its path: that of a socket in it holds 107


@contextlib.contextmanager
def private_folder() -> Iterator[str]:
    """A new folder that only we may enter; those of runs that were killed are removed first."""
    parent = tempfile.gettempdir()
    if len(os.fsencode(parent)) + len(PREFIX) + 10 > LONGEST:
        parent = "/tmp"  # noqa: S108 - short, and the folder in it is private
    _sweep(parent)
    folder = tempfile.mkdtemp(prefix=PREFIX, dir=parent)
    owner = os.open(f"{folder}/.new", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with contextlib.suppress(OSError):  # not every file system has locks; then nobody sweeps
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            Path(folder, ".new").rename(Path(folder, OWNER))  # seen only once it is locked
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(owner)


def _sweep(parent: str) -> None:
    """Remove the folders whose owners are dead."""
    with contextlib.suppress(OSError):
        for folder in list(Path(parent).glob(f"{PREFIX}*/{OWNER}")):
            with contextlib.suppress(OSError):
                _remove_if_left(folder.parent)


def _remove_if_left(folder: Path) -> None:
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid():
        return
    owner = os.open(folder / OWNER, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while its owner lives
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(owner)
