"""What can be wrong with one agent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from aixgo.errors.base import AixgoError, FieldValue, nearest

__all__ = [
    "AgentError",
    "AgentExists",
    "AgentFailed",
    "AgentNotFound",
    "AgentNotReady",
    "AgentRefused",
    "NotBound",
    "SessionBusy",
]


class AgentError(AixgoError):
    """Something about one agent."""


class AgentNotFound(AgentError):
    """No agent of that name is hosted here or known as a peer."""

    status = "NOT_FOUND"
    fields: ClassVar[tuple[str, ...]] = ("name",)

    def __init__(self, name: str = "", known: Iterable[str] = ()) -> None:
        self.name = name
        near = nearest(name, known)
        super().__init__(
            f"no agent is called {name!r}" + (f"; did you mean {near!r}?" if near else "")
        )


class AgentExists(AgentError):
    """The name, or another name with the same slug, is taken in this runtime."""

    status = "ALREADY_EXISTS"
    fields: ClassVar[tuple[str, ...]] = ("name", "taken_by")

    def __init__(self, name: str = "", taken_by: str = "") -> None:
        self.name = name
        self.taken_by = taken_by or name
        if self.taken_by == name:
            text = f"an agent called {name!r} is registered already"
        else:
            text = f"the name {name!r} collides with {taken_by!r}: both have the same slug"
        super().__init__(text)


class AgentNotReady(AgentError):
    """The agent exists but has not started, failed to start, or says it is not ready."""

    status = "UNAVAILABLE"
    retryable = True
    fields: ClassVar[tuple[str, ...]] = ("name", "state")

    def __init__(self, name: str = "", state: str = "not ready") -> None:
        self.name = name
        self.state = state
        super().__init__(f"agent {name!r} is {state}")


class AgentFailed(AgentError):
    """The agent raised something that is no aixgo error; the text stays in its own process."""

    status = "INTERNAL"
    fields: ClassVar[tuple[str, ...]] = ("name",)

    def __init__(self, name: str = "", error_id: str = "") -> None:
        self.name = name
        self.agent = name
        self.error_id = error_id
        super().__init__(
            f"agent {name!r} failed (error id {error_id or 'unknown'}: its log has the traceback)"
        )


class AgentRefused(AgentError):
    """An agent declines, in words meant for its caller: the only error whose text crosses processes."""

    status = "FAILED_PRECONDITION"
    fields: ClassVar[tuple[str, ...]] = ("text",)

    def __init__(self, text: str = "the agent refused") -> None:
        self.text = text
        super().__init__(text)

    def wire_fields(self) -> dict[str, FieldValue]:
        """The whole text up to 2048 characters, because it was written for the caller."""
        return {"text": self.text[:2048]}


class NotBound(AgentError):
    """An orchestrator was executed without a runtime that could deliver its calls."""

    status = "FAILED_PRECONDITION"
    fields: ClassVar[tuple[str, ...]] = ("name",)

    def __init__(self, name: str = "") -> None:
        self.name = name
        super().__init__(
            f"{name!r} is not bound: register it in a runtime and call it there by name"
        )


class SessionBusy(AgentError):
    """The session has a chat under way with this agent; a session has one at a time."""

    status = "ABORTED"
    retryable = True
    fields: ClassVar[tuple[str, ...]] = ("name",)

    def __init__(self, name: str = "") -> None:
        self.name = name
        super().__init__(f"the session has a chat with {name!r} under way; wait for its end")
