"""How good an answer was, said by whoever can judge it, where the answer's trace is seen.

Below: conventions. Above: setup, which says who is told; users call `record_quality_score`.
"""

from __future__ import annotations

import logging
import math
import re
from typing import NamedTuple, Protocol

__all__ = [
    "QualityScore",
    "QualitySink",
    "add_quality_sink",
    "record_quality_score",
    "remove_quality_sink",
]

log = logging.getLogger("aixgo.observability")

DIMENSION = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
LARGEST = 1e15  # of a score: whoever keeps it as a decimal has room for this


class QualityScore(NamedTuple):
    """One judgement."""

    dimension: str
    score: float
    comment: str


class QualitySink(Protocol):
    """Somebody who is told of scores."""

    def __call__(self, given: QualityScore) -> None:
        """Take a score, without waiting for anything."""
        ...


_sinks: tuple[QualitySink, ...] = ()


def record_quality_score(dimension: str, score: float, comment: str = "") -> None:
    """Say how good the answer that is being made is in one `dimension`, such as "relevance".

    It becomes `quality.<dimension>` of the current span, which inside an agent's call is that call's, and, where
    Langfuse is set up, a score with `comment` on the same observation. Said twice, the last holds. It costs a few
    microseconds, waits for nothing, and does nothing where nothing is traced or the trace is not sampled.

    Raises:
        ValueError: `dimension` is no name of up to 64 letters, digits, `_`, `-` and `.`, or `score` is not finite.
        TypeError: an argument has the wrong type.
    """
    given = _checked(dimension, score, comment)
    for sink in _sinks:
        try:
            sink(given)
        except Exception as exc:
            log.debug("a quality score was lost", exc_info=exc)


def add_quality_sink(sink: QualitySink) -> None:
    """Tell `sink` of all scores from now on."""
    global _sinks  # noqa: PLW0603 - as telemetry's observers
    _sinks = (*_sinks, sink)


def remove_quality_sink(sink: QualitySink) -> None:
    """Tell `sink` nothing more; harmless when it is none."""
    global _sinks  # noqa: PLW0603 - as telemetry's observers
    _sinks = tuple(known for known in _sinks if known is not sink)


def _checked(dimension: object, score: object, comment: object) -> QualityScore:
    if not isinstance(dimension, str) or not isinstance(comment, str):
        wrong = "dimension" if not isinstance(dimension, str) else "comment"
        raise TypeError(f"record_quality_score: {wrong} must be text")
    if not DIMENSION.fullmatch(dimension):
        raise ValueError(
            f"record_quality_score: dimension {dimension[:80]!r} must be 1 to 64 letters, digits, '_', '-' or '.', "
            "and begin with a letter"
        )
    if isinstance(score, bool) or not isinstance(score, int | float):
        raise TypeError(
            f"record_quality_score: the score of {dimension!r} must be a number, not {type(score).__name__}"
        )
    if not math.isfinite(score) or abs(score) > LARGEST:
        raise ValueError(
            f"record_quality_score: the score of {dimension!r} is {score!r}; it must be finite and at most {LARGEST:g}"
        )
    return QualityScore(dimension, float(score), comment)
