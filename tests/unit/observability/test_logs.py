"""The lines of the log: what they tell of a call and what they keep to themselves; what setting up leaves alone."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from aixgo import CallContext, Caller, LocalRuntime, agent
from aixgo.context import SystemClock, _current
from aixgo.errors import AgentFailed, ConfigError
from aixgo.observability import (
    CallFields,
    JsonFormatter,
    LogSettings,
    TextFormatter,
    setup,
    setup_logs,
)
from aixgo.observability.redaction import forget_environment

log = logging.getLogger("shop")

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@agent
async def leaf(text: str) -> str:
    log.warning("weighing %s", text)
    if text == "fail":
        raise ValueError("out of Bearer abcdefgh12345678")
    return text


@agent
def threaded(text: str) -> str:
    log.warning("weighing %s", text)
    return text


@agent
async def relay(text: str, caller: Caller) -> str:
    return (await caller.call("leaf", text)).text


@contextmanager
def written(formatter: logging.Formatter) -> Iterator[io.StringIO]:
    """What a handler with `formatter` writes."""
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    try:
        yield output
    finally:
        logging.getLogger().removeHandler(handler)


@contextmanager
def no_handlers() -> Iterator[logging.Logger]:
    """As in a program that has not set up its log; pytest installs handlers of its own."""
    root = logging.getLogger()
    before, root.handlers = root.handlers, []
    try:
        yield root
    finally:
        root.handlers = before


def lines(output: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


def logged(text: object, *arguments: object, **extra: object) -> dict[str, object]:
    """The JSON line of one record."""
    record = log.makeRecord("shop", logging.WARNING, "", 0, text, arguments, None, extra=extra)
    found: dict[str, object] = json.loads(JsonFormatter().format(record))
    return found


async def test_a_line_tells_agent_path_and_call() -> None:
    with written(JsonFormatter()) as output:
        async with LocalRuntime(leaf, relay) as rt:
            await rt.call("relay", "apples")
    (line,) = lines(output)
    assert (line["agent"], line["path"], line["call"]) == ("leaf", ["relay", "leaf"], "relay/leaf")
    assert (line["level"], line["logger"], line["message"]) == (
        "warning",
        "shop",
        "weighing apples",
    )
    assert "trace_id" not in line


async def test_a_line_of_a_synchronous_agent_tells_the_same() -> None:
    with written(JsonFormatter()) as output:
        async with LocalRuntime(threaded) as rt:
            await rt.call("threaded", "apples")
    assert lines(output)[0]["agent"] == "threaded"


async def test_a_line_is_part_of_the_trace_it_was_written_in() -> None:
    with written(JsonFormatter()) as output:
        async with setup(exporter="console") as on, LocalRuntime(leaf) as rt:
            assert on.tracer_provider is not None
            with on.tracer_provider.get_tracer("t").start_as_current_span("outer") as span:
                await rt.call("leaf", "apples")
            trace_id = span.get_span_context().trace_id
    line = next(line for line in lines(output) if line["logger"] == "shop")
    assert line["trace_id"] == f"{trace_id:032x}"
    assert line["span_id"] != f"{span.get_span_context().span_id:016x}"  # that of the agent's own


def test_a_trace_that_comes_with_a_call_is_told_also_where_nothing_is_traced() -> None:
    """What a peer sent as `traceparent`; no exporter, no SDK."""
    code = (
        "import logging, sys; from aixgo.context import CallContext, SystemClock, _current; "
        "from aixgo.observability import JsonFormatter; "
        f"_current.set(CallContext('leaf', 0, SystemClock(), traceparent={TRACEPARENT!r})); "
        "print(JsonFormatter().format(logging.makeLogRecord({'msg': 'x'}))); "
        "print('opentelemetry' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    line, loaded = done.stdout.splitlines()
    assert json.loads(line)["trace_id"] == TRACE
    assert loaded == "False"


async def test_a_failure_s_line_has_the_id_its_caller_got_and_the_traceback() -> None:
    with written(JsonFormatter()) as output:
        async with LocalRuntime(leaf) as rt:
            with pytest.raises(AgentFailed) as failed:
                await rt.call("leaf", "fail")
    line = lines(output)[-1]
    assert line["error_id"] == failed.value.error_id
    assert "ValueError: out of Bearer [redacted]" in str(line["exception"])


def test_a_line_is_one_line_and_an_object_whatever_is_logged() -> None:
    assert logged("two\nlines \ud800 %s", "ü")["message"] == "two\nlines \ud800 ü"
    assert "its arguments do not fit" in str(logged("%d", "x")["message"])
    assert logged({"a": 1})["message"] == "{'a': 1}"
    assert len(str(logged("x" * 100_000)["message"])) == 16 * 1024


def test_a_secret_at_the_end_of_a_long_line_is_not_cut_in_half() -> None:
    begun = "x" * (16 * 1024 - 20)
    assert "sk-" not in str(logged(f"{begun} sk-abcdefghijklmnopqrstuvwxyz")["message"])


def test_what_was_given_as_extra_stands_apart() -> None:
    line = logged("x", order=7, who="Bearer abcdefgh12345678", ratio=float("nan"), deep={"a": 1})
    assert line["extra"] == {"order": 7, "who": "Bearer [redacted]", "ratio": "nan"}


def test_no_line_holds_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "canary-of-the-shop")
    forget_environment()
    record = log.makeRecord("shop", logging.ERROR, "", 0, "with %s", ("canary-of-the-shop",), None)
    try:
        assert "canary" not in JsonFormatter().format(record)
        assert TextFormatter().format(record) == "error shop: with [redacted]"
    finally:
        monkeypatch.undo()
        forget_environment()


@pytest.mark.parametrize("told", [False, True])
def test_on_whose_behalf_a_call_is_made_is_told_only_when_asked_for(told: bool) -> None:
    record = logging.makeLogRecord(
        {"msg": "x", "principal": "ann", "tenant": "shop", "trace_id": ""}
    )
    line = json.loads(JsonFormatter(include_identity=told).format(record))
    assert (line.get("principal"), line.get("tenant")) == (
        ("ann", "shop") if told else (None, None)
    )


async def test_a_file_s_wish_to_tell_it_reaches_the_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with no_handlers(), setup_logs(format="json", include_identity=True):
        async with LocalRuntime(leaf, principal="ann") as rt:
            await rt.call("leaf", "apples")
    assert json.loads(capsys.readouterr().err)["principal"] == "ann"


async def test_a_format_of_one_s_own_can_use_the_fields() -> None:
    with written(logging.Formatter("%(agent)s %(path)s %(message)s")) as output:
        logging.getLogger().handlers[-1].addFilter(CallFields())
        log.warning("outside")
        async with LocalRuntime(leaf) as rt:
            await rt.call("leaf", "apples")
    assert output.getvalue().splitlines() == [" [] outside", "leaf ['leaf'] weighing apples"]


def test_importing_aixgo_installs_no_handler_and_sets_no_level() -> None:
    code = (
        "import logging, aixgo, aixgo.config, aixgo.observability, aixgo.runtime.distributed; "
        "print([n for n, l in logging.root.manager.loggerDict.items() if n.startswith('aixgo') "
        "and isinstance(l, logging.Logger) and (l.handlers or l.level)], logging.root.handlers)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []"


def test_setting_the_log_up_and_closing_it_leaves_everything_as_it_was(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with no_handlers() as root:
        with setup_logs(level="debug", loggers={"shop": "error"}):
            logging.getLogger("aixgo.x").debug("shown")
            log.warning("not shown")
        assert root.handlers == []
    assert capsys.readouterr().err == "debug aixgo.x: shown\n"
    assert {logging.getLogger(name).level for name in ("aixgo", "shop")} == {logging.NOTSET}


def test_other_libraries_are_heard_from_warnings_on(capsys: pytest.CaptureFixture[str]) -> None:
    with no_handlers(), setup_logs(level="debug"):
        logging.getLogger("httpx").debug("what a model was asked")
        logging.getLogger("httpx").warning("slow")
    assert capsys.readouterr().err == "warning httpx: slow\n"


def test_settings_that_cannot_be_right_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"logging\.level is 'loud'"):
        setup_logs(level="loud")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="either settings or keywords"):
        setup_logs(LogSettings(), level="info")


def test_a_foreign_traceparent_that_is_none_is_left_out() -> None:
    token = _current.set(CallContext("leaf", 0, SystemClock(), traceparent="nonsense"))
    try:
        line = logged("x")
    finally:
        _current.reset(token)
    assert line["agent"] == "leaf"
    assert "trace_id" not in line
