"""Reading a file nobody has vouched for: every limit at and over, and everything that is no plain tree."""

from pathlib import Path

import pytest

from aixgo.config.read import (
    MAX_DEPTH,
    MAX_FILE_BYTES,
    MAX_KEY_BYTES,
    MAX_NODES,
    MAX_SCALAR_BYTES,
    Block,
    read_file,
    read_text,
)
from aixgo.errors import ConfigError


def read(text: str | bytes) -> Block:
    return read_text(text.encode() if isinstance(text, str) else text, "f.yaml")


def refusal(text: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return str(caught.value)


def test_values_are_those_of_yaml_1_2_and_keys_are_text() -> None:
    block = read(
        "a: no\nb: true\nc: 1:30\nd: 0x10\ne: 1.5\nf: ~\n404: '1'\ng: 2024-01-02\nh: >\n  x\n"
    )
    assert block == {
        "a": "no",
        "b": True,
        "c": "1:30",
        "d": 16,
        "e": 1.5,
        "f": None,
        "404": "1",
        "g": "2024-01-02",
        "h": "x\n",
    }
    assert block.lines["404"] == 7


@pytest.mark.parametrize(
    ("largest", "over"),
    [
        pytest.param(
            "a: b\n" + "#" * (MAX_FILE_BYTES - 5), "a: b\n" + "#" * (MAX_FILE_BYTES - 4), id="file"
        ),
        pytest.param(
            "a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1),
            "a: " + "[" * MAX_DEPTH + "]" * MAX_DEPTH,
            id="depth",
        ),
        pytest.param(
            "a:\n" + "- 1\n" * (MAX_NODES - 3), "a:\n" + "- 1\n" * (MAX_NODES - 2), id="nodes"
        ),
        pytest.param(
            f"? {'k' * MAX_KEY_BYTES}\n: 1", f"? {'k' * (MAX_KEY_BYTES + 1)}\n: 1", id="key"
        ),
        pytest.param(
            "a: " + "v" * MAX_SCALAR_BYTES, "a: " + "v" * (MAX_SCALAR_BYTES + 1), id="scalar"
        ),
    ],
)
def test_a_limit_is_passed_exactly_at_it_and_refused_one_over(largest: str, over: str) -> None:
    assert read(largest)
    assert "more than" in refusal(over)


def test_an_alias_counts_as_everything_it_stands_for() -> None:
    half = (MAX_NODES - 5) // 2  # root, two keys, two lists
    listed = "[" + ",".join("1" * half) + "]"
    assert len(read(f"a: &x {listed}\nb: *x")["b"]) == half  # type: ignore[arg-type]
    assert "aliases included" in refusal(f"a: &x {listed}\nb: *x\nc: *x")


def test_an_alias_counts_as_deep_as_what_it_stands_for() -> None:
    inner = "[" * 10 + "]" * 10
    assert read(f"a: &x {inner}\nb: " + "[" * 9 + "*x" + "]" * 9)
    assert "nested" in refusal(f"a: &x {inner}\nb: " + "[" * 10 + "*x" + "]" * 10)


def test_a_bomb_of_aliases_is_refused_without_building_it() -> None:
    lines = ["a0: &a0 [1,1,1,1,1,1,1,1,1]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    assert "more than 10000 values" in refusal("\n".join(lines))


def test_a_deep_bomb_is_refused_without_recursing() -> None:
    assert "nested" in refusal("[" * 1_000_000)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: 1\nb: 2\na: 3", "f.yaml:3: key a: is here twice, first in line 1"),
        ("a: !!python/object/apply:os.system ['x']", "is not allowed"),
        ("a: !custom 1", "is not allowed"),
        ("a: !!str 1", "is not allowed"),
        ("a: &x [*x]", "stands inside what it repeats"),
        ("a: *nobody", "nothing is anchored"),
        ("a: {<<: [1]}", "can only merge mappings"),
        ("b: &b {x: 1}\na:\n  <<: *b\n  <<: *b", "twice"),
        ("? [1, 2]\n: 3", "a key must be plain text"),
        ("a: .inf", "no finite number"),
        ("a: .nan", "no finite number"),
        ("a: [1", "this is not YAML"),
        ("a: 1\n\tb: 2", "this is not YAML"),
        ("a: \x00", "this is not YAML"),
        ("", "the file is empty"),
        ("- 1\n- 2", "must be a mapping"),
        ("a: 1\n---\nb: 2", "second document"),
        (b"a: \xff", "not UTF-8"),
    ],
)
def test_what_is_no_plain_tree_is_refused_with_its_place(text: str | bytes, complaint: str) -> None:
    found = refusal(text)
    assert complaint in found
    assert found.startswith("f.yaml")


def test_a_merge_fills_in_what_is_not_there() -> None:
    assert read("b: &b {x: 1, y: 2}\na: {<<: *b, y: 3}")["a"] == {"x": 1, "y": 3}


def test_a_file_that_is_not_there_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: No such file"):
        read_file(tmp_path / "none.yaml")


def test_variables_expand_from_an_allow_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIXGO_PLACE", "7")
    monkeypatch.setenv("OPENAI_API_KEY", "sk")
    monkeypatch.setenv("SECRET_OF_MINE", "x")
    block = read(
        "a: ${AIXGO_PLACE}\nb: 'n${AIXGO_PLACE}'\nc: ${AIXGO_NONE:-d}\nd: $${HOME}\napi_key: ${OPENAI_API_KEY}"
    )
    assert block == {"a": 7, "b": "n7", "c": "d", "d": "${HOME}", "api_key": "sk"}
    assert "is not set" in refusal("a: ${AIXGO_NONE}")
    assert "may not read" in refusal("a: ${SECRET_OF_MINE}")
    assert "is a secret" in refusal("prompt: ${OPENAI_API_KEY}")
    monkeypatch.setenv("AIXGO_CONFIG_ENV", "SECRET_OF_MINE, OTHER")
    assert read("a: ${SECRET_OF_MINE}") == {"a": "x"}
