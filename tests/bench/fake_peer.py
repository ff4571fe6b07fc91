"""A library for the tests of the harness: right for 1x1 kernels, and odd in ways that the input channels choose."""

import contextlib
import os
import subprocess
import sys
import time

import numpy as np

from harness.peer import Prepared, Refusal

REFUSES, RAISES, WRONG, NAN, CHATTERS, DIES, SLEEPS, HALF, FORKS = range(2, 11)


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
        if mood == FORKS:  # a child that outlives it and holds its standard output (the server writes to a copy)
            for fd in range(3, 20):
                with contextlib.suppress(OSError):
                    os.set_inheritable(fd, True)
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(15)"], close_fds=False)
        if mood == SLEEPS:
            time.sleep(60)
        y = np.einsum("ncx,fc->nfx", x, constants["w"][:, :, 0]) + constants["bias"][:, np.newaxis]
        if mood == WRONG:
            y[-1, -1, -1] += 1
        if mood == NAN:
            y[0, 0, 1] = np.nan
        return y.astype(np.float16) if mood == HALF else y

    return Prepared(call, {"algorithm": "einsum"})
