"""Events folded into a tree: the calls of a run, each with its time, what it spent, and what it called.

Any events make a tree, also those of a run that was killed: what has no end goes on until the last event, and
what has no beginning hangs from the whole run. A node's `total` is what is known of it and everything below
it; its `own` is that without what is below, so that the `own` of all nodes add up to the `total` of the root.

Below: events. Above: cli.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from aixgo.ledger import Usage
from aixgo.sessions.events import (
    ErrorRaised,
    Event,
    EventsDropped,
    MessageCompleted,
    PromptReceived,
    RunCancelled,
    RunCompleted,
    RunStarted,
    Spent,
    ToolCallCompleted,
    ToolCallFailed,
    ToolCallStarted,
)

__all__ = ["Node", "Tree", "fold"]

COUNTS = tuple(name for name in Spent.__struct_fields__ if name != "unsettled")


@dataclass(slots=True, eq=False)
class Node:
    """One piece of work of a run."""

    kind: str
    """`run`, `call`, `message` for what an agent took from its mailbox, `model` or `tool`."""
    name: str
    key: str = ""
    run_id: str = ""
    began: float = 0.0
    """Unix seconds."""
    ended: float = 0.0
    """Unix seconds; of work that has no end, the time of the last event."""
    status: str = "running"
    """`running`, `ok`, `failed` or `cancelled`."""
    error: str = ""
    """The class of the error it ended with."""
    error_id: str = ""
    error_text: str = ""
    pattern: str = ""
    process: int = 0
    """The process its agent ran in, if that is not the one the run began in."""
    critical: bool = False
    """Whether the run would have been shorter if this had been."""
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)
    """In the order they began."""
    reported: Usage = field(default_factory=Usage)
    total: Usage = field(default_factory=Usage)
    own: Usage = field(default_factory=Usage)

    @property
    def seconds(self) -> float:
        return max(0.0, self.ended - self.began)

    def walk(self) -> Iterator[Node]:
        """This node and everything below it, each before what is below it."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.children))


@dataclass(slots=True)
class Tree:
    """A run as a whole."""

    root: Node
    config: str = ""
    distributed: bool = False
    ready: float = 0.0
    """When everything was up and the input came in, in Unix seconds."""
    prompt: str = ""
    """The input, if content was recorded."""
    answer: str | None = None
    dropped: int = 0
    """Events that are known to be missing."""

    @property
    def startup(self) -> float:
        """Seconds before anything could be called."""
        return max(0.0, self.ready - self.root.began)

    @property
    def critical_path(self) -> list[Node]:
        """The work that the run's duration depended on, in the order it began."""
        return [node for node in self.root.walk() if node.critical]


def fold(events: Iterable[Event], run_id: str = "") -> Tree:
    """The tree of a run's events, in the order of their time.

    Args:
        events: any part of what was recorded.
        run_id: of the whole run; without it, the first one that has no caller.
    """
    return _Fold(run_id).of(events)


