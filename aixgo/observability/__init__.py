"""Seeing what happens: traces, metrics, logs. Off until `setup` switches something on.

OpenTelemetry itself is imported by `setup`, not by this package.
"""

from __future__ import annotations

from aixgo.observability.settings import LangfuseSettings, LogSettings, Settings
from aixgo.observability.setup import Observability, setup

__all__ = ["LangfuseSettings", "LogSettings", "Observability", "Settings", "setup"]
