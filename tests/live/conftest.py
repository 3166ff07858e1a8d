"""Which vendors are asked: those that are named, have a key here, and nobody else.

`LIVE_VENDORS` names them, each with a model if it is to be another one: `openai,anthropic:claude-opus-5`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from aixgo import pricing
from aixgo.errors import nearest
from aixgo.ledger import NANOS_PER_USD, Usage
from aixgo.providers import Vendor
from aixgo.providers._vendors import VENDORS

ANSWER = 1_000  # tokens of one answer, with room for a model that thinks first
TOKENS = 5_000  # of one call at most; it has a budget of that
PRICED = 6  # calls with that budget: one of each test, and two of the one that streams
MODELS = {
    "openai": "gpt-4o-mini",
    "openai_responses": "gpt-4o-mini",
    "anthropic": "claude-haiku-4-5",
    "gemini": "gemini-2.5-flash",
    "xai": "grok-3-mini",
    "deepseek": "deepseek-chat",
    "mistral": "mistral-small-latest",
    "moonshot": "kimi-k2-0905-preview",
}
"""The cheap ones; the models of other vendors have to be named."""


@dataclass(frozen=True)
class Asked:
    """A vendor that was named, and why it is not asked, if it is not."""

    vendor: Vendor
    name: str
    missing: str = ""

    @property
    def model(self) -> str:
        return f"{self.vendor.name}:{self.name}"

    @property
    def cost(self) -> str:
        """What all its tests come to at most, as text."""
        usage = Usage(tokens_completion=PRICED * TOKENS)
        nanos = pricing.cost_of(usage, self.name, self.vendor.name)
        return "of unknown price" if nanos is None else f"${nanos / NANOS_PER_USD:.3f} at most"


def asked() -> Iterator[Asked]:
    for item in os.environ.get("LIVE_VENDORS", "").replace(",", " ").split():
        written, _, name = item.partition(":")
        vendor = VENDORS.get(written)
        if vendor is None:
            near = nearest(written, VENDORS)
            hint = f"did you mean {near!r}?" if near else f"there are: {', '.join(VENDORS)}"
            raise pytest.UsageError(f"there is no vendor {written!r}; {hint}")
        name = name or MODELS.get(written, "")
        missing = ""
        if not name:
            missing = f"no model is named: write {written}:MODEL"
        elif vendor.needs_key and not vendor.key():
            missing = f"there is no key: set {vendor.key_variable}"
        yield Asked(vendor, name, missing)


def pytest_report_header() -> list[str]:
    """Who will be asked, and what that may cost."""
    named = list(asked())
    if not named:
        return ["vendors: none; name those to ask, as in make test-live VENDORS=openai,anthropic"]
    return [f"vendor: {each.model}, {each.missing or each.cost}" for each in named]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test for each vendor, or one that is skipped."""
    if "vendor" in metafunc.fixturenames:
        nobody = pytest.param(None, marks=pytest.mark.skip("no vendor is named"), id="nobody")
        named = [
            pytest.param(
                each,
                marks=[pytest.mark.skip(f"{each.vendor.name}: {each.missing}")]
                * bool(each.missing),
                id=each.vendor.name,
            )
            for each in asked()
        ]
        metafunc.parametrize("vendor", named or [nobody])
