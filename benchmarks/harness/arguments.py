"""The command line of the harness; README.md beside run.py says more."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from .drawn import fresh_seed
from .results import is_ours
from .tasks import CLASSES

HERE = Path(__file__).resolve().parent.parent
SUITES = HERE / "suites"
CORE, TRAINING = SUITES / "core.txt", SUITES / "training.txt"
TORCH = ("torch_nchw", "torch_channels_last")
STAYS = "torch_stays_last"
"""Takes part in training only."""


def find_plugins() -> list[str]:
    """The names of all peers."""
    names = (p.stem for p in (HERE / "peers").glob("*.py"))
    return sorted(name for name in names if not is_ours(name) and not name.startswith("_"))


def parse_arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """What to run: `suites` are files (none if shapes are drawn), `label` names them, `peers` are plug-ins."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/run.py", description="Time mxconv's engine beside other libraries."
    )
    which = parser.add_argument_group("what to run (one of these)")
    which.add_argument("suites", nargs="*", type=Path, help="problem files")
    which.add_argument("--all", action="store_true", help=f"suites/{{{','.join(CLASSES)}}}.txt")
    which.add_argument("--core", action="store_true", help="suites/core.txt")
    which.add_argument(
        "--training",
        nargs="?",
        type=Path,
        const=TRAINING,
        metavar="SUITE",
        help="suites/training.txt, or another file of LAYER.output, .data and .weight; weights change between calls",
    )
    which.add_argument("--draw", type=int, metavar="COUNT", help="shapes drawn at random (harness/drawn.py)")
    how = parser.add_argument_group("how")
    how.add_argument("--seed", type=int, help="of --draw (a fresh one)")
    how.add_argument("--only", metavar="PATTERN", help="rows whose name matches, as 'r50_*'")
    how.add_argument("--dtype", choices=["float32", "float64"], help="every row in this type")
    how.add_argument("--batch", type=int, metavar="N", help="every row with this batch")
    how.add_argument("--new-weights", action="store_true", help="each call brings its weight, as a plain array")
    how.add_argument("--cold", action="store_true", help="empty the caches before each call")
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    how.add_argument("--threads", type=int, default=cpus, help="threads and CPUs of every library (%(default)s)")
    how.add_argument("--rounds", type=int, default=9, help="rounds of alternation (%(default)s)")
    who = parser.add_argument_group("who")
    who.add_argument("--peer-python", metavar="PYTHON", help="an interpreter that has the peers installed")
    who.add_argument("--peers", metavar="A,B", help=f"which of {', '.join(find_plugins())}, or files of your own")
    who.add_argument("--without-ours", action="store_true", help="time the peers only")
    who.add_argument("--channels-last", action="store_true", help="our engine also on arrays that lie channels last")
    who.add_argument("--untuned", action="store_true", help="our engine also without anything measured")
    who.add_argument(
        "--tune",
        choices=["off", "limited_workspace", "fastest"],
        default="fastest",
        help="how our engine chooses (%(default)s: by measuring before it is timed)",
    )
    where = parser.add_argument_group("results")
    where.add_argument("--name", help="of the results (date, time and suite)")
    where.add_argument("--results", type=Path, default=HERE / "results", help="folder of the results")
    where.add_argument("--resume", action="store_true", help="go on with the results of that name")
    where.add_argument("--redo", metavar="PATTERN", help="with --resume: measure these rows anew and forget the old")
    where.add_argument(
        "--again", action="store_true", help="with --resume: measure rows under 1.0 a second time and keep both"
    )
    where.add_argument("--log", type=Path, help="file that receives what the libraries print")
    arguments = parser.parse_args(words)
    _check(parser, arguments, cpus)
    return _complete(arguments)


def _check(parser: argparse.ArgumentParser, a: argparse.Namespace, cpus: int) -> None:
    if sum(map(bool, (a.suites, a.all, a.core, a.training, a.draw))) != 1:
        parser.error("name one of: problem files, --all, --core, --training, --draw COUNT")
    if a.threads > cpus or a.threads < 1:
        parser.error(f"--threads {a.threads}: this process may use 1 to {cpus} CPUs")
    if a.peer_python and shutil.which(a.peer_python) is None:
        parser.error(f"--peer-python {a.peer_python}: there is no such program")
    if a.peers and not a.peer_python:
        parser.error("--peers needs --peer-python")
    if (a.redo or a.again) and not (a.resume and a.name):
        parser.error("--redo and --again need --resume and --name")
    if a.new_weights and a.training:
        parser.error("--new-weights: in training weights change anyway")
    if a.resume and a.draw and a.seed is None:
        parser.error("--resume needs the --seed of the draw")


def _complete(a: argparse.Namespace) -> argparse.Namespace:
    """Fill in what follows from the rest."""
    if a.draw:
        a.seed = fresh_seed() if a.seed is None else a.seed
        a.label = f"drawn-{a.seed}"
    elif a.all:
        a.suites, a.label = [SUITES / f"{name}.txt" for name in CLASSES], "all"
    else:
        a.suites = [CORE] if a.core else [a.training] if a.training else a.suites
        a.label = "+".join(path.stem for path in a.suites)
    if a.peers:
        a.peers = a.peers.split(",")
    elif a.training:
        a.peers = [*TORCH, STAYS]
    elif a.new_weights or a.dtype == "float64":
        a.peers = list(TORCH)
    else:
        a.peers = [name for name in find_plugins() if name != STAYS]
    return a
