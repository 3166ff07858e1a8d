"""For all tests: what a run records goes into a folder of the tests, never into the user's; what they log, back."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest

STATE = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[STATE] = os.environ["AIXGO_STATE_DIR"] = tempfile.mkdtemp(prefix="aixgo-state-")


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[STATE], ignore_errors=True)


@pytest.fixture(autouse=True)
def log_of_the_process() -> Iterator[None]:
    """A command sets up the log of its process for good; here that ends with the test."""
    root, ours = logging.getLogger(), logging.getLogger("aixgo")
    handlers, level = set(root.handlers), ours.level
    yield
    ours.setLevel(level)
    for handler in set(root.handlers) - handlers:
        if not type(handler).__module__.startswith("_pytest"):
            root.removeHandler(handler)
