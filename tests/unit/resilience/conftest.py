"""Every test of a policy runs at both seams, for calls and for streams."""

from __future__ import annotations

import pytest

from tests.unit.resilience.seams import Asker


@pytest.fixture(params=["model-call", "model-stream", "runtime-call", "runtime-stream"])
def asker(request: pytest.FixtureRequest) -> Asker:
    """What asks; see `Asker`."""
    seam, _, kind = str(request.param).partition("-")
    return Asker(seam, streaming=kind == "stream")


@pytest.fixture(params=["call", "stream"])
def model_asker(request: pytest.FixtureRequest) -> Asker:
    """What asks a model."""
    return Asker("model", streaming=request.param == "stream")


@pytest.fixture(params=["call", "stream"])
def agent_asker(request: pytest.FixtureRequest) -> Asker:
    """What asks an agent."""
    return Asker("runtime", streaming=request.param == "stream")
