"""Programs that once had an outcome of their own on some runtime, each with what had been wrong.

They run before any other, on every run. A new one is what Hypothesis prints as the failing case, made as
short as it allows. Below: programs. Above: the test.
"""

from __future__ import annotations

from tests.differential.programs import LONG, Call, Fan, Given, Mode, Parked, Program

__all__ = ["FOUND"]

_KINDS: tuple[Mode, ...] = ("call", "stream")
_SPENDS_AND_FAILS = {
    "acts": [
        {"do": "charge", "usage": {"tokens_prompt": 3, "calls": 1}},
        {"do": "raise", "kind": "AgentRefused"},
    ]
}

FOUND: tuple[Program, ...] = (
    # A session or a key that is no text was refused by the wire, and travelled locally.
    ((Call("left.one", Given({"acts": []}), "call", {"session": "\ud800"}),),),
    ((Fan(("left.one", "\ud800"), Given("hello")),),),
    # A lone surrogate and a number without end in the fields of an error were seen locally only.
    (
        (
            Call("left.one", Given({"acts": [{"do": "raise", "kind": "half a pair"}]})),
            Call("left.one", Given({"acts": [{"do": "raise", "kind": "no number"}]}), "stream"),
        ),
    ),
    # A chunk was checked by the wire only.
    ((Call("left.one", Given({"acts": [{"do": "say", "odd": "half a pair"}]}), "stream"),),),
    ((Call("left.one", Given({"acts": [{"do": "say", "odd": "error"}]}), "stream"),),),
    # What failed calls and streams spent, one and two hops down: seldom drawn, easily lost.
    tuple(
        (
            Call(
                "left.quiet",
                Given(
                    {
                        "acts": [
                            {"do": kind, "to": name, "with": _SPENDS_AND_FAILS, "catch": True}
                            for name in ("left.two", "right.one", "right.quiet")
                        ]
                    }
                ),
            ),
        )
        for kind in _KINDS
    ),
    # All that travels with a call, two hops down and over both kinds of call: seldom drawn at once.
    tuple(
        (
            Call(
                "left.one",
                Given({"acts": [{"do": kind, "to": "right.one", "with": {"acts": []}}]}),
                kind,
                {
                    "session": "ä/ö",
                    "key": "a/b[2]",
                    "budget": {"usd": 0.25, "tokens": 2**40, "calls": 3},
                    "timeout": LONG,
                    "idempotency_key": "once",
                },
            ),
        )
        for kind in _KINDS
    ),
    # Usage of nothing but cached tokens counted as none where the wire carries an error.
    (
        (
            Call(
                "left.one",
                Given(
                    {
                        "acts": [
                            {
                                "do": "parallel",
                                "to": ["right.one"],
                                "with": {
                                    "acts": [
                                        {"do": "charge", "usage": {"tokens_cached": 1}},
                                        {"do": "raise", "kind": "AgentRefused"},
                                    ]
                                },
                            }
                        ]
                    }
                ),
            ),
        ),
    ),
    # A chunk without a type got one on the wire only.
    ((Call("left.one", Given({"acts": [{"do": "say", "kind": ""}]}), "stream"),),),
    # Spending nothing was something locally, and took the place of cost keys an agent had written.
    (
        (
            Call(
                "left.one",
                Given(
                    {
                        "acts": [
                            {
                                "do": "call",
                                "to": "right.one",
                                "with": {"acts": [{"do": "charge", "usage": {"calls": 0}}]},
                            }
                        ],
                        "final": True,
                        "metadata": {"cost_usd": 9, "tokens_total": "many"},
                    }
                ),
            ),
        ),
    ),
    # The caller of a stream leaves it while the agents on its way wait for its next chunk.
    (
        (
            Parked(
                "left.one",
                Given(
                    {
                        "acts": [
                            {
                                "do": "stream",
                                "to": "right.one",
                                "with": {"acts": [{"do": "say", "text": "one"}, {"do": "wait"}]},
                                "pass": True,
                            }
                        ]
                    }
                ),
                "stream",
                "leave",
                chunks=1,
                read=1,
                options={"timeout": LONG},
            ),
        ),
    ),
)
