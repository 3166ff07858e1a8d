"""The repository itself: what no file in it may contain."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Written so that this file does not contain what it looks for.
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:root|work|home/\w+)/")
UNFINISHED = re.compile(r"\b(?:" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X"]) + r")\b")

UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve"}
UNSAFE_CALLS = {
    "eval",
    "exec",
    "os.system",
    "os.popen",
    "yaml.load",
    "yaml.load_all",
    "yaml.unsafe_load",
}


def tracked(pattern: str = "*") -> list[Path]:
    """The files under version control; a source distribution has none to look at."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", pattern],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def lines(paths: list[Path]) -> Iterator[tuple[str, str]]:
    """Every line of the text among ``paths``, each with the place where it stands."""
    for path in paths:
        content = path.read_bytes()
        if b"\0" not in content:
            for number, line in enumerate(content.decode().splitlines(), 1):
                yield f"{path.relative_to(ROOT)}:{number}", line


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call in a Python file, with the dotted name that is called as far as it is one."""
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield ast.unparse(node.func), node


def place(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', '?')}"


def test_no_file_names_a_path_of_some_machine() -> None:
    assert [where for where, line in lines(tracked()) if MACHINE_PATH.search(line)] == []


def test_no_file_carries_a_note_of_unfinished_work() -> None:
    assert [where for where, line in lines(tracked()) if UNFINISHED.search(line)] == []


@pytest.mark.parametrize("name", ["constraints.txt", "proto/requirements.txt"])
def test_pins_name_no_registry(name: str) -> None:
    pins = (ROOT / name).read_text()
    assert "://" not in pins
    assert re.search(r"^\s*-", pins, re.MULTILINE) is None, "options such as an index address"


def test_no_test_sleeps_to_wait() -> None:
    slept = [
        place(path, node)
        for path in tracked("tests/*.py")
        for name, node in calls(path)
        if name in {"sleep", "time.sleep", "asyncio.sleep", "anyio.sleep"}
        and not (node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0)
    ]
    assert slept == []


def test_aixgo_executes_no_data() -> None:
    unsafe = []
    for path in tracked("aixgo/*.py"):
        unsafe += [place(path, node) for name, node in calls(path) if name in UNSAFE_CALLS]
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                imported = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported = {(node.module or "").partition(".")[0]}
            else:
                continue
            if imported & UNSAFE_MODULES:
                unsafe.append(place(path, node))
    assert unsafe == []
