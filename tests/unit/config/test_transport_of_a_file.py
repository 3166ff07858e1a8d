"""`deployment.transport`: how the runtime of a file reaches its peers."""

from __future__ import annotations

from pathlib import Path

import pytest

from aixgo import DistributedRuntime, agent, load_config
from aixgo.config.build import open_runtime
from aixgo.errors import ConfigError


@agent
async def far(text: str) -> str:
    return text.upper()


@pytest.mark.parametrize(
    ("line", "framed"), [("", True), (", transport: stream", True), (", transport: unary", False)]
)
async def test_calls_travel_as_the_file_says(tmp_path: Path, line: str, framed: bool) -> None:
    async with DistributedRuntime(far, address="127.0.0.1:0") as there:
        path = tmp_path / "flow.yaml"
        path.write_text(
            "agents: [{name: near, role: logger}]\n"
            f"deployment: {{peers: {{far: '{there.address}'}}{line}}}\n"
        )
        async with open_runtime(load_config(path)) as rt:
            assert (await rt.call("far", "hello")).text == "HELLO"
            assert bool(rt.metrics()["wire"]["frames_sent"]) is framed


def test_a_transport_nobody_has_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "flow.yaml"
    path.write_text("agents: [{name: near, role: logger}]\ndeployment: {transport: steam}\n")
    with pytest.raises(ConfigError, match=r"flow\.yaml:2: key deployment\.transport .*'stream'"):
        load_config(path)
