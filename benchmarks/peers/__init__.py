"""One file a library; each has `start(threads) -> version` and `prepare(problem, constants) -> Prepared`."""
