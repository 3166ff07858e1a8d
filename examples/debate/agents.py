"""Two advocates, who put forward what speaks for them most, and a judge, who adds up what was shown."""

import re

from aixgo import agent
from aixgo.message import JSONValue

CLEAR = 1.0  # how far one side has to lead for the judge to end it early


def journey(question: str) -> dict[str, dict[str, float]]:
    """What either way costs in money, hours and kilograms of CO2, from what the question says."""

    def number(what: str, otherwise: float) -> float:
        found = re.search(rf"(\d+(?:\.\d+)?) {what}", question)
        return float(found[1]) if found else otherwise

    distance, people = number("km", 300), number("people", 1)
    return {
        "money": {"train": number("a ticket", 60) * people, "car": 0.30 * distance},
        "hours": {"train": distance / 130 + 1, "car": distance / 95},
        "carbon": {"train": 0.03 * distance * people, "car": 0.17 * distance},
    }


def lead(costs: dict[str, float], side: str) -> float:
    """By which part of its own cost the other side is worse; below 0 when it is better."""
    other = "car" if side == "train" else "train"
    return round((costs[other] - costs[side]) / costs[side], 3)


def argue(asked: dict[str, JSONValue], side: str) -> dict[str, JSONValue]:
    """The next best point for `side`: the strongest in the first round, then the second, then the last."""
    costs = journey(str(asked["question"]))
    points = sorted(costs, key=lambda point: lead(costs[point], side), reverse=True)
    point = points[(int(str(asked["round"])) - 1) % len(points)]
    return {
        "category": side,
        "point": point,
        "lead": lead(costs[point], side),
        "argument": f"by {side} it is {costs[point][side]:.1f} {point}, {asked['stance']}",
    }


@agent
async def rails(asked: dict[str, JSONValue]) -> dict[str, JSONValue]:
    """Argues for the train."""
    return argue(asked, "train")


@agent
async def roads(asked: dict[str, JSONValue]) -> dict[str, JSONValue]:
    """Argues for the car."""
    return argue(asked, "car")


@agent
async def judge(asked: dict[str, JSONValue]) -> dict[str, JSONValue]:
    """Adds up the leads shown so far, and decides when they are far apart or at the end."""
    totals = {"rails": 0.0, "roads": 0.0}
    held = asked["rounds"]
    assert isinstance(held, list)
    for spoken in held:
        assert isinstance(spoken, dict)
        for name, said in spoken.items():
            assert isinstance(said, dict)
            totals[name] += float(str(said["lead"]))
    best = max(totals, key=lambda name: totals[name])
    apart = abs(totals["rails"] - totals["roads"])
    if apart < CLEAR and not asked["final"]:
        return {"undecided": True, "reason": f"only {apart:.2f} apart"}
    return {"winner": best, "reason": f"ahead by {apart:.2f} in round {len(held)}"}
