"""What tokens cost: whose price goes first, what is paid once, and what becomes of a model without a price."""

import logging
from collections.abc import Iterator

import pytest

from aixgo import LocalRuntime, Usage, pricing
from aixgo.agents import ChatAgent
from aixgo.errors import AixgoError, ConfigError, ProviderUnavailable, RequestRejected
from aixgo.pricing import OVERRIDES, Price, Prices, check_priced, cost_of, priced
from aixgo.providers import CompletionRequest, Model
from aixgo.providers.base import ChatMessage
from aixgo.testing import ScriptedProvider

SCRIPTED = Prices(own={"scripted:*": Price.usd(1, 2)})
NAMED = [  # every model that the studied ancestor prices, or was asked to
    *("openai:gpt-4", "openai:gpt-4-turbo", "openai:gpt-4-turbo-preview", "openai:gpt-4o"),
    *("openai:gpt-4o-mini", "openai:gpt-3.5-turbo", "openai:gpt-3.5-turbo-16k"),
    *("openai:o1-preview", "openai:o1-mini", "openai:gpt-4.1", "openai:gpt-5"),
    *("anthropic:claude-3-opus-20240229", "anthropic:claude-3-5-sonnet-20240620"),
    *("anthropic:claude-3-5-sonnet-20241022", "anthropic:claude-3-5-haiku-20241022"),
    *("anthropic:claude-3-haiku-20240307", "anthropic:claude-sonnet-4-6"),
    *("gemini:gemini-1.5-pro", "gemini:gemini-1.5-flash", "gemini:gemini-2.0-flash-exp"),
    *("xai:grok-beta", "xai:grok-4", "deepseek:deepseek-chat", "deepseek:deepseek-coder"),
    "mistral:mistral-large-latest",
]


@pytest.fixture(autouse=True)
def prices_of_nobody() -> Iterator[None]:
    before = pricing.prices()
    pricing.install(Prices())
    yield
    pricing.install(before)


@pytest.mark.parametrize("name", NAMED)
def test_every_model_of_the_ancestor_has_a_price(name: str) -> None:
    provider, _, model = name.partition(":")
    price = pricing.price_of(model, provider)
    assert price is not None
    assert price.completion >= price.prompt > 0


@pytest.mark.parametrize("name", OVERRIDES)
def test_our_own_prices_say_when_they_were_noted(name: str) -> None:
    assert OVERRIDES[name].since


def test_cached_tokens_are_not_charged_twice() -> None:
    price = Price.usd(2.5, 10, cached=1.25)
    usage = Usage(tokens_prompt=1_000_000, tokens_cached=400_000)
    assert price.cost(usage) == 1_500_000_000 + 500_000_000


def test_tokens_put_into_the_cache_are_charged_once_at_their_own_price() -> None:
    price = Price.usd(3, 15, cached=0.3, cache_write=3.75)
    usage = Usage(tokens_prompt=1_000, tokens_cached=200, tokens_cache_write=300)
    assert price.cost(usage) == 500 * 3_000 + 200 * 300 + 300 * 3_750
    assert cost_of(usage, "claude-sonnet-4-5", "anthropic") == price.cost(usage)
    assert pricing.price_of("claude-sonnet-4-5", "anthropic") == price


def test_the_library_does_not_charge_cached_tokens_twice_either() -> None:
    usage = Usage(tokens_prompt=1_000_000, tokens_cached=400_000)
    assert cost_of(usage, "gpt-4o", "openai") == 1_500_000_000 + 500_000_000


def test_reasoning_is_part_of_the_completion() -> None:
    price = Price.usd(1, 2)
    plain = Usage(tokens_completion=10)
    assert price.cost(Usage(tokens_completion=10, tokens_reasoning=9)) == price.cost(plain)


def test_a_cost_is_rounded_up_to_the_next_nano_dollar() -> None:
    assert Price(prompt=1, completion=0).cost(Usage(tokens_prompt=1)) == 1


def test_a_longer_name_is_not_priced_like_the_shorter_one_it_begins_with() -> None:
    short = cost_of(Usage(tokens_prompt=1_000), "gpt-4", "openai")
    long = cost_of(Usage(tokens_prompt=1_000), "gpt-4.1", "openai")
    assert short is not None
    assert long is not None
    assert long * 10 < short


def test_a_users_price_goes_before_all_others() -> None:
    pricing.install(Prices(own={"openai:gpt-4o": Price.usd(7, 8)}))
    assert cost_of(Usage(tokens_prompt=1_000_000), "gpt-4o", "openai") == 7_000_000_000


