"""Router without a classifier: by rules, by cost, by load."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from aixgo import Message, agent
from aixgo.errors import AgentRefused, ConfigError
from aixgo.orchestration import Limits, Router, Rule
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import RecordingAgent
from tests.unit.orchestration.test_pictures import seen

PATIENCE = 5.0  # seconds a test may wait for something that happens at once


async def routed(router: Router, message: Message | str) -> Mapping[str, Any]:
    agents = [RecordingAgent(name) for name in router.members if isinstance(name, str)]
    async with LocalRuntime(*agents, router) as rt:
        return (await rt.call(router.name, message)).metadata


@pytest.mark.parametrize(
    ("rule", "fits", "does_not"),
    [
        (Rule("a", contains=["re fund", "Bill"]), "my BILL", "refund"),
        (Rule("a", equals=["ping"]), " Ping\n", "pinging"),
        (Rule("a", min_length=3), "abc", "ab"),
        (Rule("a", max_length=2), "ab", "abc"),
        (Rule("a", contains=["x"], max_length=3), "x", "xxxx"),
        (Rule("a", metadata={"tier": "gold"}), Message("t", metadata={"tier": "gold"}), "t"),
        (
            Rule("a", metadata={"sure": True, "n": 1}),
            Message("t", metadata={"sure": True, "n": 1}),
            Message("t", metadata={"sure": 1, "n": 1}),
        ),
        (Rule("a", contains=['"kind":"sum"']), Message({"kind": "sum"}), Message({"kind": "x"})),
    ],
)
async def test_a_rule_holds_when_all_its_conditions_do(
    rule: Rule, fits: Message | str, does_not: Message | str
) -> None:
    router = Router("r", routes={"a": "x"}, rules=[rule], fallback="other")
    assert (await routed(router, fits))["routed_to"] == "x"
    assert (await routed(router, does_not))["routed_to"] == "other"


async def test_the_first_rule_that_holds_names_the_route() -> None:
    rules = [Rule("b", contains=["late"]), Rule("a", contains=["invoice"])]
    router = Router("r", routes={"a": "x", "b": "y"}, rules=rules)
    found = await routed(router, "the invoice is late")
    assert (found["category"], found["routed_to"], found["strategy"]) == ("b", "y", "rules")
    assert found["used_fallback"] is False


async def test_without_a_rule_that_holds_and_a_fallback_the_error_names_the_routes() -> None:
    router = Router("r", routes={"a": "x"}, rules=[Rule("a", equals=["yes"])])
    with pytest.raises(AgentRefused, match=r"no rule holds for the message.*its routes: 'a'"):
        await routed(router, "no")


def by_cost(**more: Any) -> Router:
    routes = {"large": "big", "small": "tiny"}
    return Router(
        "r", routes=routes, strategy="cost", costs={"large": 0.05, "small": 0.001}, **more
    )


async def test_by_cost_the_cheapest_answers() -> None:
    found = await routed(by_cost(), "hello")
    assert (found["routed_to"], found["estimated_usd"]) == ("tiny", 0.001)


async def test_by_cost_the_cheapest_of_those_that_can_take_the_message_answers() -> None:
    rules = [Rule("small", max_length=5), Rule("small", metadata={"easy": True})]
    assert (await routed(by_cost(rules=rules), "hello"))["routed_to"] == "tiny"
    assert (await routed(by_cost(rules=rules), "hello there"))["routed_to"] == "big"
    easy = Message("hello there", metadata={"easy": True})
    assert (await routed(by_cost(rules=rules), easy))["routed_to"] == "tiny"


async def test_the_length_of_a_message_counts_where_it_is_paid_for() -> None:
    def router() -> Router:
        return by_cost(costs_per_1000={"small": 0.1})

    assert (await routed(router(), "a" * 400))["routed_to"] == "tiny"
    found = await routed(router(), "a" * 500)
    assert (found["routed_to"], found["estimated_usd"]) == ("big", 0.05)


async def test_of_routes_that_cost_the_same_the_first_answers() -> None:
    router = Router("r", routes={"b": "x", "a": "y"}, strategy="cost", costs={"a": 0.5, "b": 0.5})
    assert (await routed(router, "hello"))["routed_to"] == "x"


async def test_by_cost_the_fallback_answers_when_no_route_can() -> None:
    rules = [Rule("small", max_length=5), Rule("large", max_length=8)]
    assert (await routed(by_cost(rules=rules, fallback="boss"), "a" * 9))["routed_to"] == "boss"


async def test_by_load_the_agent_with_the_fewest_calls_under_way_answers() -> None:
    begun, go_on = asyncio.Semaphore(0), asyncio.Event()

    @agent
    async def one(text: str) -> str:
        begun.release()
        await go_on.wait()
        return "one"

    @agent
    async def two(text: str) -> str:
        begun.release()
        await go_on.wait()
        return "two"

    router = Router("r", routes={"a": one, "b": two}, strategy="load")
    async with LocalRuntime(router) as rt, asyncio.timeout(PATIENCE):
        calls = []
        for _ in range(5):
            calls.append(asyncio.create_task(rt.call("r", "x")))
            await begun.acquire()
        calls[1].cancel()
        await asyncio.wait([calls[1]])  # the second agent has one call fewer now
        calls.append(asyncio.create_task(rt.call("r", "x")))
        await begun.acquire()
        go_on.set()
        replies = [await call for i, call in enumerate(calls) if i != 1]
        assert [reply.text for reply in replies] == ["one", "one", "two", "one", "two"]
        assert [reply.metadata["outstanding"] for reply in replies] == [0, 1, 1, 2, 1]
        assert (await rt.call("r", "x")).metadata["outstanding"] == 0


async def test_by_load_a_failed_call_is_under_way_no_longer() -> None:
    @agent
    async def broken(text: str) -> str:
        raise AgentRefused("no")

    router = Router(
        "r",
        routes={"a": broken},
        strategy="load",
        fallback=RecordingAgent("spare"),
        error_strategy="continue",
    )
    async with LocalRuntime(router) as rt:
        for _ in range(2):
            reply = await rt.call("r", "x")
            assert reply.metadata["routed_to"] == "spare"
            assert reply.metadata["outstanding"] == 0


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({}, "'classifier' is missing; give a classifier, or rules, or strategy"),
        ({"strategy": "cots"}, "no strategy 'cots'; did you mean 'cost'"),
        ({"strategy": "rules"}, "'rules' is missing"),
        ({"strategy": "classifier"}, "'classifier' is missing"),
        ({"strategy": "cost", "costs": {"a": 1}}, "costs has no price for the route 'b'"),
        ({"strategy": "cost", "costs": {"a": 1, "c": 1}}, "costs: there is no route 'c'"),
        ({"strategy": "cost", "costs": {"a": -1, "b": 1}}, "costs.a is -1; it must be at least 0"),
        (
            {"strategy": "cost", "costs": {"a": float("nan"), "b": 1}},
            "costs.a is nan, which is no number",
        ),
        ({"strategy": "load", "costs": {"a": 1}}, "costs does not go with strategy 'load'"),
        ({"strategy": "load", "classifier": "c"}, "classifier does not go with strategy 'load'"),
        (
            {"rules": [Rule("a", equals=["x"])], "min_confidence": 0.5},
            "min_confidence does not go with strategy 'rules'",
        ),
        ({"rules": [Rule("refunds", equals=["x"])]}, "a rule: there is no route 'refunds'"),
    ],
)
def test_settings_that_do_not_fit_each_other_are_refused(more: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Router("r", routes={"a": "x", "b": "y"}, **more)


@pytest.mark.parametrize(
    ("conditions", "why"),
    [
        ({}, "the rule for 'a' has no condition"),
        ({"contains": "refund"}, "contains is 'refund'; it is a list of texts"),
        ({"contains": ["x", " "]}, "contains has an empty text"),
        ({"min_length": 5, "max_length": 4}, "min_length 5 is above max_length 4"),
    ],
)
def test_a_rule_that_says_nothing_or_the_impossible_is_refused(
    conditions: dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        Rule("a", **conditions)


def test_rules_of_a_file_are_checked_as_they_are_read() -> None:
    def read(**rule: object) -> Router:
        return Router.from_config("r", ["a"], {"rules": [{"route": "a", **rule}]}, Limits())

    assert read(contains=["x"]).strategy == "rules"
    with pytest.raises(ConfigError, match=r"rules\[0\].*no key 'contain'; did you mean 'contains'"):
        read(contain=["x"])
    with pytest.raises(ConfigError, match="router 'r': the rule for 'a' has no condition"):
        read()


def test_the_picture_tells_the_rules() -> None:
    rules = [Rule("a", contains=["bill", "invoice"]), Rule("a", max_length=9)]
    links = seen(Router("r", routes={"a": "x"}, rules=rules).graph()).links
    assert ("route by rules", "a: has bill or invoice; 9 characters or fewer", "x") in links
