"""How one convolution problem is run: algorithms, planner, workspace, threads. Knows nothing of operators."""
