"""A link that is cut without a word, between two hosts made of network namespaces."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aixgo import DistributedRuntime
from aixgo.errors import Unavailable
from aixgo.rpc.options import WireSettings

HERE, THERE = "10.213.77.1", "10.213.77.2"

SERVER = """
import asyncio
from aixgo import agent, serve

@agent
async def waits(text: str) -> str:
    print("arrived", flush=True)
    await asyncio.Event().wait()
    return text

@agent
async def echo(text: str) -> str:
    return text

asyncio.run(serve(
    waits, echo, address="{there}:0", insecure=True, ready=lambda rt: print(rt.address, flush=True)
))
"""

needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None,
    reason="needs root and iproute2: sudo apt-get install iproute2, then make test as root",
)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def other_host() -> Iterator[str]:
    """A network namespace with an address of its own, linked to ours."""
    name = f"aixgo{os.getpid()}"
    near, far = f"ax{os.getpid() % 100_000}a", f"ax{os.getpid() % 100_000}b"
    try:
        ip("netns", "add", name)
    except subprocess.CalledProcessError:
        pytest.skip(
            "network namespaces are not permitted here; they are with: docker run --privileged"
        )
    try:
        ip("link", "add", near, "type", "veth", "peer", "name", far)
        ip("link", "set", far, "netns", name)
        ip("address", "add", f"{HERE}/30", "dev", near)
        ip("link", "set", near, "up")
        ip("-n", name, "address", "add", f"{THERE}/30", "dev", far)
        ip("-n", name, "link", "set", far, "up")
        yield f"{name} {far}"
    finally:
        subprocess.run(["ip", "link", "delete", near], check=False, capture_output=True)
        ip("netns", "delete", name)


@needs_namespaces
async def test_a_call_over_a_link_that_is_cut_fails_within_the_keepalives_time(
    other_host: str, tmp_path: Path
) -> None:
    namespace, device = other_host.split()
    program = tmp_path / "server.py"
    program.write_text(SERVER.format(there=THERE))
    server = await asyncio.create_subprocess_exec(
        *("ip", "netns", "exec", namespace, sys.executable, str(program)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert server.stdout is not None
    try:
        async with asyncio.timeout(20):
            address = (await server.stdout.readline()).decode().strip()
            async with DistributedRuntime(
                peers={"waits": address, "echo": address},
                insecure=True,
                wire=WireSettings(keepalive_time=2.0, keepalive_timeout=1.0),
            ) as rt:
                assert (await rt.call("echo", "over the link")).text == "over the link"
                call = asyncio.create_task(rt.call("waits", "for ever"))
                assert await server.stdout.readline() == b"arrived\n"
                ip("-n", namespace, "link", "set", device, "down")
                loop = asyncio.get_running_loop()
                cut_at = loop.time()
                with pytest.raises(Unavailable) as caught:
                    await call
                assert caught.value.outcome == "unknown"
                assert loop.time() - cut_at < 5.0
                ip("-n", namespace, "link", "set", device, "up")
                while True:  # the healed link is used again, without being told
                    try:
                        assert (await rt.call("echo", "healed")).text == "healed"
                        break
                    except Unavailable:
                        await asyncio.sleep(0)
    finally:
        server.kill()
        await server.wait()
