"""Who is at work: what the calls of a run report while it goes on, and what they came to.

A runtime's middleware sees every call made there; in a run, patterns stay at the entry, so that is every
call, wherever its agent runs. Below: middleware, message. Above: running, view.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from aixgo.errors import AixgoError
from aixgo.ledger import Usage
from aixgo.message import Message
from aixgo.middleware import CallNext, Request, Response

__all__ = ["Observer", "Progress", "Step"]


@dataclass(slots=True)
class Step:
    """One call of a run. `seconds` and `usage` are known once it is `ok` or has an `error`."""

    agent: str
    key: str
    began: float
    seconds: float = 0.0
    ok: bool = False
    error: str = ""
    usage: Usage = field(default_factory=Usage)
    metadata_keys: tuple[str, ...] = ()
    """What its reply's metadata tells about."""

    @property
    def running(self) -> bool:
        return not (self.ok or self.error)


Observer = Callable[[Step], None]
"""Told of a step when it begins and when it ends."""


class Progress:
    """The steps of a run, in the order they began; `watch` is the middleware that records them."""

    def __init__(self, observer: Observer | None = None) -> None:
        self.steps: list[Step] = []
        self._observer = observer

    async def watch(self, call_next: CallNext[Request, Response], request: Request) -> Response:
        """Record the call `request`. A stream counts as a step that ends when it is open."""
        step = Step(request.target, request.context.key, time.monotonic())
        self.steps.append(step)
        self._tell(step)
        try:
            response = await call_next(request)
        except BaseException as exc:
            step.error = type(exc).__name__ if isinstance(exc, AixgoError) else "cancelled"
            raise
        else:
            step.ok = True
            if isinstance(response, Message):
                step.metadata_keys = tuple(sorted(response.metadata))
            return response
        finally:
            step.usage = request.context.spent or step.usage
            step.seconds = time.monotonic() - step.began
            self._tell(step)

    @property
    def agents(self) -> list[str]:
        """The agents that were called, in the order of their first call."""
        return list(dict.fromkeys(step.agent for step in self.steps))

    def _tell(self, step: Step) -> None:
        if self._observer is not None:
            self._observer(step)
