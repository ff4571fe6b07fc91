"""Record in symbols.json.gz what MXNet 1.9.1 says of the graphs in `cases.py`; for a Python that has MXNet."""

import gzip
import json
import sys
from pathlib import Path

import mxnet as mx

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))
import cases  # noqa: E402


def try_load(text):
    """What loading and saving again gives; None where MXNet refuses the text."""
    try:
        return mx.sym.load_json(text).tojson()
    except mx.base.MXNetError:
        return None


record = {}
for name in cases.CASES:
    record[name] = cases.describe(mx, name)
    text = record[name]["json"]
    resaved = {version: try_load(cases.age(text, version)) for version in cases.GENERATIONS}
    record[name]["resaved"] = {version: "same" if new == text else new for version, new in resaved.items()}
content = json.dumps(record, indent=1, sort_keys=True).encode()
(FOLDER / "symbols.json.gz").write_bytes(gzip.compress(content))
