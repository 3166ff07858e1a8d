"""Classifier: another name of the pattern `classification`, which files for the Go design use."""

from __future__ import annotations

from aixgo.orchestration.classification import PATTERN

__all__ = ["PATTERN"]
