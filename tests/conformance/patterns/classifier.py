"""Classifier, another name of classification."""

from __future__ import annotations

from dataclasses import replace

from aixgo.orchestration import Classification
from tests.conformance.patterns.base import Case
from tests.conformance.patterns.classification import CASES as SAME
from tests.conformance.patterns.classification import ROUTES

__all__ = ["CASES"]


CASES: list[Case] = [
    replace(
        SAME[1],
        name="weather by another name",
        build=lambda: Classification("weather by another name", "cls.topic", ROUTES),
        config=SAME[1]
        .config.replace("one kind of weather", "weather by another name")
        .replace("pattern: classification", "pattern: classifier"),
    )
]
