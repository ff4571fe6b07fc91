"""Gradients without a network: `python examples/learn_a_filter.py`.

An unknown filter was applied to noise. From noise and result alone, gradient descent finds the filter again; in the
end it is printed. The same program runs under Apache MXNet, but for its import.
"""

from __future__ import annotations

import numpy as np

import mxconv as mx

SECRET = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])


def learn(steps):
    """The filter after so many steps, and the mean square of what is left after each."""
    chance = np.random.RandomState(0)
    noise = mx.nd.array(chance.standard_normal((4, 1, 24, 24)))
    wanted = mx.nd.Convolution(noise, mx.nd.array(SECRET[None, None]), kernel=(3, 3), num_filter=1, no_bias=True)

    weight = mx.nd.zeros((1, 1, 3, 3))
    weight.attach_grad()
    losses = []
    for _ in range(steps):
        with mx.autograd.record():
            found = mx.nd.Convolution(noise, weight, kernel=(3, 3), num_filter=1, no_bias=True)
            loss = (found - wanted).square().mean()
        loss.backward()
        weight -= 0.3 * weight.grad
        losses.append(loss.asscalar())
    return weight.asnumpy()[0, 0], losses


def main():
    weight, losses = learn(40)
    for step in range(0, len(losses), 5):
        print(f"step {step:2}  loss {losses[step]:.2e}")
    print(np.round(weight, 3) + 0.0)


if __name__ == "__main__":
    main()
