"""JSON Schema: what fits, what does not and how that is said, and schemas that cannot be used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from aixgo.errors import ConfigError
from aixgo.message import JSONValue
from aixgo.schemas import check_schema, problems

TREE: dict[str, JSONValue] = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["name"],
            "additionalProperties": False,
        }
    },
}


@pytest.mark.parametrize(
    ("value", "schema", "problem"),
    [
        ("a", {"type": "integer"}, 'the value must be integer, not "a"'),
        (True, {"type": "integer"}, "the value must be integer, not true"),
        (1.5, {"type": ["integer", "null"]}, "must be integer or null"),
        ({}, {"required": ["a"]}, "the value lacks 'a'"),
        ({"b": 1}, {"properties": {"a": {}}, "additionalProperties": False}, "has 'b'"),
        ({"b": 1}, {"additionalProperties": {"type": "string"}}, "b must be string"),
        ({"x1": 1}, {"patternProperties": {"^x": {"type": "null"}}}, "x1 must be null"),
        ({"Ab": 1}, {"propertyNames": {"pattern": "^[a-z]+$"}}, "Ab (the name) must match"),
        ({"a": [1, "b"]}, {"properties": {"a": {"items": {"type": "integer"}}}}, "a[1] must be"),
        ([1, 2], {"prefixItems": [{"type": "integer"}], "items": {"type": "null"}}, "[1] must be"),
        ([1, 2, 1], {"uniqueItems": True}, "holds an item twice"),
        ([1], {"contains": {"type": "string"}}, "has no item of the wanted kind"),
        ([], {"minItems": 1}, "must have at least 1 items, not 0"),
        ("abc", {"maxLength": 2}, "must have at most 2 characters, not 3"),
        ({}, {"minProperties": 1}, "at least 1 properties"),
        (3, {"maximum": 2}, "must be at most 2"),
        (2, {"exclusiveMinimum": 2}, "must be above 2"),
        (0.35, {"multipleOf": 0.1}, "must be a multiple of 0.1"),
        ("c", {"enum": ["a", "b"]}, 'must be one of "a", "b", not "c"'),
        (1, {"enum": [True]}, "must be one of true"),
        (2, {"const": 1}, "must be 1"),
        ("x", {"pattern": "^[0-9]+$"}, "must match ^[0-9]+$"),
        (
            None,
            {"anyOf": [{"type": "string"}, {"type": "number"}]},
            "fits none of the alternatives",
        ),
        (5, {"oneOf": [{"minimum": 1}, {"maximum": 9}]}, "fits 2 of the alternatives"),
        (5, {"allOf": [{"minimum": 1}, {"maximum": 4}]}, "must be at most 4"),
        (5, {"not": {"type": "integer"}}, "is what it must not be"),
        (5, {"if": {"minimum": 3}, "then": {"maximum": 4}}, "must be at most 4"),
        ({"name": "a", "children": [{"nam": "b"}]}, TREE, "children[0] lacks 'name'"),
    ],
)
def test_what_does_not_fit_is_said_with_its_place(
    value: JSONValue, schema: dict[str, JSONValue], problem: str
) -> None:
    assert problem in "; ".join(problems(value, schema))


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ({"name": "a", "children": [{"name": "b"}]}, TREE),
        (2.0, {"type": "integer"}),
        (0.3, {"multipleOf": 0.1}),
        ([1, 1.5], {"items": {"type": "number"}}),
        ({"a": None}, {"properties": {"a": {"type": ["string", "null"]}}}),
        (None, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        (1, {"format": "whatever", "x-mine": 1}),
    ],
)
def test_what_fits_has_no_problems(value: JSONValue, schema: dict[str, JSONValue]) -> None:
    assert problems(value, schema) == []


@dataclass
class Leaf:
    kind: Literal["leaf"]
    value: int | float | str | None
    tags: dict[str, list[bool]]


@dataclass
class Branch:
    kind: Literal["branch"]
    children: list[Leaf | Branch]
    pair: tuple[int, str] = (0, "")


leaves = st.builds(
    Leaf,
    value=st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
)
trees = st.recursive(
    leaves, lambda inner: st.builds(Branch, children=st.lists(inner, max_size=3)), max_leaves=8
)
ADAPTER: TypeAdapter[Leaf | Branch] = TypeAdapter(Leaf | Branch)


@settings(max_examples=60, deadline=None)
@given(trees)
def test_a_value_of_a_type_fits_the_schema_of_the_type(value: Leaf | Branch) -> None:
    plain = msgspec.json.decode(ADAPTER.dump_json(value))
    assert problems(plain, ADAPTER.json_schema()) == []


def test_only_the_first_few_problems_are_given() -> None:
    assert len(problems(list("abcdefgh"), {"items": {"type": "integer"}})) == 5


def test_a_schema_that_refers_to_itself_without_end_is_a_problem_not_a_crash() -> None:
    endless: dict[str, JSONValue] = {"$ref": "#"}
    assert "without end" in problems(1, endless)[0]


def test_alternatives_that_multiply_are_given_up_and_not_waited_for() -> None:
    node: dict[str, JSONValue] = {
        "anyOf": [
            {"properties": {"a": {"$ref": "#"}}, "required": ["a"]},
            {"properties": {"a": {"$ref": "#"}}, "required": ["a"], "type": "object"},
        ]
    }
    value: JSONValue = 1
    for _ in range(60):
        value = {"a": value}
    value = {"a": value, "b": {"a": []}}
    assert problems(value, {**node, "type": "object"}) != []


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ("text", "must be a JSON Schema"),
        ({"type": "text"}, "'text', which is none of"),
        ({"pattern": "("}, "cannot be read"),
        ({"$ref": "#/$defs/none"}, "leads nowhere"),
        ({"$ref": "http://elsewhere/schema"}, "leads nowhere"),
        ({"properties": {"a": {"items": {"type": 7}}}}, "properties.a.items.type"),
        ({"properties": ["a"]}, "properties must be a mapping"),
        ({"anyOf": {"type": "null"}}, "anyOf must be a list"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(schema: object, why: str) -> None:
    with pytest.raises(ConfigError) as raised:
        check_schema(schema, "output_schema")
    assert why in str(raised.value)
