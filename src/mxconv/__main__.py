"""`python -m mxconv` is the console command."""

import sys

from .cli.main import run

sys.exit(run())
