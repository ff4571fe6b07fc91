"""Time mxconv beside other libraries: `python benchmarks/run.py --core --peer-python PYTHON`; see README.md."""

import sys

from harness.main import main

if __name__ == "__main__":
    sys.exit(main())
