"""Errors: one tree, statuses gRPC knows, and nothing but fields that crosses."""

import inspect
import re

import grpc
import pytest

from aixgo import errors
from aixgo.errors import (
    AgentFailed,
    AgentNotFound,
    AgentRefused,
    AixgoError,
    ConfigError,
    DeadlineExceeded,
    FieldValue,
    InvalidMessage,
    LimitExceeded,
    ProviderError,
    RateLimited,
    Unavailable,
    error_classes,
    new_error_id,
    rebuild_error,
)
from aixgo.errors.providers import CODES

CLASSES = sorted(error_classes().values(), key=lambda cls: cls.__name__)
EXAMPLES: dict[str, FieldValue] = {
    "name": "writer",
    "taken_by": "Writer",
    "state": "not started",
    "reason": "connection refused",
    "outcome": "unknown",
    "limit": "max_agents",
    "where": "team",
    "spent": "writer $0.01",
    "value": 7,
    "capacity": 3,
    "size": 11,
    "theirs": 2,
    "ours": 1,
    "path": "payload.a[0]",
    "expected": "Order",
    "feature": "provider 'openai'",
    "extra": "openai",
    "text": "no",
    "provider": "acme",
    "code": "authentication",
    "model": "m-1",
    "variable": "ACME_API_KEY",
    "retry_after": 1.5,
    "tokens": 9,
    "seconds": 2.5,
}


def example_of(cls: type[AixgoError]) -> AixgoError:
    fields = {name: EXAMPLES[name] for name in cls.fields}
    if "limit" in fields and "size" in fields:
        fields["limit"] = 10
    return cls.from_fields(fields)


def drawn_tree() -> dict[str, set[str]]:
    """The tree of the module's docstring: each class with what stands on the branch before it."""
    doc = errors.__doc__
    assert doc is not None
    drawn: dict[str, set[str]] = {}
    for line in doc.split("```")[1].splitlines():
        branch = re.sub(r"\(.*?\)", "", line).removeprefix("├─").removeprefix("└─").strip()
        if not branch or branch == "AixgoError":
            continue
        parent, _, children = branch.partition(" ── ")
        if children:
            drawn.setdefault("AixgoError", set()).add(parent)
            drawn.setdefault(parent, set()).update(children.split(" · "))
        else:
            drawn.setdefault("AixgoError", set()).update(parent.split(" · "))
    return drawn


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    real = {
        cls.__name__: {child.__name__ for child in cls.__subclasses__() if child in CLASSES}
        for cls in CLASSES
    }
    assert drawn_tree() == {name: below for name, below in real.items() if below}


@pytest.mark.parametrize("cls", CLASSES)
def test_every_class_travels_under_a_status_grpc_knows_and_never_as_ok(
    cls: type[AixgoError],
) -> None:
    assert grpc.StatusCode[cls.status] is not grpc.StatusCode.OK


@pytest.mark.parametrize("cls", CLASSES)
def test_every_class_can_be_made_without_arguments_and_still_says_something(
    cls: type[AixgoError],
) -> None:
    assert str(cls())


