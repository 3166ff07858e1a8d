"""From the minutes of a meeting to a list of tasks: each step takes what the one before made."""

import re
from datetime import date, timedelta

from aixgo import AgentRefused, agent

WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
HELD = re.compile(r"\d{4}-\d{2}-\d{2}")
TASK = re.compile(
    r"(?P<who>[A-Z]\w+(?: and [A-Z]\w+)*) (?:will|is to|are to) (?P<what>[^.]+?)"
    r"(?: (?:by|until|on) (?P<when>\w+day|tomorrow|\d{4}-\d{2}-\d{2}))?\."
)

Task = dict[str, str]


@agent
def unfold(text: str) -> str:
    """One line for each paragraph, without marks of lists and doubled blanks."""
    paragraphs = re.split(r"\n\s*(?:\n|[-*]\s)", text.strip())
    return "\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


@agent
def tasks(text: str) -> dict[str, str | list[Task]]:
    """The day of the meeting, and each sentence that says who will do what."""
    held = HELD.search(text)
    if held is None:
        raise AgentRefused("the minutes have no date; write it as 2026-03-02")
    found = [
        {"who": who, "what": match["what"], "when": (match["when"] or "").lower()}
        for match in TASK.finditer(text)
        for who in match["who"].split(" and ")
    ]
    return {"held": held[0], "tasks": found}


@agent
def dates(minutes: dict[str, str | list[Task]]) -> list[Task]:
    """The tasks with the day each is due, the next one of that name after the meeting; soonest first."""
    held, found = date.fromisoformat(str(minutes["held"])), minutes["tasks"]
    assert isinstance(found, list)
    due = [{**task, "when": day_of(task["when"], held)} for task in found]
    return sorted(due, key=lambda task: (task["when"] or "9999", task["who"]))


def day_of(said: str, held: date) -> str:
    if said == "tomorrow":
        return str(held + timedelta(days=1))
    if said in WEEKDAYS:
        return str(held + timedelta(days=(WEEKDAYS.index(said) - held.weekday() - 1) % 7 + 1))
    return said


@agent
def table(due: list[Task]) -> str:
    """A Markdown table."""
    lines = ["| due | who | what |", "|---|---|---|"]
    lines += [f"| {task['when'] or 'open'} | {task['who']} | {task['what']} |" for task in due]
    return "\n".join(lines if due else ["Nothing is to be done."])
