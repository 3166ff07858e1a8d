"""aixgo.keys: checking configured values."""

from __future__ import annotations

import pytest

from aixgo.errors import ConfigError
from aixgo.keys import Key, duration_seconds, read_keys

KEYS = {
    "name": Key("text", "a name", required=True),
    "mode": Key("text", "a mode", choices=("fast", "slow")),
    "count": Key("integer", "a count", minimum=1, maximum=3),
    "wait": Key("duration", "a wait"),
    "old": Key("boolean", "of another version", absent="old things"),
    "parts": Key("list", "parts", fields={"size": Key("number", "a size")}),
}


@pytest.mark.parametrize(
    ("text", "seconds"), [("800ms", 0.8), ("1m30s", 90.0), ("1h", 3600.0), ("0.5s", 0.5), (2, 2.0)]
)
def test_durations_are_seconds_or_go_durations(text: object, seconds: float) -> None:
    assert duration_seconds(text, "x") == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "5 parsecs", "1s2", True, None, []])
def test_other_durations_are_refused(text: object) -> None:
    with pytest.raises(ConfigError, match="x must be seconds or a duration"):
        duration_seconds(text, "x")


def test_values_are_checked_and_converted_all_the_way_down() -> None:
    given = {"name": "n", "wait": "1s", "count": 3, "parts": [{"size": 1}], "old": True}
    assert read_keys(KEYS, given, "here") == {
        "name": "n",
        "wait": 1.0,
        "count": 3,
        "parts": [{"size": 1}],
    }


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "here: the key 'name' is missing"),
        ({"name": "n", "cuont": 1}, "no key 'cuont'; did you mean 'count'"),
        ({"name": 1}, "here: name must be text"),
        ({"name": "n", "mode": "slwo"}, "did you mean 'slow'"),
        ({"name": "n", "count": 4}, "at least 1 and at most 3"),
        ({"name": "n", "count": 1.5}, "a whole number"),
        ({"name": "n", "count": True}, "a whole number"),
        ({"name": "n", "parts": [{"size": "big"}]}, r"parts\[0\]: size must be a number"),
        ({"name": "n", "parts": {}}, "parts must be a list"),
        ({"name": "n", "old": "yes"}, "old must be true or false"),
    ],
)
def test_a_wrong_value_says_where_and_what(given: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        read_keys(KEYS, given, "here")
