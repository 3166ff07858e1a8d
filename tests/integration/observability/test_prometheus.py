"""The address Prometheus scrapes: over a socket, read by a parser of our own, and by Prometheus's own checker."""

from __future__ import annotations

import asyncio
import http.client
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from aixgo import LocalRuntime, agent, telemetry
from aixgo.errors import ConfigError
from aixgo.observability import Settings, prometheus, setup
from aixgo.observability.counted import COUNTED
from aixgo.observability.settings import prometheus_address

ROOT = Path(__file__).resolve().parents[3]
CACHE = ROOT / ".cache" / "promtool"
TEXT = "text/plain;version=0.0.4"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"

SAMPLE = re.compile(
    r'(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>(?:[a-zA-Z_]\w*="(?:[^"\\]|\\.)*",?)*)\})?'
    r" (?P<value>[+-]?(?:Inf|NaN|[\d.]+(?:e[+-]?\d+)?))"
)
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
COMMENT = re.compile(r"# (HELP|TYPE|UNIT|EOF)( [a-zA-Z_:][\w:]*( .*)?)?")

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parse(text: str) -> Samples:
    """Samples by name and labels; every line has to be one, or a comment of the format."""
    found: Samples = {}
    for line in text.splitlines():
        if line.startswith("#"):
            assert COMMENT.fullmatch(line), line
            continue
        sample = SAMPLE.fullmatch(line)
        assert sample, line
        key = (sample["name"], tuple(sorted(LABEL.findall(sample["labels"] or ""))))
        assert key not in found, f"twice: {line}"
        found[key] = float(sample["value"])
    return found


def scrape(
    address: str, path: str = "/metrics", accept: str = TEXT
) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", path, headers={"Accept": accept})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), dict(answer.getheaders())
    finally:
        connection.close()


@agent
async def upper(text: str) -> str:
    return text.upper()


@contextmanager
def measured() -> Iterator[str]:
    """An address that is scraped."""
    with setup(prometheus="127.0.0.1:0") as on:
        yield on.prometheus_address


async def test_a_scrape_shows_what_the_runtime_says() -> None:
    with measured() as address:
        async with LocalRuntime(upper) as rt:
            status, before, headers = await asyncio.to_thread(scrape, address)
            for _ in range(3):
                await rt.call("upper", "x")
            _, after, _ = await asyncio.to_thread(scrape, address)
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    was, now = parse(before), parse(after)
    succeeded = ("aixgo_runtime_calls_total", (("aixgo_outcome", "succeeded"),))
    assert now[succeeded] - was[succeeded] == 3
    assert now["aixgo_call_duration_seconds_count", (("gen_ai_agent_name", "upper"),)] == 3
    assert now["aixgo_runtime_calls_in_flight", ()] == 0


@pytest.mark.parametrize(
    "accept", ["text/plain;version=many", "application/openmetrics-text;version=x", "*/*", ""]
)
def test_a_client_that_asks_for_a_form_that_is_none_gets_plain_text(accept: str) -> None:
    with measured() as address:
        status, text, headers = scrape(address, accept=accept)
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    assert parse(text)


async def test_the_buckets_of_a_histogram_add_up() -> None:
    with measured() as address:
        async with LocalRuntime(upper) as rt:
            for _ in range(5):
                await rt.call("upper", "x")
            _, text, _ = await asyncio.to_thread(scrape, address)
    found = parse(text)
    buckets = [
        (float(dict(labels)["le"]), value)
        for (name, labels), value in found.items()
        if name == "aixgo_agent_duration_seconds_bucket"
    ]
    assert [edge for edge, _ in buckets] == sorted(edge for edge, _ in buckets)
    assert [value for _, value in buckets] == sorted(value for _, value in buckets)
    assert buckets[0][0] == 0.001
    assert buckets[-1] == (float("inf"), 5)


async def test_every_instrument_over_the_runtime_is_there_from_the_start() -> None:
    with measured() as address:
        async with LocalRuntime(upper) as rt:
            await rt.call("upper", "x")
            _, text, _ = await asyncio.to_thread(scrape, address)
    names = {name for name, _ in parse(text)}
    for made in COUNTED:
        if "*" not in "".join(made.keys):
            plain = made.name.replace(".", "_")
            assert [name for name in names if name.startswith(plain)], made.name


async def test_a_client_that_knows_openmetrics_gets_it() -> None:
    with measured() as address:
        status, text, headers = await asyncio.to_thread(scrape, address, accept=OPENMETRICS)
    assert status == 200
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")
    parse(text)


async def test_names_with_quotes_and_backslashes_are_escaped() -> None:
    @agent(name='say "hi" \\ there')
    async def quoted(text: str) -> str:
        return text

    with measured() as address:
        async with LocalRuntime(quoted) as rt:
            await rt.call(quoted.name, "x")
            _, text, _ = await asyncio.to_thread(scrape, address)
    labels = [dict(labels).get("gen_ai_agent_name") for _, labels in parse(text)]
    assert r"say \"hi\" \\ there" in labels


async def test_scrapes_at_the_same_time_each_get_everything_once() -> None:
    with measured() as address, ThreadPoolExecutor(4) as pool:
        async with LocalRuntime(upper) as rt:
            await rt.call("upper", "x")
            found = [pool.submit(scrape, address) for _ in range(20)]
            texts = [(await asyncio.to_thread(each.result))[1] for each in found]
    assert len({frozenset(parse(text)) for text in texts}) == 1


