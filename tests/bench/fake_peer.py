"""A library for the tests of the harness: right for 1x1 kernels, and odd in ways that the input channels choose."""

import os
import time

import numpy as np

from harness.peer import Prepared, Refusal

REFUSES, RAISES, WRONG, NAN, CHATTERS, DIES, SLEEPS, HALF = range(2, 10)


def start(threads):
    return f"fake 1.0, {threads} threads, OPENBLAS {sorted(k for k in os.environ if k.startswith('OPENBLAS'))}"


def prepare(problem, constants):
    mood = problem.in_channels
    if mood == REFUSES:
        raise Refusal("two channels: it does not like them")

    def call(x):
        if mood == RAISES:
            raise ValueError("three\nlines\nof text")
        if mood == CHATTERS:
            os.write(1, b"printed by a library\n")
            print("and by Python")  # noqa: T201
        if mood == DIES:
            os._exit(3)
        if mood == SLEEPS:
            time.sleep(60)
        y = np.einsum("ncx,fc->nfx", x, constants["w"][:, :, 0]) + constants["bias"][:, np.newaxis]
        if mood == WRONG:
            y[-1, -1, -1] += 1
        if mood == NAN:
            y[0, 0, 1] = np.nan
        return y.astype(np.float16) if mood == HALF else y

    return Prepared(call, {"algorithm": "einsum"})
