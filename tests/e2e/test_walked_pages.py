"""Pages that are walked through as a reader does: their files written, their commands run, in order."""

import os
import re
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.commands import ROOT, environment

PAGES = ["getting-started", "coming-from-aixgo-go"]

BLOCK = re.compile(r"([^\n]*)\n\n```(python|yaml|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"(Add to )?`([\w.]+)`:$")
LOOPBACK = re.compile(r"127\.0\.0\.1:([1-9]\d*)")

WAIT = 20  # seconds a command may take before that is the failure


def on_free_ports(text: str) -> str:
    """`text` with other ports than those it names, which somebody on this machine may use."""
    held = {port: socket.create_server(("127.0.0.1", 0)) for port in set(LOOPBACK.findall(text))}
    free = {port: listener.getsockname()[1] for port, listener in held.items()}
    for listener in held.values():
        listener.close()
    return LOOPBACK.sub(lambda found: f"127.0.0.1:{free[found[1]]}", text)


def commands(block: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown.strip()


def fits(shown: str, output: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in shown.split("…"))
    return re.search(pattern, output, re.DOTALL) is not None


class Walk:
    """A folder, and what was started in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: list[subprocess.Popen[str]] = []
        self._environment = environment(
            PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            AIXGO_STATE_DIR=str(folder / "state"),
        )

    def write(self, name: str, text: str, *, more: bool) -> None:
        path = self._folder / name
        old = path.read_text(encoding="utf-8") + "\n" if more else ""
        path.write_text(old + text, encoding="utf-8")

    def run(self, command: str, shown: str) -> None:
        """Run `command` to its end; one that ends with `&` goes on beside those that follow."""
        if command.endswith(" &"):
            self._serve(command.removesuffix(" &"), shown)
            return
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=WAIT,
            check=False,
        )
        output = done.stdout + done.stderr
        assert fits(shown, output), f"$ {command}\n{output}"
        assert (done.returncode != 0) == ("error:" in shown), f"$ {command}\n{output}"

    def _serve(self, command: str, shown: str) -> None:
        server = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._servers.append(server)
        assert server.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(server.stdout, selectors.EVENT_READ)
            assert selector.select(WAIT), f"$ {command} prints nothing"
        assert fits(shown, server.stdout.readline()), f"$ {command}"

    def end(self) -> list[int]:
        """Ask the servers to end, last started first, and return their exit codes."""
        codes = []
        for server in reversed(self._servers):
            server.send_signal(signal.SIGTERM)
            try:
                codes.append(server.wait(WAIT))
            finally:
                server.kill()
                server.communicate()
        return codes


@pytest.mark.slow
@pytest.mark.timeout(150)
@pytest.mark.parametrize("page", PAGES)
def test_a_reader_who_follows_the_page_sees_what_it_shows(page: str, tmp_path: Path) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    blocks = BLOCK.findall(on_free_ports(text))
    assert len(blocks) > 5
    walk = Walk(tmp_path)
    try:
        for before, language, block in blocks:
            if named := NAMED.search(before):
                walk.write(named[2], block, more=bool(named[1]))
            elif language == "console":
                for command, shown in commands(block):
                    walk.run(command, shown)
            else:
                assert language == "python", f"the line before a file names it: {before!r}"
                walk.write("snippet.py", block, more=False)
                walk.run("python -W error snippet.py", "")
    finally:
        codes = walk.end()
    assert set(codes) <= {0}
