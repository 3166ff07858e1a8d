"""What tests of agents are made of: small real things instead of mocks.

- `ScriptedProvider`: a model that answers by script, and records what it was asked.
- `RecordingAgent`: an agent that records what it got, and can hold a call until it is released.
- `FakeClock`: time that passes when told to.
- `served`: agents behind a real server on a free port, and a runtime connected to them.

Above: tests. Below: everything.
"""

from __future__ import annotations

from aixgo.testing.clock import FakeClock
from aixgo.testing.recording import RecordingAgent
from aixgo.testing.scripted import ScriptedProvider, ScriptedStream, ScriptExhausted
from aixgo.testing.served import served

__all__ = [
    "FakeClock",
    "RecordingAgent",
    "ScriptExhausted",
    "ScriptedProvider",
    "ScriptedStream",
    "served",
]
