"""The one agent that only this example has: it writes what the others found. `workflow.yaml` says who they are."""

from __future__ import annotations

from dataclasses import dataclass

from aixgo import agent


@dataclass(frozen=True)
class Keyword:
    keyword: str
    count: int


@dataclass(frozen=True)
class Statistics:
    words: int
    minutes: float
    school_grade: float


@dataclass(frozen=True)
class Reading:
    """What `report` is made from: one field per agent of the `reading` step, under its name."""

    keywords: list[Keyword]
    summariser: str
    statistics: Statistics


@agent(role="writer")
def report(found: Reading) -> str:
    """The briefing, as Markdown."""
    facts = found.statistics
    words = ", ".join(f"{item.keyword} ({item.count})" for item in found.keywords)
    return (
        f"**{facts.words:,} words, {facts.minutes:g} minutes to read, school grade "
        f"{facts.school_grade:g}.**\n\n{found.summariser}\n\nKeywords: {words or 'none'}"
    )
