"""The kernels: Python functions that emit IR, one bundle of functions an algorithm."""
