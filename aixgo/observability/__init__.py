"""Seeing what happens: traces. Off until `setup` switches them on.

OpenTelemetry itself is imported by `setup`, not by this package.
"""

from __future__ import annotations

from aixgo.observability.langfuse import LangfuseSettings
from aixgo.observability.quality import record_quality_score
from aixgo.observability.settings import Settings
from aixgo.observability.setup import Observability, setup

__all__ = ["LangfuseSettings", "Observability", "Settings", "record_quality_score", "setup"]
