"""What a filter lets through, and which are refused."""

from __future__ import annotations

import pytest

from aixgo.errors import ConfigError
from aixgo.retrieval.filters import OPERATORS, Where, check_where, matches

ROSE: Where = {"kind": "flower", "year": 2020, "price": 2.5, "tags": ["red", 7], "new": True}


@pytest.mark.parametrize(
    "where",
    [
        {},
        {"kind": "flower", "year": 2020},
        {"kind": ["tree", "flower"]},
        {"kind": {"eq": "flower"}},
        {"kind": {"ne": "tree"}},
        {"colour": {"ne": "red"}},
        {"year": {"gt": 2019, "lt": 2021}},
        {"year": {"gte": 2020, "lte": 2020.0}},
        {"kind": {"gt": "f", "lt": "g"}},
        {"kind": {"in": ["flower"]}},
        {"kind": {"not_in": ["tree"]}},
        {"colour": {"not_in": ["red"]}},
        {"kind": {"contains": "low"}},
        {"tags": {"contains": 7}},
        {"kind": {"starts_with": "flo"}},
        {"kind": {"ends_with": "wer"}},
        {"new": {"exists": True}},
        {"colour": {"exists": False}},
        {"and": [{"kind": "flower"}, {"new": True}]},
        {"or": [{"kind": "tree"}, {"year": 2020}]},
        {"not": {"kind": "tree"}},
        {"kind": "flower", "or": [{"price": {"lt": 1}}, {"not": {"tags": {"contains": "blue"}}}]},
    ],
)
def test_what_fits_is_let_through_and_its_opposite_is_not(where: Where) -> None:
    check_where(where)
    assert matches(ROSE, where)
    if where:
        check_where({"not": dict(where)})
        assert not matches(ROSE, {"not": dict(where)})


@pytest.mark.parametrize(
    "where",
    [
        {"new": 1},
        {"year": {"eq": True}},
        {"year": {"gt": "2019"}},
        {"kind": {"lt": 5}},
        {"new": {"gte": 0}},
        {"colour": {"lt": 5}},
        {"tags": {"contains": True}},
        {"price": {"contains": 2}},
        {"year": {"starts_with": "20"}},
        {"colour": None},
        {"year": {"gt": 2019, "lt": 2020}},
    ],
)
def test_values_of_another_kind_do_not_fit(where: Where) -> None:
    check_where(where)
    assert not matches(ROSE, where)


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ({"year": {}}, "'year' takes a value, a list of values, or operators"),
        ({"year": []}, "'year' takes a value, or a list"),
        ({"year": {"gtt": 1}}, "'year' has no operator 'gtt'; did you mean 'gt'"),
        ({"year": {"$gt": 1}}, "no operator '.gt'"),
        ({"year": {"gt": None}}, "'year': gt takes a number or text"),
        ({"year": {"in": 5}}, "in takes a list of values"),
        ({"year": {"eq": {"a": 1}}}, "eq takes a value"),
        ({"kind": {"starts_with": 1}}, "starts_with takes text"),
        ({"kind": {"exists": "yes"}}, "exists takes true or false"),
        ({"or": []}, "'or' takes a list of filters"),
        ({"and": {"kind": 1}}, "'and' takes a list of filters"),
        ({"or": [{"kind": "a"}, {}]}, r"'or\[1\]' takes a filter"),
        ({"not": "x"}, "'not' takes a filter"),
        ({"and": [{"not": {"year": {"in": []}}}]}, r"'and\[0\]\.not\.year': in takes"),
    ],
)
def test_a_filter_that_could_not_be_meant_is_refused_by_its_place(where: Where, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        check_where(where)


def test_a_filter_nested_without_end_is_refused() -> None:
    where: dict[str, object] = {"kind": 1}
    for _ in range(30):
        where = {"not": where}
    with pytest.raises(ConfigError, match="nested more than 20"):
        check_where(where)  # type: ignore[arg-type]


def test_there_are_the_operators_the_documents_name() -> None:
    assert " ".join(OPERATORS) == (
        "eq ne gt gte lt lte in not_in contains starts_with ends_with exists"
    )
