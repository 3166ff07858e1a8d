"""Generates ``aixgo/v1`` from ``proto/`` and guards the contract.

``generate`` rewrites the stubs. ``check`` fails when they are not what ``proto/`` generates, when
buf's lint complains, or when ``proto/`` breaks the released contract in ``proto/baseline.binpb``.
``baseline`` makes today's ``proto/`` that contract; run it once, in the commit of a release.

The tools live in an environment of their own, ``.cache/proto-venv``: stubs load on the protobuf
that generated them and on later ones, so they are made with the oldest grpcio-tools we support,
which does not install beside a newer protobuf.
"""

import argparse
import filecmp
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
BASELINE = PROTO / "baseline.binpb"
REQUIREMENTS = PROTO / "requirements.txt"
TOOLS = ROOT / ".cache" / "proto-venv"
PACKAGE = Path("aixgo") / "v1"

INIT = '"""Generated from proto/aixgo/v1 by `make proto`; only aixgo.rpc imports it."""\n'


def main() -> int:
    """Run one verb; the exit code says whether it found fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("verb", choices=["generate", "check", "baseline"])
    verb = parser.parse_args().verb
    install_tools()
    if verb == "generate":
        generate(ROOT)
        return 0
    if verb == "baseline":
        return buf("build", "--output", str(BASELINE))
    faults = [stale(), buf("lint")]
    if BASELINE.exists():
        faults.append(buf("breaking", "--against", str(BASELINE)))
    else:
        print("proto/baseline.binpb does not exist yet: `make proto-baseline` writes it")
    return int(any(faults))


def install_tools() -> None:
    """Make .cache/proto-venv, unless it has what proto/requirements.txt says."""
    stamp = TOOLS / "installed"
    wanted = f"{ROOT}\n{REQUIREMENTS.read_text()}"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("Installing the proto tools into .cache/proto-venv")
    venv.create(TOOLS, with_pip=True, clear=True)
    pip = [str(TOOLS / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "-r", str(REQUIREMENTS)], check=True)
    stamp.write_text(wanted)


def generate(into: Path) -> None:
    """Write the package ``aixgo/v1`` below ``into``, and nothing of an earlier one."""
    package = into / PACKAGE
    shutil.rmtree(package, ignore_errors=True)
    package.mkdir(parents=True)
    sources = sorted(str(path.relative_to(PROTO)) for path in PROTO.glob("aixgo/v1/*.proto"))
    outputs = [f"--{kind}_out={into}" for kind in ("python", "pyi", "grpc_python")]
    protoc = [str(TOOLS / "bin" / "python"), "-W", "ignore", "-m", "grpc_tools.protoc"]
    subprocess.run([*protoc, f"--proto_path={PROTO}", *outputs, *sources], check=True)
    (package / "__init__.py").write_text(INIT)
    for stub in package.glob("*_pb2_grpc.py"):
        if "\nclass " not in stub.read_text():
            stub.unlink()  # protoc writes one for every file, also for those without a service


def stale() -> int:
    """Compare the committed stubs with freshly generated ones, and name those that differ."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh, committed = Path(folder) / PACKAGE, ROOT / PACKAGE
        names = {
            path.name
            for place in (fresh, committed)
            for path in place.glob("*.py*")
            if path.is_file()
        }
        _, differing, missing = filecmp.cmpfiles(fresh, committed, names, shallow=False)
    for name in sorted([*differing, *missing]):
        print(f"{PACKAGE / name} is not what proto/ generates: run `make proto`")
    return int(bool(differing or missing))


def buf(*arguments: str) -> int:
    """Run buf on proto/ and return its exit code."""
    return subprocess.run(
        [str(TOOLS / "bin" / "buf"), *arguments], cwd=PROTO, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
