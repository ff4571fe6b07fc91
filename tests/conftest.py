"""What holds for every test: choices do not depend on what this machine measures, nor on what was measured before."""

from __future__ import annotations

import os

os.environ.setdefault("MXCONV_MACHINE", "typical")
os.environ.setdefault("MXCONV_TUNE", "off")
