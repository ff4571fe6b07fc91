"""LLVM IR from Python: the kernel language, its compiler and its code cache. Knows tiles, not operators."""
