"""Writes the checkpoints of 0.9.5 as versions before 0.9 did: python make_old_files.py FOLDER. Needs no MXNet.

Those left no wheels. Their symbol files have no version, "param" for parameters and "attr" for attributes, two numbers
an edge, shapes without blanks, older names of operators, and no auxiliary states among the inputs. Learning-rate
multipliers stand among the attributes under their plain names. The arrays and their layout in the file are the same.
"""

import json
import pathlib
import shutil
import sys

OLD_NAMES = {
    "elemwise_add": "_Plus",
    "_sub": "_Minus",
    "_mul": "_Mul",
    "_plus_scalar": "_PlusScalar",
    "_rminus_scalar": "_RMinusScalar",
    "_mul_scalar": "_MulScalar",
    "_div_scalar": "_DivScalar",
    "_rdiv_scalar": "_RDivScalar",
    "_power_scalar": "_PowerScalar",
    "_maximum_scalar": "_MaximumScalar",
    "_minimum": "_Minimum",
    "add_n": "ElementWiseSum",
}
DEFAULTS = {
    "Convolution": {"cudnn_off": "False", "cudnn_tune": "off", "dilate": "(1,1)", "no_bias": "False", "num_group": "1",
                    "pad": "(0,0)", "stride": "(1,1)", "workspace": "1024"},
    "Deconvolution": {"adj": "(0,0)", "no_bias": "True", "num_group": "1", "pad": "(0,0)", "stride": "(1,1)",
                      "target_shape": "(0,0)", "workspace": "512"},
    "Pooling": {"global_pool": "False", "pad": "(0,0)", "pooling_convention": "valid", "stride": "(1,1)"},
    "LeakyReLU": {"act_type": "leaky", "lower_bound": "0.125", "slope": "0.25", "upper_bound": "0.334"},
    "BatchNorm": {"eps": "0.001", "fix_gamma": "True", "momentum": "0.9", "use_global_stats": "False"},
}  # fmt: skip


def age(graph):
    """The graph in the old form."""
    nodes = graph["nodes"]
    aux = {i for node in nodes if node["op"] == "BatchNorm" for i, *_ in node["inputs"][3:]}
    number = {i: n for n, i in enumerate(i for i in range(len(nodes)) if i not in aux)}
    old = [age_node(nodes[i], number) for i in number]
    weights = [node for node in old if node["op"] == "null" and node["name"].endswith("_weight")]
    if weights:
        weights[0]["attr"] = {"lr_mult": "2.0"}
        first = next(node for node in old if weights[0]["name"] in (old[i]["name"] for i, _ in node["inputs"]))
        first["attr"] = {"bias_lr_mult": "3.0", "ctx_group": "stage1"}
    variables = [n for n, node in enumerate(old) if node["op"] == "null"]
    return {"nodes": old, "arg_nodes": variables, "heads": [[number[i], k] for i, k, _ in graph["heads"]]}


def age_node(node, number):
    op = OLD_NAMES.get(node["op"], node["op"])
    given = {key: text for key, text in node.get("attr", {}).items() if key != "layout"}
    given = {key: text.replace(", ", ",") if text[0] in "([" else text for key, text in given.items()}
    ones = len(given["kernel"].split(",")) == 2 if "kernel" in given else True  # the defaults are of two axes
    param = {**(DEFAULTS.get(op, {}) if ones else {}), **given} if op != "null" else {}
    inputs = [[number[i], k] for i, k, _ in node["inputs"] if i in number]
    return {"op": op, "param": param, "name": node["name"], "inputs": inputs, "backward_source_id": -1}


def main(folder):
    for file in sorted(folder.glob("*-0.9.5-symbol.json")):
        old = file.name.replace("0.9.5", "0.8")
        graph = age(json.loads(file.read_text()))
        (folder / old).write_text(json.dumps(graph, indent=1) + "\n")
        name = file.name[: -len("-symbol.json")]
        for end in ("-0001.params", ".npz"):
            shutil.copyfile(folder / (name + end), folder / (name.replace("0.9.5", "0.8") + end))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
