"""Two of a file at one address: refused when the file is read, with both names."""

from pathlib import Path

import pytest

from aixgo import load_config
from aixgo.cli import run_verb
from aixgo.errors import ConfigError


def write(tmp_path: Path, first: str, second: str, rest: str = "") -> Path:
    file = tmp_path / "flow.yaml"
    file.write_text(
        "agents:\n"
        f"  - {{name: reader, role: chat, listen: '{first}'}}\n"
        f"  - {{name: writer, role: chat, listen: '{second}'}}\n{rest}",
        encoding="utf-8",
    )
    return file


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (":50051", ":50051"),
        (":50051", "127.0.0.1:50051"),
        ("127.0.0.1:50051", ":50051"),
        ("localhost:50051", "127.0.0.1:50051"),
        ("localhost:50051", "[::1]:50051"),
        ("[::]:50051", "10.0.0.7:50051"),
        ("[::1]:50051", "[0:0:0:0:0:0:0:1]:50051"),
        ("writer.lan:50051", "Writer.lan:50051"),
        ("unix:/run/a", "unix:///run/a"),
        ("unix:/run/a", "unix:/run/../run/a"),
    ],
)
def test_two_agents_at_one_address_are_refused_with_both_names(
    first: str, second: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, first, second))
    said = str(caught.value)
    assert said.startswith(f"{tmp_path}/flow.yaml:3: key listen: agent 'writer' would listen at ")
    assert f"where agent 'reader' listens ({tmp_path}/flow.yaml:2)" in said


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (":50051", ":50052"),
        (":0", ":0"),
        ("127.0.0.1:50051", "10.0.0.7:50051"),
        ("0.0.0.0:50051", "[::1]:50051"),
        ("reader.lan:50051", "writer.lan:50051"),
        ("unix:/run/a", "unix:/run/b"),
        ("unix:/run/50051", ":50051"),
    ],
)
def test_two_agents_that_can_both_listen_are_fine(first: str, second: str, tmp_path: Path) -> None:
    assert load_config(write(tmp_path, first, second)).names == ("reader", "writer")


@pytest.mark.parametrize("verb", ["validate", "serve", "dev", "run"])
def test_every_command_refuses_before_it_starts_anything(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, ":50051", "127.0.0.1:50051")
    more = ["--distributed", "-i", "hi"] if verb == "run" else []
    assert run_verb([verb, str(file), *more]) == 1
    said = capsys.readouterr()
    assert "'reader'" in said.err
    assert "'writer'" in said.err
    assert not said.out


@pytest.mark.parametrize(
    ("rest", "complaint"),
    [
        (
            "orchestration: {name: flow, pattern: sequential, agents: [reader]}\ndeployment: {listen: ':50051'}",
            "key deployment.listen: 'flow' would listen at :50051, where agent 'reader' listens",
        ),
        (
            "deployment: {listen: ':50053', health: ':50052'}",
            "key deployment.health: every health check would listen at :50052, where agent 'writer'",
        ),
        (
            "  - {name: last, role: chat}\ndeployment: {listen: ':50053', health: ':50053'}",
            "key deployment.health: every health check would listen at :50053, where 'last' listens",
        ),
    ],
)
def test_what_the_whole_file_listens_at_counts_too(
    rest: str, complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, ":50051", ":50052", rest))
    assert complaint in str(caught.value)


def test_agents_that_are_served_elsewhere_may_listen_at_one_port(tmp_path: Path) -> None:
    peers = "deployment: {peers: {reader: 'reader:50051', writer: 'writer:50051'}}"
    assert load_config(write(tmp_path, ":50051", ":50051", peers)).names == ("reader", "writer")
