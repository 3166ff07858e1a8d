"""Every snippet in the documents runs, every link leads somewhere, every generated table is current."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aixgo import load_config

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted(ROOT.glob("examples/*/README.md")),
]


def snippets(language: str) -> Iterator[object]:
    for path in DOCUMENTS:
        if not path.exists():
            continue
        text = path.read_text(encoding="utf-8")
        for number, found in enumerate(
            re.finditer(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL), 1
        ):
            line = text.count("\n", 0, found.start()) + 1
            yield pytest.param(found[1], id=f"{path.relative_to(ROOT)}:{line}-{number}")


def run(command: list[str], folder: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )


@pytest.mark.parametrize("code", list(snippets("python")))
def test_a_python_snippet_runs_as_it_stands(code: str, tmp_path: Path) -> None:
    done = run([sys.executable, "-W", "error", "-"], tmp_path, code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("text", list(snippets("console")))
def test_a_console_snippet_runs_and_prints_what_it_shows(text: str, tmp_path: Path) -> None:
    """`$ command` lines run in the checkout; `…` in what follows stands for anything."""
    for block in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = block.partition("\n")
        done = run(["bash", "-c", command], ROOT)
        pattern = ".*".join(re.escape(part) for part in shown.strip().split("…"))
        output = done.stdout + done.stderr
        assert not pattern or re.search(pattern, output, re.DOTALL), f"$ {command}\n{output}"
        assert done.returncode == 0 or "error" in shown.lower(), f"$ {command}\n{output}"


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=str(path.relative_to(ROOT))) for path in DOCUMENTS if path.exists()],
)
def test_a_documents_links_lead_to_files(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    missing = [target for target in targets if not (path.parent / target).exists()]
    assert not missing


def test_every_test_that_the_promises_name_exists() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) > 20
    missing = [
        f"{path}::{name}" for path, name in named if f"def {name}(" not in (ROOT / path).read_text()
    ]
    assert not missing


def test_the_generated_tables_are_current(tmp_path: Path) -> None:
    done = run([sys.executable, str(ROOT / "scripts" / "docs.py"), "--check"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("text", list(snippets("yaml")))
def test_a_yaml_snippet_with_agents_is_a_valid_file(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in re.findall(r"\$\{(AIXGO_\w+)\}", text):
        monkeypatch.setenv(name, "a value")
    (tmp_path / "agents.py").write_text(
        "from aixgo import agent\n@agent\nasync def shout(text: str) -> str: ...\n"
    )
    path = tmp_path / "snippet.yaml"
    path.write_text(text, encoding="utf-8")
    if re.search(r"^agents:", text, re.MULTILINE):  # else it shows a part of one
        assert load_config(path).names
