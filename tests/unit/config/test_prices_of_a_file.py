"""Prices that users state in YAML: what they mean, and every way to get them wrong."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from aixgo import load_config, pricing
from aixgo.config import assemble
from aixgo.errors import ConfigError
from aixgo.pricing import Price, Prices

AGENTS = "agents:\n  - name: a\n    role: chat\n    model: offline\n"


@pytest.fixture(autouse=True)
def prices_of_nobody() -> Iterator[None]:
    before = pricing.prices()
    pricing.install(Prices())
    yield
    pricing.install(before)


def write(tmp_path: Path, text: str, name: str = "c.yaml") -> Path:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return file


def prices(tmp_path: Path, text: str) -> Prices:
    found = load_config(write(tmp_path, AGENTS + text)).prices
    assert found is not None
    return found


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, AGENTS + text))
    return str(caught.value)


def test_a_price_is_in_dollars_per_million_tokens(tmp_path: Path) -> None:
    text = "prices:\n  models:\n    acme:one: {prompt: 2.5, completion: 10, cached: 1, cache_write: 3}\n"
    price = Price.usd(2.5, 10, cached=1, cache_write=3)
    assert prices(tmp_path, text).own == {"acme:one": price}


def test_prices_come_into_force_with_the_agents_of_their_file(tmp_path: Path) -> None:
    text = "prices:\n  on_unpriced: error\n  models:\n    acme:one:\n      prompt: 1\n      completion: 2\n"
    assemble(load_config(write(tmp_path, AGENTS + text)))
    assert pricing.prices().on_unpriced == "error"
    assert pricing.price_of("one", "acme") == Price.usd(1, 2)


def test_a_file_without_prices_leaves_those_in_force(tmp_path: Path) -> None:
    pricing.install(Prices(on_unpriced="estimate"))
    assemble(load_config(write(tmp_path, AGENTS)))
    assert pricing.prices().on_unpriced == "estimate"


def test_prices_may_be_in_a_file_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, "acme:one: {prompt: 1, completion: 2}\n", "p.yaml")
    assert prices(tmp_path, "prices:\n  file: p.yaml\n").own == {"acme:one": Price.usd(1, 2)}


def test_a_price_of_the_configuration_goes_before_one_of_the_price_file(tmp_path: Path) -> None:
    write(tmp_path, "acme:one: {prompt: 1, completion: 2}\n", "p.yaml")
    text = (
        "prices:\n  file: p.yaml\n  models:\n    acme:one:\n      prompt: 3\n      completion: 4\n"
    )
    assert prices(tmp_path, text).own == {"acme:one": Price.usd(3, 4)}


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ("acme:one: {prompt: cheap, completion: 2}", "prompt: must be a number of dollars"),
        ("acme:one: {prompt: -1, completion: 2}", "prompt: must be a number of dollars"),
        ("acme:one: {prompt: true, completion: 2}", "prompt: must be a number of dollars"),
        ("acme:one: {prompt: 1}", "the key 'completion' is missing"),
        ("acme:one: {prompt: 1, completion: 2, output: 3}", "is none of prompt, completion"),
        ("acme:one: 3", "must be a mapping with prompt and completion"),
        ("gpt-4o: {prompt: 1, completion: 2}", "must be written provider:model"),
    ],
)
def test_a_wrong_price_is_an_error_with_file_and_line(
    tmp_path: Path, entry: str, what: str
) -> None:
    file = write(tmp_path, f"# noted by hand\n{entry}\n", "p.yaml")
    said = refusal(tmp_path, "prices:\n  file: p.yaml\n")
    assert f"{file}:2: " in said
    assert what in said
    said = refusal(tmp_path, f"prices:\n  models:\n    {entry}\n")
    assert f"{tmp_path / 'c.yaml'}:7: " in said
    assert what in said


def test_a_price_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    assert "p.yaml" in refusal(tmp_path, "prices:\n  file: p.yaml\n")


def test_models_that_are_no_mapping_are_an_error(tmp_path: Path) -> None:
    assert ":6: " in refusal(tmp_path, "prices:\n  models: 3\n")


def test_a_choice_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    assert "on_unpriced" in refusal(tmp_path, "prices:\n  on_unpriced: ignore\n")
