"""Made-up runs: trees of calls, and the events they would have left."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from hypothesis import strategies as st

from aixgo.ledger import Usage
from aixgo.sessions.events import (
    ErrorRaised,
    Event,
    MessageCompleted,
    RunCancelled,
    RunCompleted,
    RunStarted,
    Spent,
    ToolCallCompleted,
    ToolCallFailed,
    ToolCallStarted,
    as_time,
)

RUN = "whole"
BEGAN = 1_700_000_000.0


@dataclass
class Made:
    """A call somebody may make: what it spends itself, how it ends, where its agent is, what it calls."""

    agent: str
    cost: int = 0
    tokens: int = 0
    ends: str = "ok"
    remote: bool = False
    tool: str = ""
    calls: list[Made] = field(default_factory=list)

    def total(self) -> Usage:
        usage = Usage(cost_nanos=self.cost, tokens_prompt=self.tokens)
        for call in self.calls:
            usage.add(call.total())
        return usage

    def count(self) -> int:
        return 1 + sum(call.count() for call in self.calls)


names = st.sampled_from(["one", "two", "three", "four"])
made = st.recursive(
    st.builds(
        Made,
        names,
        st.integers(0, 10**12),
        st.integers(0, 10**6),
        st.sampled_from(["ok", "failed", "cancelled"]),
        st.booleans(),
        st.sampled_from(["", "works", "fails"]),
    ),
    lambda inner: st.builds(
        Made,
        names,
        st.integers(0, 10**12),
        st.integers(0, 10**6),
        st.sampled_from(["ok", "failed", "cancelled"]),
        st.booleans(),
        st.just(""),
        st.lists(inner, max_size=3),
    ),
    max_leaves=12,
)


class Writer:
    """The events of made-up calls, a millisecond apart."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._ids = 0

    def run(self, call: Made) -> list[Event]:
        """A whole run that makes one call."""
        self.add(RunStarted(timestamp=self.now(), run_id=RUN, agent=call.agent, config="c.yaml"))
        self.call(call, call.agent, RUN, None)
        self.end("ok", RUN, call.total())
        return self.events

    def call(self, call: Made, key: str, parent: str, at: tuple[str, str] | None) -> None:
        """`parent` is the caller's run where its process knows that; `at` the caller's agent and key."""
        run_id = self.new_id()
        agent, parent_key = at or ("", "")
        self.add(
            RunStarted(
                timestamp=self.now(),
                run_id=run_id,
                agent=call.agent,
                key=key,
                parent_run_id=parent,
                parent_agent=agent,
                parent_key=parent_key,
            )
        )
        inner = run_id
        if call.remote:
            inner = self.new_id()
            self.add(
                RunStarted(
                    timestamp=self.now(),
                    run_id=inner,
                    agent=call.agent,
                    key=key,
                    arrived=True,
                    process=7,
                )
            )
        if call.cost or call.tokens:
            own = Spent(cost_nanos=call.cost, tokens_prompt=call.tokens)
            self.add(
                MessageCompleted(timestamp=self.now(), run_id=inner, model_used="m", usage=own)
            )
        if call.tool:
            self.tool(call.tool, inner)
        for number, child in enumerate(call.calls):
            self.call(child, f"{key}/{child.agent}[{number}]", inner, (call.agent, key))
        if call.remote:
            self.end(call.ends, inner, call.total())
        self.end(call.ends, run_id, call.total())

    def tool(self, how: str, run_id: str) -> None:
        tool_id = self.new_id()
        ended = ToolCallCompleted if how == "works" else ToolCallFailed
        self.add(
            ToolCallStarted(timestamp=self.now(), run_id=run_id, tool_name=how, tool_id=tool_id)
        )
        self.add(ended(timestamp=self.now(), run_id=run_id, tool_name=how, tool_id=tool_id))

    def end(self, how: str, run_id: str, usage: Usage) -> None:
        spent = Spent.of(usage)
        if how == "ok":
            self.add(RunCompleted(timestamp=self.now(), run_id=run_id, usage=spent))
        elif how == "failed":
            self.add(
                ErrorRaised(timestamp=self.now(), run_id=run_id, usage=spent, error_type="Broken")
            )
        else:
            self.add(RunCancelled(timestamp=self.now(), run_id=run_id, usage=spent))

    def add(self, event: Event) -> None:
        self.events.append(event)

    def now(self) -> datetime:
        return as_time(BEGAN + len(self.events) / 1000)

    def new_id(self) -> str:
        self._ids += 1
        return f"run-{self._ids}"
