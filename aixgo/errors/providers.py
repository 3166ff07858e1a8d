"""What can keep a model from answering, and what whoever meets it can do about it.

The text of such an error is made from its fields, so that it says the same however many processes away the
model was asked; only what stayed in the process that asked may say more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from aixgo.errors.base import AixgoError

__all__ = [
    "CODES",
    "OutputInvalid",
    "ProviderError",
    "ProviderUnavailable",
    "RateLimited",
    "RequestRejected",
    "provider_text",
]

LATER = "try again later"
CODES: Mapping[str, tuple[str, str]] = {
    "authentication": ("does not accept the key, or does not allow it this", ""),
    "quota": (
        "says the account's credit is used up",
        "top up the account, or name another model",
    ),
    "model_not_found": ("has no such model, or not for this key", "check the model's name"),
    "context_length": (
        "says the request is too long for the model",
        "shorten the input or the conversation, or name a model that takes more",
    ),
    "content_filtered": ("refuses the content", "change the input"),
    "invalid_request": (
        "says the request is not valid",
        "its own words are in the log of the process that asked it",
    ),
    "tool_images": (
        "takes no pictures in a tool's result",
        "send them as the user's",
    ),
    "unpriced": (
        "was not asked, because its model has no price",
        "give it one under 'prices:', or choose on_unpriced: allow or estimate",
    ),
    "invalid_schema": ("cannot be held to the output schema", "simplify it"),
    "schema": (
        "gave no answer that fits the output schema, however often it was asked",
        "simplify the schema, or name another model",
    ),
    "rate_limit": ("asks to slow down", LATER),
    "overloaded": ("is overloaded or failed on its side", LATER),
    "timeout": ("did not answer in time", "give it more time, or " + LATER),
    "connection": (
        "cannot be reached, or the connection broke",
        "check the address it is reached at, or " + LATER,
    ),
    "malformed": ("sent something that is no answer", "check that its API is at its address"),
    "no_answer": ("ended its answer before it was whole", LATER),
    "usage_malformed": ("reported a usage that cannot be", "mend what the provider counts"),
}
"""What each `code` says of the provider, and what to do about it."""


def provider_text(
    provider: str,
    code: str,
    *,
    model: str = "",
    variable: str = "",
    retry_after: float = 0.0,
    more: str = "",
) -> str:
    """The text of a `ProviderError`; `more` is what its process alone knows, such as the vendor's words."""
    what, advice = CODES[code]
    if code == "authentication":
        advice = f"check the key in {variable}" if variable else "check the api_key it is given"
    if retry_after:
        advice = advice.replace(LATER, f"try again after {retry_after:.3g} s")
    of = f" (model {model!r})" if model else ""
    who = repr(provider) if provider else "the model's provider"
    return f"{who} {what}{of}{': ' if more else ''}{more}; {advice}"


class ProviderError(AixgoError):
    """A model provider did not answer as asked. `provider` and `code` say which and how.

    `model` is the one it was asked for, and `variable` the environment variable its key comes from; both
    may be empty. A provider of one's own may use any `code`: those of `CODES` bring a text that says what to do.
    """

    status = "UNAVAILABLE"
    fields: ClassVar[tuple[str, ...]] = ("provider", "code", "retry_after", "model", "variable")
    unexplained: ClassVar[str] = "failed"
    """What it did, where the code says nothing."""

    def __init__(
        self,
        text: str = "",
        *,
        provider: str = "",
        code: str = "",
        retry_after: float = 0.0,
        model: str = "",
        variable: str = "",
    ) -> None:
        self.provider = provider
        self.code = code
        self.retry_after = retry_after
        self.model = model
        self.variable = variable
        super().__init__(text or self._told())

    def _told(self) -> str:
        if self.code in CODES:
            return provider_text(
                self.provider,
                self.code,
                model=self.model,
                variable=self.variable,
                retry_after=self.retry_after,
            )
        who = f"the model provider {self.provider!r}" if self.provider else "the model's provider"
        return f"{who} {self.unexplained} ({self.code or self.status})"


class ProviderUnavailable(ProviderError):
    """The provider is overloaded, unreachable or failed on its side."""

    retryable = True


class RateLimited(ProviderError):
    """The provider asks to slow down."""

    status = "RESOURCE_EXHAUSTED"
    retryable = True
    unexplained: ClassVar[str] = "asks to slow down"


class RequestRejected(ProviderError):
    """The provider refused the request as it stands: wrong key, unknown model, filtered content."""

    status = "INVALID_ARGUMENT"
    unexplained: ClassVar[str] = "refused the request"


class OutputInvalid(ProviderError):
    """The model's answer does not fit the schema it was asked for, after all repair attempts."""

    status = "FAILED_PRECONDITION"
    unexplained: ClassVar[str] = "gave an answer that does not fit what was asked"
