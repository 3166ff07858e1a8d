"""A shop's service: four functions with an order book, of which each knows only its own part of the work.

What one finds out goes into the context of all that follow, so that nobody asks twice.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TypedDict

from aixgo import Message, agent
from aixgo.message import JSONValue

TODAY = date(2026, 3, 2)  # the shop's day, so that the answers stay the same
DAYS_TO_RETURN = 30
DAYS_OF_WARRANTY = 730
NUMBER = re.compile(r"\b(?:order|invoice)?\s*#?(\d{4})\b", re.IGNORECASE)
WISHES = {
    "refund": ("refund", "money back", "return", "charged", "paid twice"),
    "repair": ("broken", "repair", "defective", "crack", "does not work", "stopped working"),
}


class Order(TypedDict):
    item: str
    cents: int
    paid_cents: int
    bought: str


class Context(TypedDict, total=False):
    number: str
    wish: str
    order: Order
    worthless: bool


class Case(TypedDict):
    task: str
    history: list[dict[str, str]]
    context: Context


BOOK: dict[str, Order] = {
    "1041": {"item": "kettle", "cents": 3900, "paid_cents": 3900, "bought": "2026-02-20"},
    "1017": {"item": "lamp", "cents": 5450, "paid_cents": 10900, "bought": "2026-01-04"},
    "0880": {"item": "radio", "cents": 12900, "paid_cents": 12900, "bought": "2025-06-11"},
    "0212": {"item": "toaster", "cents": 2900, "paid_cents": 2900, "bought": "2023-01-30"},
}


@agent
def desk(text: str) -> Message:
    """Finds the order's number and the wish in a message; without a number it can only ask for it."""
    found = NUMBER.search(text)
    if found is None:
        return Message("Which order is it about? Its number has four digits.")
    told = text.lower()
    wish = next((w for w, words in WISHES.items() if any(word in told for word in words)), "status")
    return Message(
        "I look for your order.\nHANDOFF: orders",
        metadata={"context": {"number": found[1], "wish": wish}},
    )


@agent
def orders(case: Case) -> Message:
    """Looks an order up, and knows who is next; that an order exists is the answer to everything else."""
    context = case["context"]
    order = BOOK.get(context["number"])
    if order is None:
        return Message(f"There is no order {context['number']}. Please look at your invoice again.")
    next_one = {"refund": "refunds", "repair": "repairs"}.get(context["wish"], "")
    if not next_one:
        return Message(f"Your {order['item']} of {order['bought']} is paid and on its way.")
    shown: dict[str, JSONValue] = {
        "item": order["item"],
        "cents": order["cents"],
        "paid_cents": order["paid_cents"],
        "bought": order["bought"],
    }
    said = f"Order {context['number']} is a {order['item']}."
    return Message(said, metadata={"handoff_to": next_one, "context": {"order": shown}})


@agent
def refunds(case: Case) -> Message:
    """Pays back what was paid too much, what comes back in time, and what cannot be repaired."""
    context = case["context"]
    order = context["order"]
    over = order["paid_cents"] - order["cents"]
    if context.get("worthless"):
        return Message(
            f"We cannot repair your {order['item']}; {money(order['cents'])} come back to you."
        )
    if over > 0:
        return Message(
            f"You paid {money(over)} too much for your {order['item']}; they come back to you."
        )
    if age(order) <= DAYS_TO_RETURN:
        return Message(
            f"Send the {order['item']} back, and {money(order['cents'])} come back to you."
        )
    return Message(
        f"Your {order['item']} is {age(order)} days old; we take back what is up to {DAYS_TO_RETURN}."
    )


@agent
def repairs(case: Case) -> Message:
    """Repairs under warranty; what costs less than the work is paid back by somebody else."""
    order = case["context"]["order"]
    if age(order) > DAYS_OF_WARRANTY:
        return Message(
            f"The warranty of your {order['item']} ended {age(order) - DAYS_OF_WARRANTY} days ago."
        )
    if order["cents"] < 4000:
        said = f"A repair costs more than the {order['item']}."
        return Message(said, metadata={"handoff_to": "refunds", "context": {"worthless": True}})
    return Message(f"Send us the {order['item']}; the repair costs nothing.")


def age(order: Order) -> int:
    """Days since it was bought."""
    return (TODAY - date.fromisoformat(order["bought"])).days


def money(cents: int) -> str:
    return f"{cents / 100:.2f} €"
