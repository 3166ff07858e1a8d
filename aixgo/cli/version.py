"""`aixgo version`: what is installed."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from aixgo import __version__

__all__ = ["command"]

PACKAGES = ("grpcio", "protobuf", "pydantic", "msgspec", "uvloop")


def command() -> int:
    """Print versions."""
    print(f"aixgo {__version__}")
    print(f"python {platform.python_version()} on {platform.system()} {platform.machine()}")
    for package in PACKAGES:
        try:
            print(f"{package} {version(package)}")
        except PackageNotFoundError:
            print(f"{package} is not installed")
    return 0
