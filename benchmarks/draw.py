"""Print shapes drawn at random: `python benchmarks/draw.py 200 --seed 1`; harness/drawn.py says how they are drawn."""

import sys

from harness.drawn import main

if __name__ == "__main__":
    sys.exit(main())
