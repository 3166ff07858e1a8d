"""What is taken for a secret by its form or its name, and what is not."""

from __future__ import annotations

import json
import logging

import pytest

from aixgo.observability import JsonFormatter
from aixgo.observability.redaction import redact

SECRETS = {
    "a password without a user in a URL": "redis://:hunter2canary@cache:6379/0",
    "a user's password in a URL": "postgres://shop:hunter2canary@db/orders",
    "a field of an answer to a login": '{"access_token": "hunter2canary", "expires_in": 60}',
    "a field in camel case": '{"refreshToken":"hunter2canary"}',
    "a form's field": "grant_type=x&client_secret=hunter2canary",
    "a variable that somebody printed": "DB_PASSWORD=hunter2canary",
    "a header": "x-api-key: hunter2canary",
}


@pytest.mark.parametrize("case", SECRETS)
def test_a_secret_is_hidden_by_its_form(case: str) -> None:
    hidden = redact(SECRETS[case])
    assert "canary" not in hidden
    assert "[redacted]" in hidden


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens: 4096000000",
        "tokens_total=123456789",
        "http://127.0.0.1:4318/v1/traces",
        "the secret of success is patience",
    ],
)
def test_what_only_resembles_a_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_what_is_logged_under_the_name_of_a_secret_is_hidden_whatever_it_looks_like() -> None:
    record = logging.makeLogRecord(
        {"msg": "in", "api_key": "canary", "user_password": "canary", "tokens": 7, "shop": "north"}
    )
    line = json.loads(JsonFormatter().format(record))
    assert line["extra"] == {
        "api_key": "[redacted]",
        "user_password": "[redacted]",
        "tokens": 7,
        "shop": "north",
    }
