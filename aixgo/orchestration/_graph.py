"""How agents work together, as a Mermaid flowchart: what a pattern's `edges` say, drawn.

A pattern inside another is a subgraph whose own ways in and out take the place of the edges that lead to it, so that a
chart shows who asks whom at any depth. It is drawn once; where it stands again it is a node. Names may hold anything:
what Mermaid could read as its own is written as an entity.

Below: names. Above: base, which has every pattern draw itself, and config, which draws files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

from aixgo.contract import Agent

__all__ = ["END", "START", "Chart", "Drawn", "Edge", "Picture", "Place", "Shape", "Step", "Way"]

SHOWN = 60  # characters of a text in a chart
SAFE = frozenset(" -_.,()/+!?'…≥≤→")  # besides letters and digits of any language

Shape: TypeAlias = Literal["agent", "step", "choice", "end", "again"]
SHAPES: Mapping[Shape, tuple[str, str]] = {
    "agent": ("[", "]"),
    "step": ("(", ")"),
    "choice": ("{", "}"),
    "end": ("([", "])"),
    "again": ("[[", "]]"),
}


@dataclass(slots=True, frozen=True)
class Step:
    """What a pattern does itself, between its agents; a `choice` decides where it goes on."""

    text: str
    shape: Shape = "step"


START = Step("message", "end")
"""Where the message comes from."""
END = Step("reply", "end")
"""Where the reply goes."""

Place: TypeAlias = "Step | str"
"""A step, or the name of an agent."""


@dataclass(slots=True, frozen=True)
class Edge:
    """One way a message goes in a pattern; `maybe` for a way that only some runs take."""

    source: Place
    target: Place
    label: str = ""
    maybe: bool = False


@runtime_checkable
class Picture(Protocol):
    """What can be drawn: an orchestrator."""

    name: str
    pattern: ClassVar[str]
    members: tuple[Agent | str, ...]

    def edges(self) -> Iterable[Edge]:
        """How its messages go."""
        ...

    @property
    def stand_ins(self) -> Mapping[str, Sequence[str]]:
        """Agent → those asked in its stead."""
        ...


class Way(NamedTuple):
    """Into something drawn, or out of it."""

    node: str
    label: str = ""
    maybe: bool = False


class Drawn(NamedTuple):
    """Something drawn: its id, and the ways in and out."""

    id: str
    entries: Sequence[Way]
    exits: Sequence[Way]


class Chart:
    """A flowchart in the making. `known` are the orchestrators that names may stand for.

    `stand_ins` are those asked in an agent's stead, besides what the orchestrators say themselves.
    """

    def __init__(
        self,
        known: Mapping[str, Picture] | None = None,
        stand_ins: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._known = dict(known or {})
        self._stand_ins = dict(stand_ins or {})
        self._nodes: list[str] = []
        self._links: dict[str, None] = {}  # a set in order
        self._depth = 1
        self._count = 0
        self._seen: set[str] = set()
        self._dashed = False

    def node(self, text: str, shape: Shape = "agent", *, dashed: bool = False) -> Drawn:
        """A node of its own."""
        number = self._next("n")
        left, right = SHAPES[shape]
        self._dashed = self._dashed or dashed
        self._line(f"{number}{left}{_quoted(text)}{right}{':::standin' if dashed else ''}")
        return Drawn(number, [Way(number)], [Way(number)])

    def agent(self, slot: Agent | str, *, helped: bool = True) -> Drawn:
        """An agent or orchestrator, given or by its name, and those who stand in for it."""
        name = slot if isinstance(slot, str) else slot.name
        found = slot if isinstance(slot, Picture) else self._known.get(name)
        if found is None:
            drawn = self.node(name)
        elif name in self._seen:
            drawn = self.node(name, "again")
        else:
            drawn = self._orchestrator(found, name)
        if helped:
            self._help(drawn, self._stand_ins.get(name, ()))
        return drawn

    def link(self, source: Drawn, target: Drawn, label: str = "", *, maybe: bool = False) -> None:
        """Join two that are drawn."""
        for out in source.exits:
            for into in target.entries:
                dashed = maybe or out.maybe or into.maybe
                self._arrow(out.node, into.node, _joined(out.label, label, into.label), dashed)

    def text(self) -> str:
        """The chart as Mermaid reads it."""
        style = ["    classDef standin stroke-dasharray: 5 5"] if self._dashed else []
        return "\n".join(["flowchart LR", *self._nodes, *self._links, *style])

    def _orchestrator(self, found: Picture, name: str) -> Drawn:
        self._seen.add(name)
        number = self._next("g")
        title = f"{name} ({found.pattern})" if found.pattern else name
        self._line(f"subgraph {number}[{_quoted(title)}]")
        self._depth += 1
        inside = self._inside(found)
        self._depth -= 1
        self._line("end")
        return Drawn(number, *inside)

    def _inside(self, found: Picture) -> tuple[Sequence[Way], Sequence[Way]]:
        """What an orchestrator consists of; its ways in and out."""
        slots = {slot if isinstance(slot, str) else slot.name: slot for slot in found.members}
        instead = {name for others in found.stand_ins.values() for name in others}
        drawn: dict[Place, Drawn] = {}
        entries: list[Way] = []
        exits: list[Way] = []
        edges = list(found.edges())
        own = [place for edge in edges for place in (edge.source, edge.target)]
        for place in dict.fromkeys([*(name for name in slots if name not in instead), *own]):
            if isinstance(place, str):
                drawn[place] = self.agent(slots.get(place, place))
            elif place not in (START, END):
                drawn[place] = self.node(place.text, place.shape)
        for edge in edges:
            if edge.source == START and edge.target == END:
                continue  # nobody is asked
            if edge.source == START:
                entries += _on(edge, drawn[edge.target].entries)
            elif edge.target == END:
                exits += _on(edge, drawn[edge.source].exits)
            else:
                self.link(
                    drawn[edge.source], drawn[edge.target], label=edge.label, maybe=edge.maybe
                )
        for name, others in found.stand_ins.items():
            if name in drawn:
                self._help(drawn[name], others, slots)
        return entries, exits

    def _help(
        self, drawn: Drawn, others: Sequence[str], slots: Mapping[str, Agent | str] | None = None
    ) -> None:
        """Those asked in its stead, one after another."""
        for name in others:
            slot = (slots or {}).get(name, name)
            nested = isinstance(slot, Picture) or name in self._known
            helper = self.agent(slot, helped=False) if nested else self.node(name, dashed=True)
            self._arrow(drawn.id, helper.id, "failed", True)
            drawn = helper

    def _arrow(self, source: str, target: str, label: str, maybe: bool) -> None:
        arrow = "-.->" if maybe else "-->"
        told = f"|{_quoted(label)}|" if label else ""
        self._links[f"    {source} {arrow}{told} {target}"] = None

    def _line(self, text: str) -> None:
        self._nodes.append(f"{'    ' * self._depth}{text}")

    def _next(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"


def _on(edge: Edge, ways: Iterable[Way]) -> list[Way]:
    """The ways of what stands at the end of an edge from outside, told of as that edge is."""
    inner = edge.source == START
    return [
        Way(
            way.node,
            _joined(edge.label, way.label) if inner else _joined(way.label, edge.label),
            way.maybe or edge.maybe,
        )
        for way in ways
    ]


def _joined(*labels: str) -> str:
    return ", ".join(dict.fromkeys(label for label in labels if label))


def _quoted(text: str) -> str:
    """`text` as a quoted text of Mermaid, in which nothing means anything."""
    shown = " ".join(text.split())
    if len(shown) > SHOWN:
        shown = f"{shown[: SHOWN - 1]}…"
    safe = (sign if sign.isalnum() or sign in SAFE else f"#{ord(sign)};" for sign in shown)
    return f'"{"".join(safe)}"'
