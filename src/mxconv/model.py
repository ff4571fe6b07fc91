"""Checkpoints: a network and its parameters, in the two files that MXNet keeps them in."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath

from . import ndarray as nd
from . import symbol as sym
from .context import cpu
from .errors import FormatError
from .ndarray import NDArray
from .symbol import Symbol


def save_checkpoint(
    prefix: str | PathLike[str],
    epoch: int,
    symbol: Symbol | None,
    arg_params: Mapping[str, NDArray],
    aux_params: Mapping[str, NDArray],
    remove_amp_cast: bool = True,
) -> None:
    """Write `prefix-symbol.json` (unless `symbol` is None) and `prefix-EPOCH.params`, the epoch in four digits.

    Each file is replaced when the new one is complete. `remove_amp_cast` is MXNet's; there are no such casts here.

    Raises: as Symbol.save and nd.save.
    """
    if symbol is not None:
        symbol.save(f"{fspath(prefix)}-symbol.json")
    named = {f"arg:{name}": array.as_in_context(cpu()) for name, array in arg_params.items()}
    named.update({f"aux:{name}": array.as_in_context(cpu()) for name, array in aux_params.items()})
    nd.save(_params_name(prefix, epoch), named)


def load_checkpoint(prefix: str | PathLike[str], epoch: int) -> tuple[Symbol, dict[str, NDArray], dict[str, NDArray]]:
    """The network of `prefix-symbol.json`, and the parameters and auxiliary states of that epoch, by name.

    Raises: as `load_params` and mx.sym.load.
    """
    return (sym.load(f"{fspath(prefix)}-symbol.json"), *load_params(prefix, epoch))


def load_params(prefix: str | PathLike[str], epoch: int) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
    """The parameters and the auxiliary states of `prefix-EPOCH.params`, by name; other arrays are left out.

    Raises: FormatError (also a ValueError), if the file is damaged or a name is not `arg:NAME` or `aux:NAME`;
    MXNetError, if there is no such file.
    """
    fname = _params_name(prefix, epoch)
    loaded = nd.load(fname)
    found: dict[str, dict[str, NDArray]] = {"arg": {}, "aux": {}}
    for key, array in loaded.items() if isinstance(loaded, dict) else enumerate(loaded):
        kind, colon, name = str(key).partition(":")
        if not colon or isinstance(loaded, list):
            got = repr(key) if isinstance(loaded, dict) else "arrays without names"
            raise FormatError(
                f"{fname} has {got}, expected names arg:NAME or aux:NAME, as in the files of checkpoints",
                op="load_params", argument="prefix", got=got, expected="arg:NAME or aux:NAME",
                fix="Read other files with mx.nd.load.",
            )  # fmt: skip
        found.get(kind, {})[name] = array
    return found["arg"], found["aux"]


def _params_name(prefix: str | PathLike[str], epoch: int) -> str:
    return f"{fspath(prefix)}-{epoch:04d}.params"