class _Fold:
    """The nodes while the events are read; links are made at the end, when all are known."""

    def __init__(self, run_id: str) -> None:
        self.tree = Tree(Node("run", "", run_id=run_id))
        self._runs: dict[str, Node] = {run_id: self.tree.root} if run_id else {}
        self._starts: dict[Node, RunStarted] = {}
        self._arrivals: list[tuple[Node, RunStarted]] = []
        self._steps: list[tuple[Node, str]] = []
        self._tools: dict[tuple[str, str], Node] = {}
        self._last = 0.0

    def of(self, events: Iterable[Event]) -> Tree:
        for event in events:
            self._last = max(self._last, event.time)
            self._add(event)
        self._link()
        root = self.tree.root
        root.began = root.began or min((n.began for n in root.walk() if n.began), default=0.0)
        first = min((child.began for child in root.children), default=root.began)
        self.tree.ready = self.tree.ready or first
        for node in root.walk():
            if node.status == "running":
                node.ended = max(self._last, node.began)
            node.children.sort(key=lambda child: child.began)
        _sum(root)
        _mark(root)
        return self.tree

    # -- reading --------------------------------------------------------------------------------------

    def _add(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self._start(event)
        elif isinstance(event, RunCompleted | RunCancelled | ErrorRaised):
            self._end(event)
        elif isinstance(event, MessageCompleted):
            self._answer(event)
        elif isinstance(event, ToolCallStarted | ToolCallCompleted | ToolCallFailed):
            self._tool(event)
        elif isinstance(event, PromptReceived):
            self.tree.ready, self.tree.prompt = event.time, event.content
        elif isinstance(event, EventsDropped):
            self.tree.dropped += event.count

    def _start(self, event: RunStarted) -> None:
        root = self.tree.root
        whole = not (event.parent_run_id or event.parent_key or event.arrived or event.key)
        if not self._runs and whole:  # nobody said which run this is
            root.run_id = event.run_id
            self._runs[event.run_id] = root
        node = self._run(event.run_id)
        node.name, node.key = event.agent, event.key
        node.began = node.began or event.time
        if node is root:
            self.tree.config, self.tree.distributed = event.config, event.distributed
            return
        node.kind = "message" if event.posted else "call"
        if event.arrived:
            node.process = event.process
            self._arrivals.append((node, event))
        else:
            self._starts[node] = event

    def _end(self, event: RunCompleted | RunCancelled | ErrorRaised) -> None:
        node = self._run(event.run_id)
        if node.status != "running":
            return  # it ended before; whoever wrote this twice means the same
        node.ended = event.time
        node.began = node.began or event.time - event.duration_ms / 1000
        node.reported = event.usage.usage
        if isinstance(event, RunCompleted):
            node.status, node.pattern = "ok", event.pattern
            if node is self.tree.root:
                self.tree.answer = event.content
        elif isinstance(event, RunCancelled):
            node.status = "cancelled"
        else:
            node.status, node.error = "failed", event.error_type
            node.error_id, node.error_text = event.error_id, event.error_message

    def _answer(self, event: MessageCompleted) -> None:
        node = Node("model", event.model_used)
        node.began, node.ended = event.time - event.duration_ms / 1000, event.time
        node.status = "failed" if event.error_type else "ok"
        node.error = event.error_type
        node.reported = event.usage.usage
        self._steps.append((node, event.run_id))

    def _tool(self, event: ToolCallStarted | ToolCallCompleted | ToolCallFailed) -> None:
        place = (event.run_id, event.tool_id)
        if isinstance(event, ToolCallStarted):
            node = Node("tool", event.tool_name, began=event.time)
            self._steps.append((node, event.run_id))
            self._tools[place] = node
            return
        found = self._tools.pop(place, None)
        if found is None:
            found = Node("tool", event.tool_name, began=event.time - event.duration_ms / 1000)
            self._steps.append((found, event.run_id))
        found.ended = event.time
        found.status = "ok" if event.success else "failed"

    def _run(self, run_id: str) -> Node:
        return self._runs.setdefault(run_id, Node("call", "?", run_id=run_id))

    # -- linking --------------------------------------------------------------------------------------

    def _link(self) -> None:
        by_place: dict[tuple[str, str], list[Node]] = {}
        for node in self._starts:
            by_place.setdefault((node.name, node.key), []).append(node)
        for node, start in self._arrivals:
            same = _before(by_place.get((start.agent, start.key), ()), node.began, taken=True)
            if same is None:
                self._starts[node] = start  # whoever began it is not in the record
                by_place.setdefault((node.name, node.key), []).append(node)
            else:
                self._join(same, node)
        for node in dict.fromkeys(self._runs.values()):
            if node is not self.tree.root:
                self._hang(node, self._caller(node, by_place))
        for step, run_id in self._steps:
            self._hang(step, self._runs.get(run_id))

    def _join(self, node: Node, seen: Node) -> None:
        """`seen` is what the agent's own process says of `node`."""
        node.process = seen.process
        if node.status == "running" and seen.status != "running":
            node.status, node.ended = seen.status, seen.ended
            node.error, node.error_id, node.error_text = seen.error, seen.error_id, seen.error_text
            node.reported, node.pattern = seen.reported, seen.pattern
        self._runs[seen.run_id] = node

    def _caller(self, node: Node, by_place: dict[tuple[str, str], list[Node]]) -> Node | None:
        start = self._starts.get(node)
        if start is None or start.posted:
            return None  # nobody waits for what was posted, so it is no part of a call
        if start.parent_run_id:
            return self._runs.get(start.parent_run_id)
        place = (start.parent_agent, start.parent_key)
        return _before(by_place.get(place, ()), node.began)

    def _hang(self, node: Node, parent: Node | None) -> None:
        """Hang `node` below `parent`, or below the root if there is none or it would be a circle."""
        above = parent
        while above is not None:
            if above is node:
                parent = None
                break
            above = above.parent
        node.parent = parent or self.tree.root
        node.parent.children.append(node)


def _before(nodes: Iterable[Node], moment: float, *, taken: bool = False) -> Node | None:
    """The one that began last before `moment` and was under way then, else the one that began last.

    With `taken`, those whose process is known already are passed over.
    """
    left = [node for node in nodes if not (taken and node.process)]
    began = [node for node in left if node.began <= moment]
    open_then = [node for node in began if node.status == "running" or node.ended >= moment]
    for found in (open_then, began, left):
        if found:
            return max(found, key=lambda node: node.began)
    return None


def _sum(root: Node) -> None:
    """Work out `total` and `own` of every node, the lowest first."""
    for node in reversed(list(root.walk())):
        below = Usage()
        for child in node.children:
            below.add(child.total)
        for name in COUNTS:
            known, spent = getattr(node.reported, name), getattr(below, name)
            setattr(node.total, name, max(known, spent))
            setattr(node.own, name, max(0, known - spent))
        node.total.unsettled = node.reported.unsettled or below.unsettled


def _mark(root: Node) -> None:
    """Mark the critical path: from each end backwards, whoever ended last before, and so on down."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        node.critical = True
        moment = node.ended
        for child in sorted(node.children, key=lambda child: child.ended, reverse=True):
            if child.ended <= moment + 1e-9 and child.began < moment:
                waiting.append(child)
                moment = child.began
