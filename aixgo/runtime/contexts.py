"""The context a call begins with: what it inherits, and what nobody said otherwise.

Below: context, calling. Above: base, mail.
"""

from __future__ import annotations

import math

from aixgo.context import MAX_HOPS, CallContext, Clock, _current
from aixgo.domain import label
from aixgo.errors import DeadlineExceeded
from aixgo.ledger import Budget
from aixgo.mailboxes.base import Posted
from aixgo.purse import Purse
from aixgo.runtime.calling import check_budget, check_timeout
from aixgo.runtime.options import Route

__all__ = ["DEFAULT_TIMEOUT", "LONG_TIMEOUT", "Contexts"]

DEFAULT_TIMEOUT = 60.0  # seconds a root call may take
RECEIVED = "received"  # the key of contexts that taking a message makes
LONG_TIMEOUT = 300.0  # seconds, when the target orchestrates, uses a model, or is not described yet


class Contexts:
    """Makes the contexts of one runtime's calls."""

    def __init__(self, clock: Clock, principal: str, routes: dict[str, Route]) -> None:
        self._clock = clock
        self._principal = principal
        self._routes = routes

    def default_timeout(self, target: str) -> float:
        """Seconds a call to `target` may take when nobody said otherwise."""
        route = self._routes.get(target)
        return DEFAULT_TIMEOUT if route is not None and route.is_quick else LONG_TIMEOUT

    def make(
        self,
        target: str,
        parent: CallContext | None,
        timeout: float | None = None,
        budget: Budget | None = None,
        session: str | None = None,
        idempotency_key: str = "",
        key: str = "",
    ) -> CallContext:
        """The context of a call to `target`, made inside `parent` or outside any call.

        Raises:
            DeadlineExceeded: no time is left; nothing was started.
            HopLimit: the path is as long as it may be.
            ConfigError: the timeout is no number of seconds.
            InvalidMessage: the session or a key is not text that UTF-8 can hold.
        """
        now = self._clock.monotonic()
        if session:
            label(session, "session")
        if idempotency_key:
            label(idempotency_key, "idempotency_key")
        if key:
            label(key, "key")
        if timeout is not None:
            check_timeout(timeout)
        if budget is not None:
            check_budget(budget)
        if parent is None:
            limit = self.default_timeout(target) if timeout is None else timeout
            context = CallContext(target, now + limit, self._clock, key or target)
            context.session = session or ""
            context.principal = self._principal
        else:
            limit = math.inf if timeout is None else now + timeout
            context = parent.child(target, min(parent.deadline, limit), key)
            if session is not None:
                context.session = session
        if budget is not None and (parent is None or parent.purse is None):
            context.purse = Purse.of(budget)  # within another budget it is lent, see `lending`
        context.idempotency_key = idempotency_key
        context.began = now
        if context.deadline <= now:
            raise DeadlineExceeded(target)
        return context

    def of_posted(self, posted: Posted, name: str) -> CallContext:
        """The context in which `name` works on a posted message: the message's path, a fresh deadline."""
        now = self._clock.monotonic()
        context = CallContext(
            name,
            deadline=now + self.default_timeout(name),
            clock=self._clock,
            key=posted.key,
            hops=posted.hops,
            max_hops=posted.max_hops or MAX_HOPS,
            budget=posted.budget,
            session=posted.session,
            principal=posted.principal,
            tenant=posted.tenant,
            traceparent=posted.traceparent,
            baggage=posted.baggage,
        )
        context.tracestate = posted.tracestate
        context.peer = posted.peer
        context.began = now
        context.posted = True
        return context

    def taken(self, posted: Posted, name: str) -> None:
        """What `name` does next in this task, it does for `posted`: on its path, with a fresh deadline."""
        current = _current.get()
        if current is None or current.ended:
            context = self.of_posted(posted, name)
            context.key = RECEIVED
            _current.set(context)
