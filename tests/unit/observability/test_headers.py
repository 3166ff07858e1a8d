"""The W3C headers of a call: passed on by whoever does not trace, and taken from nobody who writes nonsense."""

import logging

import pytest

from aixgo import CallContext, Caller, LocalRuntime, agent
from aixgo.context import SystemClock
from aixgo.observability.headers import parse_traceparent

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
BAGGAGE = {"shop": "blue"}


@agent
async def first(text: str, caller: Caller, context: CallContext) -> object:
    """Stands for the host of a call that came with headers."""
    context.traceparent, context.tracestate, context.baggage = TRACEPARENT, "vendor=1", BAGGAGE
    if text == "send":
        await caller.send("second", "")
        return None
    return (await caller.call("second", "")).payload


@agent
async def second(text: str, context: CallContext) -> list[object]:
    found: list[object] = [context.traceparent, context.tracestate, context.baggage]
    received.append(found)
    return found


received: list[object] = []


@pytest.mark.parametrize("how", ["call", "send"])
async def test_a_process_that_does_not_trace_passes_the_headers_on(how: str) -> None:
    received.clear()
    async with LocalRuntime(first, second) as rt:
        await rt.call("first", how)
    assert received == [[TRACEPARENT, "vendor=1", BAGGAGE]]


def test_another_attempt_of_a_call_has_the_same_headers() -> None:
    context = CallContext("a", 0, SystemClock(), traceparent=TRACEPARENT)
    context.tracestate = "vendor=1"
    again = context.again(context.bounds)
    assert (again.traceparent, again.tracestate) == (TRACEPARENT, "vendor=1")


@pytest.mark.parametrize(
    ("state", "taken"),
    [
        ("vendor=1, tenant@system=a b,", "vendor=1,tenant@system=a b"),
        ("Vendor=1", ""),
        ("vendor", ""),
        ("vendor=1,vendor=2", ""),
        ("vendor=ü", ""),
        ("vendor=\n", ""),
        (",".join(f"v{i}=1" for i in range(33)), ""),
    ],
)
def test_a_tracestate_that_is_none_is_left_out_without_a_word(
    state: str, taken: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        found = parse_traceparent(TRACEPARENT, state)
    assert found is not None
    assert found.trace_state.to_header() == taken
    assert caplog.records == []


@pytest.mark.parametrize(
    "header",
    ["", "nonsense", TRACEPARENT.replace("00-", "ff-", 1), TRACEPARENT.replace("0af", "xyz")],
)
def test_a_traceparent_that_is_none_names_no_span(header: str) -> None:
    assert parse_traceparent(header) is None
