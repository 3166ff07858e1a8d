"""Scores on their way to Langfuse: its own SDK sends them, one thread of ours calls it.

The SDK's client for the API is used, not its client for tracing: that one is shared by everybody in the process who
uses the same key, so that closing ours would close theirs, and its last flush has no bound.

Below: backlog, quality, langfuse, the Langfuse SDK. Above: setup.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from datetime import UTC, datetime
from typing import NamedTuple

import httpx
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan

from aixgo.observability.backlog import Backlog
from aixgo.observability.complaints import Complaints
from aixgo.observability.langfuse import LangfuseAccess
from aixgo.observability.quality import QualityScore
from aixgo.observability.redaction import redact

httpx_log = logging.getLogger("httpx")
_level, _handlers = httpx_log.level, list(httpx_log.handlers)

from langfuse.api import (  # noqa: E402 - see below
    CreateScoreBatchResults,
    CreateScoreRequest,
    CreateScoresResponse,
    LangfuseAPI,
    ScoreDataType,
)
from langfuse.api.core import ApiError  # noqa: E402 - see below

httpx_log.setLevel(
    _level
)  # importing Langfuse's SDK takes over this log, which is not ours to take
httpx_log.handlers[:] = _handlers

__all__ = ["Given", "LangfuseScores"]

CAPACITY = 1_024  # scores waiting
BATCH = 50  # scores of one request, well below the megabyte Langfuse takes
DELAY = 1.0  # seconds a score waits for others
RETRIES = (0.2, 1.0)  # seconds before the second and the third attempt
LONGEST_COMMENT = 2_000  # characters


class Given(NamedTuple):
    """A score, and the observation it is about; `at` is when that began, which is part of a score's identity."""

    score: QualityScore
    trace_id: str
    observation_id: str
    at: datetime


class LangfuseScores:
    """The quality sink that sends scores about spans that are seen."""

    def __init__(self, access: LangfuseAccess, complaints: Complaints, timeout: float) -> None:
        self._environment = access.environment or None
        self._http = httpx.Client(timeout=timeout)
        self._api = LangfuseAPI(
            base_url=access.host,
            username=access.public_key,
            password=access.secret_key,
            x_langfuse_public_key=access.public_key,
            httpx_client=self._http,
        )
        self._complaints = complaints
        self._ending = threading.Event()
        self.backlog: Backlog[Given] = Backlog(
            self._deliver,
            self._end,
            what="quality scores",
            where=access.name,
            complaints=complaints,
            capacity=CAPACITY,
            batch=BATCH,
            delay=DELAY,
        )

    def __call__(self, given: QualityScore) -> None:
        """Queue a score of the current span, if that is one that Langfuse sees."""
        span = trace.get_current_span()
        where = span.get_span_context()
        if where.is_valid and where.trace_flags.sampled:
            began = span.start_time if isinstance(span, ReadableSpan) else None
            at = datetime.now(UTC) if began is None else datetime.fromtimestamp(began / 1e9, UTC)
            self.backlog.put(Given(given, f"{where.trace_id:032x}", f"{where.span_id:016x}", at))

    def _deliver(self, batch: list[Given]) -> bool:
        request = [self._request(given) for given in batch]
        for pause in (*RETRIES, None):
            try:
                answer = self._api.scores.create(
                    request=request, request_options={"max_retries": 0}
                )
            except (httpx.TransportError, ApiError) as exc:
                self._complaints.note(_reason(exc))
                if pause is None or not _passes(exc) or self._ending.wait(pause):
                    return False
            else:
                return self._taken(answer)
        return False

    def _taken(self, answer: CreateScoresResponse) -> bool:
        """Whether all were taken; which were not is not to be sent again."""
        if not isinstance(answer, CreateScoreBatchResults) or not answer.rejected:
            return True
        reasons = "; ".join(error.message for error in answer.errors)
        self._complaints.note(f"{answer.rejected} were refused: {reasons}")
        return False

    def _request(self, given: Given) -> CreateScoreRequest:
        what = f"{given.trace_id}/{given.observation_id}/{given.score.dimension}"
        return CreateScoreRequest(
            id=hashlib.sha256(what.encode()).hexdigest()[:32],  # said again, it replaces the first
            trace_id=given.trace_id,
            observation_id=given.observation_id,
            name=given.score.dimension,
            value=given.score.score,
            comment=redact(given.score.comment)[:LONGEST_COMMENT] or None,
            data_type=ScoreDataType("NUMERIC"),
            environment=self._environment,
            timestamp=given.at,
        )

    def _end(self) -> None:
        self._ending.set()
        self._http.close()


def _passes(exc: httpx.TransportError | ApiError) -> bool:
    """Whether trying again may help."""
    status = exc.status_code if isinstance(exc, ApiError) else None
    return status is None or status == 429 or status >= 500


def _reason(exc: httpx.TransportError | ApiError) -> str:
    if isinstance(exc, ApiError):
        return f"code: {exc.status_code}, reason: {exc.body}"
    return f"{type(exc).__name__}: {exc}"
