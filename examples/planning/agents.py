"""A project's schedule by the critical path method: one step for each task, after those it waits for."""

import re

from aixgo import AgentRefused, agent

LINE = re.compile(r"^- (?P<task>[^:]+): (?P<days>\d+) days?(?:, after (?P<after>.+))?$")


@agent
def planner(text: str) -> dict[str, list[dict[str, object]]]:
    """A step for each task of the list, and one that looks at all of them."""
    steps: list[dict[str, object]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        found = LINE.match(line)
        if found is None:
            raise AgentRefused(f"{line!r} is no task; write '- name: 3 days, after other, another'")
        after = re.split(r", | and ", found["after"]) if found["after"] else []
        task = {
            "task": found["task"],
            "days": int(found["days"]),
            "after": [f"{{{one}}}" for one in after],
        }
        steps.append({"id": found["task"], "agent": "schedule", "input": task, "depends_on": after})
    tasks = [f"{{{step['id']}}}" for step in steps]
    return {"steps": [*steps, {"id": "review of all", "agent": "review", "input": tasks}]}


@agent
def schedule(asked: dict) -> dict[str, object]:
    """When a task begins and ends, and by which tasks that is decided; `after` are the schedules of those before it."""
    begin = max((done["end"] for done in asked["after"]), default=0)
    path = next((done["path"] for done in asked["after"] if done["end"] == begin), [])
    end = begin + asked["days"]
    return {"task": asked["task"], "begin": begin, "end": end, "path": [*path, asked["task"]]}


@agent
def review(tasks: list) -> str:
    """The whole project: each task as a bar, and the tasks that decide its length."""
    last = max(tasks, key=lambda task: task["end"])
    width = max(len(task["task"]) for task in tasks)
    bars = [
        f"{task['task']:<{width}}  {' ' * task['begin']}{'=' * (task['end'] - task['begin'])}"
        for task in sorted(tasks, key=lambda task: (task["begin"], task["end"], task["task"]))
    ]
    return "\n".join([*bars, f"{last['end']} days, decided by: {', '.join(last['path'])}"])
