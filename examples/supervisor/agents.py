"""A trip planned in rounds: a manager that sees what is missing, and three agents with a timetable, rooms and a sum.

The route is the shortest by time (Dijkstra, "A note on two problems in connexion with graphs", 1959).
"""

from __future__ import annotations

import heapq
import re
from typing import TypedDict

from aixgo import AgentRefused, agent
from aixgo.message import JSONValue

MINUTES = {
    ("Bern", "Basel"): 55,
    ("Bern", "Zurich"): 60,
    ("Basel", "Zurich"): 58,
    ("Zurich", "Milan"): 200,
    ("Bern", "Milan"): 185,
    ("Milan", "Florence"): 115,
    ("Florence", "Rome"): 95,
}
CENTS_A_MINUTE = 31
ROOMS = {
    "Milan": 11000,
    "Rome": 9500,
    "Florence": 8700,
    "Zurich": 16000,
    "Basel": 13000,
    "Bern": 14000,
}
LONGEST_DAY = 300  # minutes on trains; beyond it one sleeps on the way
TRIP = re.compile(r"from (\w+) to (\w+) for (\d+) nights?(?:, at most (\d+))?", re.IGNORECASE)


class Said(TypedDict):
    agent: str
    says: dict[str, JSONValue]


class Round(TypedDict):
    task: str
    history: list[Said]


Asked = str | Round


@agent
def planner(asked: Asked) -> dict[str, JSONValue]:
    """Who is next: trains, then rooms where one sleeps, then the sum."""
    wish(task_of(asked))
    known = facts(asked)
    if "stops" not in known:
        return {"agent": "trains", "done": False}
    if "nights" not in known:
        return {"agent": "rooms", "done": False}
    return {"agent": "purse", "done": False} if "cents" not in known else {"done": True}


@agent
def trains(asked: Asked) -> dict[str, JSONValue]:
    """The fastest way there."""
    start, end, _, _ = wish(task_of(asked))
    reached: list[tuple[int, list[str]]] = [(0, [start])]
    seen: set[str] = set()
    while reached:
        minutes, stops = heapq.heappop(reached)
        if stops[-1] == end:
            return {"stops": [*stops], "minutes": minutes}
        if stops[-1] in seen:
            continue
        seen.add(stops[-1])
        for (a, b), more in MINUTES.items():
            for here, there in ((a, b), (b, a)):
                if here == stops[-1] and there not in seen:
                    heapq.heappush(reached, (minutes + more, [*stops, there]))
    raise AgentRefused(f"no train goes from {start} to {end}")


@agent
def rooms(asked: Asked) -> dict[str, JSONValue]:
    """Nights at the end, and one on the way if the day gets too long."""
    _, end, wanted, _ = wish(task_of(asked))
    known = facts(asked)
    stops, minutes = known["stops"], known["minutes"]
    assert isinstance(stops, list)
    assert isinstance(minutes, int)
    nights: dict[str, JSONValue] = {end: wanted}
    if minutes > LONGEST_DAY and len(stops) > 2:
        nights[str(stops[-2])] = 1
    return {"nights": nights}


@agent
def purse(asked: Asked) -> dict[str, JSONValue]:
    """What it all costs, and whether that is within what was said."""
    _, _, _, most = wish(task_of(asked))
    known = facts(asked)
    minutes, nights = known["minutes"], known["nights"]
    assert isinstance(minutes, int)
    assert isinstance(nights, dict)
    cents = minutes * CENTS_A_MINUTE
    cents += sum(ROOMS[town] * count for town, count in nights.items() if isinstance(count, int))
    within = most is None or cents <= 100 * most
    return {**known, "cents": cents, "within": within, "done": True}


def task_of(asked: Asked) -> str:
    return asked if isinstance(asked, str) else asked["task"]


def facts(asked: Asked) -> dict[str, JSONValue]:
    """All that has been found out."""
    found: dict[str, JSONValue] = {}
    for said in [] if isinstance(asked, str) else asked["history"]:
        found |= said["says"]
    return found


def wish(text: str) -> tuple[str, str, int, int | None]:
    """From where, to where, for how many nights, for how many francs at most."""
    found = TRIP.search(text)
    if found is None:
        raise AgentRefused('say: "from Bern to Rome for 3 nights, at most 700"')
    start, end, nights, most = found.groups()
    for town in (start.title(), end.title()):
        if town not in ROOMS:
            raise AgentRefused(f"{town} is not on the map: {', '.join(ROOMS)}")
    return start.title(), end.title(), int(nights), int(most) if most else None
