"""Seeing what happens: traces, off until `setup` switches them on, and the log.

OpenTelemetry itself is imported by `setup`, not by this package.
"""

from __future__ import annotations

from aixgo.observability.langfuse import LangfuseSettings
from aixgo.observability.lines import CallFields, JsonFormatter, TextFormatter
from aixgo.observability.logs import Logs, LogSettings, setup_logs
from aixgo.observability.quality import record_quality_score
from aixgo.observability.settings import Settings
from aixgo.observability.setup import Observability, setup

__all__ = [
    "CallFields",
    "JsonFormatter",
    "LangfuseSettings",
    "LogSettings",
    "Logs",
    "Observability",
    "Settings",
    "TextFormatter",
    "record_quality_score",
    "setup",
    "setup_logs",
]
