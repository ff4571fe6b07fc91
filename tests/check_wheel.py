"""Build the distribution, look at the wheel, and use it in a clean virtual environment: `make wheel`.

The wheel is built from the source distribution, so that a file missing there is noticed as well. The other
packages of the environment stay between runs; mxconv itself is installed anew each time, from the new wheel.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

USE = """
import numpy as np, mxconv as mx
print("mxconv", mx.__version__, "in", mx.__file__)
x = mx.nd.array(np.arange(16.0).reshape(1, 1, 4, 4))
y = mx.nd.Convolution(x, mx.nd.ones((1, 1, 3, 3)), kernel=(3, 3), num_filter=1, no_bias=True)
assert y.asnumpy().tolist() == [[[[45.0, 54.0], [81.0, 90.0]]]], y
net = mx.sym.FullyConnected(mx.sym.Variable("x"), num_hidden=2, name="dense")
assert mx.sym.load_json(net.tojson()).list_arguments() == ["x", "dense_weight", "dense_bias"]
"""


def build(into: Path) -> Path:
    """The one wheel of the project, made from its source distribution.

    Raises: SystemExit, if there is not exactly one, or if it is not for every Python 3 and platform.
    """
    shutil.rmtree(into, ignore_errors=True)
    subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(into), str(ROOT)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    wheels = sorted(into.glob("*.whl"))
    if len(wheels) != 1 or not wheels[0].name.endswith("-py3-none-any.whl"):
        sys.exit(f"expected one py3-none-any wheel, got {[w.name for w in wheels]}")
    return wheels[0]


def look_inside(wheel: Path) -> None:
    """Every file of src/mxconv is in the wheel, with the licence, and nothing that is compiled.

    Raises: SystemExit, naming what is missing or too much.
    """
    names = set(zipfile.ZipFile(wheel).namelist())
    source = ROOT / "src"
    wanted = {
        p.relative_to(source).as_posix()
        for p in source.joinpath("mxconv").rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    missing = sorted(wanted - names)
    extra = sorted(n for n in names - wanted if ".dist-info/" not in n)
    if missing or extra:
        sys.exit(f"{wheel.name} lacks {missing} and has {extra} too much")
    for licence in ("LICENSE", "NOTICE"):
        if not any(n.endswith(f"licenses/{licence}") for n in names):
            sys.exit(f"{wheel.name} lacks {licence}")


def try_it(wheel: Path, environment: Path) -> None:
    """Install the wheel into an environment of its own; run the command and one Convolution there."""
    if not environment.exists():
        venv.create(environment, with_pip=True)
    programs = environment / ("Scripts" if sys.platform == "win32" else "bin")
    pip = [str(programs / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--only-binary", "llvmlite", str(wheel)], check=True)
    subprocess.run([*pip, "--force-reinstall", "--no-deps", str(wheel)], check=True)
    subprocess.run([str(programs / "mxconv"), "--version"], check=True, cwd=environment)
    subprocess.run([str(programs / "python"), "-W", "error", "-I", "-c", USE], check=True, cwd=environment)


def main() -> None:
    work = Path(sys.argv[1]).resolve()
    wheel = build(work / "dist")
    look_inside(wheel)
    try_it(wheel, work / "environment")
    print(f"{wheel.name}: built, installed and used in {work / 'environment'}")


if __name__ == "__main__":
    main()
