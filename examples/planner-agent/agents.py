"""What a planner's steps are done by: each gets its `task`, and the `results` of the steps it depends on."""

import math
import re
from itertools import pairwise

from aixgo import AgentRefused, agent

CITIES = {
    "Berlin": (52.52, 13.40),
    "Lisbon": (38.72, -9.14),
    "Madrid": (40.42, -3.70),
    "Paris": (48.86, 2.35),
    "Rome": (41.89, 12.51),
    "Vienna": (48.21, 16.37),
}
EARTH = 6371.0  # kilometres
DETOUR = 1.25  # roads are about a quarter longer than the straight way
SPEED = re.compile(r"(\d+) km/h")
REST = re.compile(r"(\d+) (?:minutes|minute) every (\d+) hours?")


@agent
def measure(asked: dict) -> dict[str, object]:
    """The legs between the cities a task names, in its order, in kilometres of road."""
    cities = sorted(filter(asked["task"].__contains__, CITIES), key=asked["task"].index)
    if len(cities) < 2:
        raise AgentRefused(f"a way needs two of: {', '.join(CITIES)}")
    legs = [
        {"from": one, "to": other, "km": round(distance(one, other) * DETOUR)}
        for one, other in pairwise(cities)
    ]
    return {"legs": legs}


@agent
def estimate(asked: dict) -> dict[str, object]:
    """How long each leg of the step before takes."""
    speed, rest = SPEED.search(asked["task"]), REST.search(asked["task"])
    if speed is None:
        raise AgentRefused("a time needs a speed, such as 90 km/h")
    legs = before(asked)["legs"]
    for leg in legs:
        hours = leg["km"] / int(speed[1])
        pauses = math.floor(hours / int(rest[2])) * int(rest[1]) / 60 if rest else 0
        leg["hours"] = round(hours + pauses, 1)
    return {"legs": legs}


@agent
def report(asked: dict) -> str:
    """The legs as lines, and their sums."""
    legs = before(asked)["legs"]
    lines = [f"{leg['from']:<8}{leg['to']:<8}{row(leg)}" for leg in legs]
    total = {
        key: round(sum(leg[key] for leg in legs), 1) for key in ("km", "hours") if key in legs[0]
    }
    return "\n".join([*lines, f"{'':<16}{row(total)}"])


def before(asked: dict) -> dict:
    """What the last step found that this one depends on."""
    results = list(asked.get("results", {}).values())
    if not results:
        raise AgentRefused("this step needs the result of another one")
    return results[-1]


def distance(one: str, other: str) -> float:
    """Kilometres between two cities, over the sphere (haversine)."""
    (lat1, lon1), (lat2, lon2) = (map(math.radians, CITIES[name]) for name in (one, other))
    part = math.sin((lat2 - lat1) / 2) ** 2
    part += math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH * math.asin(math.sqrt(part))


def row(leg: dict) -> str:
    return f"{leg['km']:>6} km" + (f"{leg['hours']:>7} h" if "hours" in leg else "")