@pytest.mark.parametrize("cls", CLASSES)
def test_every_field_is_an_argument_of_its_class_and_an_attribute_of_the_error(
    cls: type[AixgoError],
) -> None:
    error = example_of(cls)
    assert set(cls.fields) <= set(inspect.signature(cls.__init__).parameters)
    for name in cls.fields:
        assert hasattr(error, name)


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_rebuilt_from_its_fields_is_the_same_class_text_and_retryability(
    cls: type[AixgoError],
) -> None:
    error = example_of(cls)
    error_id = new_error_id()
    if isinstance(error, AgentFailed):
        error = AgentFailed(error.name, error_id)

    rebuilt = rebuild_error(cls.__name__, error.wire_fields(), agent="writer", error_id=error_id)

    assert type(rebuilt) is cls
    assert str(rebuilt) == str(error)
    assert rebuilt.retryable == error.retryable
    assert rebuilt.wire_fields() == error.wire_fields()
    assert (rebuilt.agent, rebuilt.error_id) == ("writer", error_id)


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("the key is hunter2"),
        ProviderError("the key is hunter2", provider="acme"),
        InvalidMessage("is hunter2", "payload"),
        RateLimited("slow down, hunter2", provider="acme", retry_after=2.0),
        AgentNotFound("writer", known=["writer-hunter2"]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_text_that_is_no_field_does_not_cross(error: AixgoError) -> None:
    assert "hunter2" in str(error)
    rebuilt = rebuild_error(type(error).__name__, error.wire_fields())
    assert type(rebuilt) is type(error)
    assert "hunter2" not in str(rebuilt)


def test_a_refusal_is_the_one_error_whose_text_crosses_up_to_2048_characters() -> None:
    assert (
        str(rebuild_error("AgentRefused", AgentRefused("no, " * 64).wire_fields())) == "no, " * 64
    )
    assert AgentRefused("x" * 3000).wire_fields() == {"text": "x" * 2048}


def test_a_long_field_is_cut_before_it_crosses() -> None:
    assert AgentNotFound("x" * 1000).wire_fields() == {"name": "x" * 256}


def test_a_kind_or_a_field_nobody_knows_does_not_break_rebuilding() -> None:
    assert type(rebuild_error("FromTheFuture", {"name": "x"}, agent="a")) is AgentFailed
    assert str(rebuild_error("DeadlineExceeded", {"name": "x", "novelty": 1})) == str(
        DeadlineExceeded("x")
    )
    assert type(rebuild_error("Unavailable", {"name": "x"})) is Unavailable


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("HopLimit", {"value": None, "where": None}),
        ("AgentRefused", {"text": 7}),
        ("AgentNotFound", {"name": 7}),
        ("RateLimited", {"retry_after": "soon"}),
    ],
)
def test_fields_of_the_wrong_shape_still_give_an_error_one_can_raise(
    kind: str, fields: dict[str, FieldValue]
) -> None:
    error = rebuild_error(kind, fields, agent="a", error_id="1")
    assert str(error)
    assert error.agent == "a"


def test_whether_an_unavailable_call_may_be_repeated_depends_on_its_outcome() -> None:
    assert Unavailable("a").retryable
    assert not Unavailable("a", outcome="unknown").retryable


def test_a_deadline_is_also_a_timeout_of_the_standard_library() -> None:
    assert isinstance(DeadlineExceeded("a"), TimeoutError)


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_code_of_a_provider_says_what_happened_and_what_to_do(code: str) -> None:
    error = ProviderError(provider="acme", code=code, model="m-1", retry_after=0.0)
    what, _, advice = str(error).partition("; ")
    assert what.startswith("'acme' ")
    assert "'m-1'" in what
    assert advice
    assert str(rebuild_error("ProviderError", error.wire_fields())) == str(error)


def test_a_code_of_a_providers_own_is_named() -> None:
    assert str(RateLimited(provider="acme", code="E7")) == (
        "the model provider 'acme' asks to slow down (E7)"
    )
    assert str(RateLimited(code="E7")) == "the model's provider asks to slow down (E7)"


def test_an_unknown_agent_names_the_nearest_known_one() -> None:
    assert "did you mean 'writer'?" in str(AgentNotFound("wirter", ["reader", "writer"]))
    assert "did you mean" not in str(AgentNotFound("zebra", ["reader", "writer"]))


def test_what_no_wire_could_carry_is_made_sound_when_an_error_is_rebuilt() -> None:
    refused = rebuild_error("AgentRefused", {"text": "ä \ud800"})
    limited = rebuild_error("RateLimited", {"provider": "acme", "retry_after": float("nan")})
    assert isinstance(limited, RateLimited)
    assert (str(refused), limited.retry_after) == ("ä ?", 0.0)


@pytest.mark.parametrize("value", [object(), 2**2000, b"bytes", None, ["a", "list"]])
def test_a_field_no_process_could_read_counts_as_not_given(value: object) -> None:
    error = rebuild_error("LimitExceeded", {"limit": "tokens", "value": value})  # type: ignore[dict-item]
    assert isinstance(error, LimitExceeded)
    assert (error.limit, error.value) == ("tokens", 0)