def test_a_users_price_may_stand_for_all_models_of_a_provider() -> None:
    pricing.install(SCRIPTED)
    assert cost_of(Usage(tokens_completion=1_000_000), "any", "scripted") == 2_000_000_000


@pytest.mark.parametrize("provider", ["offline", "ollama", "vllm", "lmstudio"])
def test_what_runs_on_ones_own_machine_costs_nothing(provider: str) -> None:
    assert cost_of(Usage(tokens_prompt=1_000), "any", provider) == 0


def test_without_the_package_our_own_and_users_prices_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pricing, "_library", lambda: None)
    assert cost_of(Usage(tokens_prompt=1_000_000), "grok-beta", "xai") == 5_000_000_000
    assert cost_of(Usage(tokens_prompt=1_000_000), "gpt-4o", "openai") is None


def test_a_price_is_not_negative() -> None:
    with pytest.raises(ConfigError, match="not negative"):
        Price.usd(-1, 2)


def test_a_price_the_vendor_named_is_kept() -> None:
    usage = Usage(cost_nanos=7, tokens_prompt=1_000)
    assert priced(usage, "gpt-4o", "openai") is usage


def test_an_answer_of_an_unlisted_version_costs_what_the_model_asked_for_does() -> None:
    pricing.install(Prices(own={"scripted:asked": Price.usd(1, 2)}))
    found = priced(Usage(tokens_prompt=1_000_000), "asked-2099", "scripted", "asked")
    assert found.cost_nanos == 1_000_000_000


def test_an_unpriced_model_is_warned_about_once_and_its_tokens_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "aixgo.providers"):
        for _ in range(2):
            assert priced(Usage(tokens_prompt=3), "once", "nobody").tokens_prompt == 3
    assert [record.message for record in caplog.records if "nobody:once" in record.message] == [
        "nobody:once has no price, so its calls count tokens and no money; give it one under 'prices:'"
    ]


def test_an_estimate_is_above_what_the_ancestors_models_cost() -> None:
    pricing.install(Prices(on_unpriced="estimate"))
    usage = Usage(tokens_prompt=1_000, tokens_completion=1_000)
    estimate = cost_of(usage, "unheard-of", "nobody")
    assert estimate is not None
    for name in NAMED:
        provider, _, model = name.partition(":")
        known = cost_of(usage, model, provider)
        assert known is not None
        assert known <= estimate


async def test_an_unpriced_model_is_refused_before_anything_is_asked_where_that_was_chosen() -> (
    None
):
    pricing.install(Prices(on_unpriced="error"))
    provider = ScriptedProvider(["x"])
    request = CompletionRequest(model="m", messages=[ChatMessage("user", "hi")])
    with pytest.raises(RequestRejected, match="scripted:m has no price"):
        await Model(provider).complete(request)
    assert provider.requests == []


def test_a_budget_in_money_refuses_an_unpriced_model_unless_somebody_allowed_it() -> None:
    with pytest.raises(RequestRejected, match="budget in money"):
        check_priced("m", "nobody", in_money=True)
    pricing.install(Prices(on_unpriced="allow"))
    check_priced("m", "nobody", in_money=True)


def test_a_choice_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="on_unpriced"):
        Prices(on_unpriced="ignore")  # type: ignore[arg-type]


async def test_a_reply_says_what_its_model_calls_cost() -> None:
    pricing.install(SCRIPTED)
    async with LocalRuntime(ChatAgent("chat", provider=ScriptedProvider(["hi"]))) as rt:
        reply = await rt.call("chat", "hello")
    assert reply.metadata["cost_usd"] == pytest.approx(10e-6 + 2 * 5e-6)
    assert reply.metadata["tokens_total"] == 15
    assert reply.metadata["tokens_prompt"] == 10
    assert reply.metadata["tokens_completion"] == 5


async def test_a_streamed_reply_costs_the_same() -> None:
    pricing.install(SCRIPTED)
    async with (
        LocalRuntime(ChatAgent("chat", provider=ScriptedProvider(["hi"]))) as rt,
        rt.stream("chat", "hello") as chunks,
    ):
        async for _ in chunks:
            pass
        assert chunks.final is not None
        assert chunks.final.metadata["cost_usd"] == pytest.approx(20e-6)


async def test_what_a_failed_attempt_used_is_priced_too() -> None:
    pricing.install(SCRIPTED)
    failure = ProviderUnavailable(provider="scripted")
    failure.usage = Usage(tokens_prompt=1_000_000, calls=1)
    request = CompletionRequest(model="m", messages=[ChatMessage("user", "hi")])
    with pytest.raises(AixgoError):
        await Model(ScriptedProvider([failure])).complete(request)
    assert failure.usage.cost_nanos == 1_000_000_000
