"""Every snippet in the documents runs, every link leads somewhere, every generated table is current."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import typer
import typer.main

from aixgo import load_config
from aixgo.cli import VERBS
from aixgo.config.keys import AGENT_KEYS, DEPLOYMENT_KEYS, ROOT_KEYS
from aixgo.loading import kinds

ROOT = Path(__file__).resolve().parents[2]
WALKED = ["getting-started.md", "coming-from-aixgo-go.md"]
"""Whose snippets build on each other: tests/e2e/test_walked_pages.py runs these pages as a whole."""
DOCUMENTS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "examples/README.md",
    *sorted(ROOT.glob("examples/*/README.md")),
]


def snippets(language: str) -> Iterator[object]:
    for path in DOCUMENTS:
        if not path.exists() or path.name in WALKED:
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


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=str(path.relative_to(ROOT))) for path in DOCUMENTS if path.exists()],
)
def test_a_documents_links_lead_to_headings(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]*)#([^)]*)\)", path.read_text(encoding="utf-8"))
    missing = [
        f"{page}#{heading}"
        for page, heading in targets
        if heading not in anchors(path.parent / page if page else path)
    ]
    assert not missing


def test_the_index_leads_to_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages == set(re.findall(r"\]\(([\w-]+\.md)\)", index))


def test_every_test_that_the_promises_name_exists() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) > 20
    missing = [
        f"{path}::{name}" for path, name in named if f"def {name}(" not in (ROOT / path).read_text()
    ]
    assert not missing


def test_every_target_of_make_is_told_of_and_every_one_told_of_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told: set[str] = set()
    for path in [*DOCUMENTS, ROOT / "CONTRIBUTING.md"]:
        text = path.read_text(encoding="utf-8")
        told |= set(re.findall(r"(?:`|^ *)make ([a-z-]+)", text, re.MULTILINE))
    assert told == targets


def test_the_command_lines_page_lists_every_verb_as_help_does() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)", page.partition("## ")[0], re.MULTILINE) == list(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_a_verb_is_told_of(verb: str) -> None:
    app = typer.Typer(add_completion=False)
    app.command()(import_module(VERBS[verb].module).command)
    text = "".join(path.read_text(encoding="utf-8") for path in DOCUMENTS if path.exists())
    untold = [
        parameter.name
        for parameter in typer.main.get_command(app).params
        if parameter.param_type_name == "option" and not getattr(parameter, "hidden", False)
        if not any(
            re.search(rf"{option}\b(?!-)", text)
            for option in (*parameter.opts, *parameter.secondary_opts)
            if option.startswith("--")
        )
    ]
    assert untold == []


def test_every_extra_that_is_told_of_exists() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for path in [*DOCUMENTS, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]:
        text = path.read_text(encoding="utf-8")
        for named in re.findall(r"(?:aixgo|CLONE)\[([\w,]+)\]", text):
            assert set(named.split(",")) <= set(extras["optional-dependencies"]), path


def test_the_comparison_calls_missing_what_is_missing_and_nothing_else() -> None:
    page = (ROOT / "docs" / "coming-from-aixgo-go.md").read_text(encoding="utf-8")
    missing = page.partition("## Not here yet")[2]
    rows = dict(re.findall(r"^\| (patterns|roles|verbs) (.*?) \|", missing, re.MULTILINE))
    there = {"patterns": kinds("orchestration"), "roles": kinds("agents"), "verbs": VERBS}
    for what, names in rows.items():
        assert set(re.findall(r"`(\w+)`", names)).isdisjoint(there[what])

    tables = (ROOT_KEYS, AGENT_KEYS, DEPLOYMENT_KEYS)
    absent = {name: key.absent for known in tables for name, key in known.items() if key.absent}
    named = re.findall(r"((?:`\w+`(?:,| and)? ?)+)(?:the others )?(?:is|are) named", missing)
    assert {name for part in named for name in re.findall(r"`(\w+)`", part)} <= set(absent)
    assert [feature for feature in set(absent.values()) if feature not in missing] == []


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
