"""What can keep a model from answering."""

from __future__ import annotations

from typing import ClassVar

from aixgo.errors.base import AixgoError

__all__ = [
    "OutputInvalid",
    "ProviderError",
    "ProviderUnavailable",
    "RateLimited",
    "RequestRejected",
]


class ProviderError(AixgoError):
    """A model provider did not answer as asked. `provider` and `code` say which and how."""

    status = "UNAVAILABLE"
    fields: ClassVar[tuple[str, ...]] = ("provider", "code", "retry_after")

    def __init__(
        self, text: str = "", *, provider: str = "", code: str = "", retry_after: float = 0.0
    ) -> None:
        self.provider = provider
        self.code = code
        self.retry_after = retry_after
        super().__init__(text or f"the model provider {provider!r} failed ({code or self.status})")


class ProviderUnavailable(ProviderError):
    """The provider is overloaded, unreachable or failed on its side."""

    retryable = True


class RateLimited(ProviderError):
    """The provider asks to slow down."""

    status = "RESOURCE_EXHAUSTED"
    retryable = True


class RequestRejected(ProviderError):
    """The provider refused the request as it stands: wrong key, unknown model, filtered content."""

    status = "INVALID_ARGUMENT"


class OutputInvalid(ProviderError):
    """The model's answer does not fit the schema it was asked for, after all repair attempts."""

    status = "FAILED_PRECONDITION"
