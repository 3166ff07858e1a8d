"""For all tests: what a run records goes into a folder of the tests, never into the user's."""

import os
import shutil
import tempfile

import pytest

STATE = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[STATE] = os.environ["AIXGO_STATE_DIR"] = tempfile.mkdtemp(prefix="aixgo-state-")


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[STATE], ignore_errors=True)
