"""The set of `make test-live`, with the server none of us wrote in place of the vendors, and without any."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from aixgo.providers._vendors import VENDORS
from tests.conformance_providers.aimock import running_aimock, skip_without_aimock
from tests.conformance_providers.dialects import KEY
from tests.live.conftest import asked

BOUND = 50  # seconds for the whole set on a busy machine; alone it takes three

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.slow,
    pytest.mark.timeout(BOUND + 10),
]

ROOT = Path(__file__).resolve().parents[2]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def aimock() -> AsyncIterator[str]:
    skip_without_aimock()
    async with running_aimock() as url:
        yield url


async def live(vendors: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """The exit code and the output of the set, in an environment without any key but those given."""
    variables = {
        n for row in VENDORS.values() for n in (*row.key_variables, *row.base_url_variables)
    }
    clean = {name: value for name, value in os.environ.items() if name not in variables}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/live/short_set.py"),
        cwd=ROOT,
        env={**clean, "PYTHONPATH": str(ROOT), "LIVE_VENDORS": vendors, **(environment or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(BOUND):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output.decode()


async def test_every_part_of_it_passes_against_a_server_that_behaves(aimock: str) -> None:
    environment = {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": f"{aimock}/v1",
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": aimock,
        "DEEPSEEK_API_KEY": KEY,
        "DEEPSEEK_BASE_URL": f"{aimock}/v1",
    }
    vendors = "openai,openai_responses:gpt-4o,anthropic,deepseek,gemini,openrouter"
    code, output = await live(vendors, environment)
    assert code == 0, output
    assert "20 passed, 10 skipped" in output
    assert re.search(r"vendor: openai:gpt-4o-mini, \$0\.0\d+ at most", output)
    assert "gemini: there is no key: set GEMINI_API_KEY" in output
    assert "openrouter: no model is named: write openrouter:MODEL" in output
    assert KEY not in output


async def test_a_key_alone_has_nobody_asked() -> None:
    code, output = await live("", {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "http://127.0.0.1:9"})
    assert code == 0, output
    assert "5 skipped" in output
    assert "VENDORS=openai,anthropic" in output


async def test_a_name_nobody_has_is_an_error_with_the_nearest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LIVE_VENDORS", "antropic")
    with pytest.raises(pytest.UsageError, match="'antropic'; did you mean 'anthropic'"):
        list(asked())