async def test_scraping_disturbs_no_runtime_that_changes_meanwhile(
    caplog: pytest.LogCaptureFixture,
) -> None:
    over = asyncio.Event()

    def scrapes(address: str) -> None:
        for _ in range(30):
            parse(scrape(address)[1])

    async def changes(rt: LocalRuntime) -> None:
        number = 0
        while not over.is_set():
            number += 1
            async with rt.spawn(upper) as name:
                await rt.call(name, "x")
                await rt.send(name, "x")
            await rt.register(upper, f"more-{number % 50}")
            await rt.unregister(f"more-{number % 50}")

    with measured() as address:
        async with asyncio.timeout(20), LocalRuntime(upper) as rt, asyncio.TaskGroup() as group:
            group.create_task(changes(rt))
            await asyncio.gather(*(asyncio.to_thread(scrapes, address) for _ in range(2)))
            over.set()
    assert [record.getMessage() for record in caplog.records] == []


async def test_only_the_path_of_metrics_answers() -> None:
    with measured() as address:
        assert (await asyncio.to_thread(scrape, address, "/"))[0] == 404
        assert (await asyncio.to_thread(scrape, address, "/metrics?x=1"))[0] == 200


async def test_a_client_that_says_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "LONGEST", 0.05)
    with measured() as address:
        host, _, port = address.partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as silent:
            silent.sendall(b"GET /met")
            assert await asyncio.to_thread(silent.recv, 1) == b""
        assert (await asyncio.to_thread(scrape, address))[0] == 200


async def test_more_clients_than_there_are_places_for_are_hung_up_on_and_block_nobody_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prometheus, "MOST", 1)
    with measured() as address:
        host, _, port = address.partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as holds:
            holds.sendall(b"GET /metrics HTTP/1.0\r\n")
            with socket.create_connection((host, int(port)), timeout=10) as late:
                assert await asyncio.to_thread(late.recv, 1) == b""
            holds.sendall(b"\r\n")
            answered = await asyncio.to_thread(holds.recv, 12)
        assert answered == b"HTTP/1.0 200"


def test_an_address_that_is_taken_is_refused_and_leaves_nothing_on() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(ConfigError, match=r"observability\.prometheus: 127\.0\.0\.1:\d+: .*in use"),
    ):
        setup(prometheus=f"127.0.0.1:{other.getsockname()[1]}")
    assert not telemetry.on


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("9464", "127.0.0.1", 9464), ("0.0.0.0:1", "0.0.0.0", 1), ("[::1]:2", "::1", 2)],
)
def test_a_port_alone_is_one_of_this_machine(text: str, host: str, port: int) -> None:
    assert prometheus_address(text, "x") == (host, port)


@pytest.mark.parametrize(
    "text", ["localhost", "http://x:1", "unix:/tmp/x", "dns:///x:1", "x:99999"]
)
def test_what_is_no_address_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(ConfigError, match=r"observability\.prometheus"):
        Settings(prometheus=text)


def test_a_port_without_a_host_says_what_it_could_mean() -> None:
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1:9464 is this machine's, 0\.0\.0\.0:9464"):
        Settings(prometheus=":9464")


def test_one_of_several_processes_takes_a_free_port() -> None:
    assert Settings(prometheus="0.0.0.0:9464").on_a_free_port().prometheus == "0.0.0.0:0"
    assert Settings(prometheus="[::1]:9464").on_a_free_port().prometheus == "[::1]:0"
    assert Settings().on_a_free_port() == Settings()


async def test_after_closing_nobody_listens() -> None:
    with measured() as address:
        pass
    with pytest.raises(ConnectionRefusedError):
        await asyncio.to_thread(scrape, address)


# -- Prometheus's own checker -------------------------------------------------------------------------------


def promtool() -> str:
    """The checker: installed, or fetched by apt where tests may do that; skips without."""
    found = shutil.which("promtool") or shutil.which("promtool", path=CACHE / "usr" / "bin")
    if found is None and os.environ.get("AIXGO_APT"):
        found = _fetched()
    if found is None:
        pytest.skip("needs promtool: sudo apt-get install prometheus, or AIXGO_APT=1")
    return found


def _fetched() -> str | None:
    """`promtool` out of Debian's package, which is only unpacked: its server is not wanted here."""
    CACHE.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(
            ["apt-get", "download", "prometheus"],
            cwd=CACHE,
            check=True,
            capture_output=True,
            timeout=20,
        )
        package = max(CACHE.glob("prometheus_*.deb"), key=lambda path: path.stat().st_mtime)
        subprocess.run(["dpkg-deb", "-x", package, CACHE], check=True, timeout=20)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    package.unlink()
    return shutil.which("promtool", path=CACHE / "usr" / "bin")


@pytest.mark.timeout(60)
async def test_prometheuss_own_checker_finds_nothing_to_complain_about() -> None:
    checker = await asyncio.to_thread(promtool)
    with measured() as address:
        async with LocalRuntime(upper) as rt:
            await rt.call("upper", "x")
            _, text, _ = await asyncio.to_thread(scrape, address)
    checked = await asyncio.to_thread(
        subprocess.run,
        [checker, "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
