"""Three ways to estimate a list of tasks, and one way to meet: towards the estimate in the middle."""

import math
import re
from collections.abc import Callable
from statistics import median_low

from aixgo import Agent, Message, agent
from aixgo.message import JSONValue

HOURS_A_DAY = 6  # of work, the rest is meetings


def hours(text: str) -> list[float]:
    """The hours of each task, from lines such as "- search page: 5 h"."""
    return [float(found) for found in re.findall(r"(\d+(?:\.\d+)?) ?h\b", text)]


def by_sum(tasks: list[float]) -> float:
    """As if all went well."""
    return sum(tasks)


def by_worst(tasks: list[float]) -> float:
    """As if every task took twice as long, and the largest one three times."""
    return 2 * sum(tasks) + max(tasks, default=0)


def by_spread(tasks: list[float]) -> float:
    """The sum, and twice the deviation it has when each task is off by half, independently (PERT)."""
    return sum(tasks) + 2 * math.sqrt(sum((task / 2) ** 2 for task in tasks))


def estimator(name: str, method: Callable[[list[float]], float], gives: float) -> Agent:
    """An agent that estimates by `method`, and can be moved by `gives` of its estimate."""

    def days(task: str) -> int:
        return math.ceil(method(hours(task)) / HOURS_A_DAY)

    def refine(asked: dict[str, JSONValue]) -> JSONValue:
        answers = asked["answers"]
        assert isinstance(answers, dict)
        found = {shown: int(str(said).split()[0]) for shown, said in answers.items()}
        own, first = found[str(asked["yours"])], days(str(asked["task"]))
        middle = median_low(found.values())
        if own == middle:
            return {"action": "keep"}
        if abs(first - middle) <= gives * first:
            shown = next(shown for shown, number in found.items() if number == middle)
            return {"action": "support", "agent": shown, "reason": f"{name} can live with {middle}"}
        nearer = own + (1 if middle > own else -1)
        return {"action": "revise", "answer": f"{nearer} days"}

    @agent(name=name)
    async def estimate(message: Message) -> JSONValue:
        asked = message.payload
        if message.type == "consensus":
            assert isinstance(asked, dict)
            return refine(asked)
        if message.type == "consensus_result":
            assert isinstance(asked, dict)
            answers = asked["answers"]
            assert isinstance(answers, dict)
            others = sorted(
                (str(said) for said in answers.values()), key=lambda said: int(said.split()[0])
            )
            return f"{answers[str(asked['chosen'])]}, after hearing {', '.join(others)}"
        return f"{days(message.text)} days"

    return estimate


counter = estimator("counter", by_sum, gives=0.6)
pessimist = estimator("pessimist", by_worst, gives=0.3)
planner = estimator("planner", by_spread, gives=0.4)
