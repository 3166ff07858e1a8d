"""What is shipped: the wheel and the source distribution, and the wheel as others install it."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What `import aixgo` must not load: everyone pays for it, also who only wants a LocalRuntime.
HEAVY = ["grpc", "google.protobuf", "pydantic", "typer", "rich", "yaml", "openai", "anthropic"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution, built with the tools at hand."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT))
    return folder


@pytest.fixture(scope="module")
def wheel(distributions: Path) -> Path:
    (wheel,) = distributions.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` of a fresh environment that has the wheel.

    Its dependencies are those of the environment the tests run in, seen through a .pth file:
    installing them once more would take most of a minute and prove nothing about the wheel. The
    .pth files of that environment are not followed from there, so ``import aixgo`` finds the wheel
    and not the checkout.
    """
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        f"--python={python}",
        "install",
        "--no-deps",
        "--no-index",
        str(wheel),
    )
    (site,) = home.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def run(*command: str | Path, **environment: str) -> str:
    """Run a command outside the checkout and return its output; fail with all it said."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd="/",
        env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def test_the_wheel_is_typed_and_holds_the_generated_stubs_and_nothing_but_the_package(
    wheel: Path,
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "aixgo/py.typed" in names
    stubs = {path.relative_to(ROOT).as_posix() for path in (ROOT / "aixgo" / "v1").glob("*.py*")}
    assert stubs
    assert stubs <= set(names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"aixgo"}
    assert not [name for name in names if "__pycache__" in name]


def test_the_source_distribution_holds_what_it_takes_to_test_it(distributions: Path) -> None:
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= {
        "pyproject.toml",
        "Makefile",
        "constraints.txt",
        "LICENSE",
        "CHANGELOG.md",
        "README.md",
    }
    assert Path(__file__).relative_to(ROOT).as_posix() in names
    for folder in ("proto", "examples", "docs", "scripts"):
        assert any(name.startswith(f"{folder}/") for name in names), folder


def test_the_metadata_names_the_licence_and_the_supported_pythons(wheel: Path) -> None:
    shipped = metadata(wheel)
    assert shipped["License-Expression"] == "Apache-2.0"
    assert shipped["License-File"] == "LICENSE"
    assert shipped["Requires-Python"] == "<3.14,>=3.11"


def test_the_command_line_of_the_wheel_runs_and_knows_its_version(
    installed: Path, wheel: Path
) -> None:
    assert metadata(wheel)["Version"] in run(installed / "aixgo", "version")


def test_importing_aixgo_loads_nothing_heavy(installed: Path) -> None:
    code = f"import aixgo, sys; print(aixgo.__file__, *(set({HEAVY}) & set(sys.modules)))"
    where, *heavy = run(installed / "python", "-c", code).split()
    assert Path(where).is_relative_to(installed.parent), "the checkout was imported, not the wheel"
    assert heavy == []


def test_every_public_name_of_the_wheel_resolves(installed: Path) -> None:
    code = "import aixgo; [getattr(aixgo, name) for name in aixgo.__all__]; print('resolved')"
    assert run(installed / "python", "-W", "error", "-c", code).split() == ["resolved"]


@pytest.mark.slow
def test_the_demo_of_the_source_distribution_runs_on_the_wheel(
    installed: Path, distributions: Path, tmp_path: Path
) -> None:
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    shutil.rmtree(unpacked / "aixgo")  # so that only the wheel can answer
    said = run(installed / "python", unpacked / "examples" / "demo" / "run.py")
    assert "The two answers are equal" in said
