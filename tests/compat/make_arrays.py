"""Writes arrays-VERSION.params and more; runs under an old MXNet: python make_arrays.py FOLDER.

arrays-VERSION.params   a dict of arrays of every dtype that the version has
list-VERSION.params     a list of two
sparse-VERSION.params   row_sparse and csr
shapes-1.9.1.params     under np_shape: a scalar and an array without elements
bfloat16-1.9.1.params   -1, 0.5 and 3
"""

import sys

import mxnet as mx
import numpy as np
from array_values import dense, sparse


def main(folder):
    version = mx.__version__.split("-")[0]
    arrays = {}
    for name, values in dense().items():
        try:
            array = mx.nd.array(values, dtype=values.dtype)
            array.wait_to_read()
            arrays[name] = array
        except (KeyError, mx.base.MXNetError):
            continue  # this version has no such dtype
    mx.nd.save(f"{folder}/arrays-{version}.params", arrays)
    mx.nd.save(f"{folder}/list-{version}.params", [arrays["float32"], arrays["uint8"]])
    if hasattr(mx.nd, "sparse"):
        compressed = {name: mx.nd.array(values).tostype(name) for name, values in sparse().items()}
        for array in compressed.values():
            array.wait_to_read()
        mx.nd.save(f"{folder}/sparse-{version}.params", compressed)
    if version == "1.9.1":
        with mx.util.np_shape(True):
            mx.nd.save(f"{folder}/shapes-1.9.1.params", [mx.nd.full((), 2.5), mx.nd.zeros((0, 3))])
        values = mx.nd.amp_cast(mx.nd.array(np.array([-1, 0.5, 3])), dtype=np.dtype([("bfloat16", np.uint16)]))
        mx.nd.save(f"{folder}/bfloat16-1.9.1.params", {"bfloat16": values})


if __name__ == "__main__":
    main(sys.argv[1])
