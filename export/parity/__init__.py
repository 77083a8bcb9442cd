"""The parity check: does an ONNX graph compute what its Keras model computes?

plan.py      which inputs are compared: all of the user's data, or random inputs of several sizes
data.py      the inputs themselves
domains.py   the domain of an input: pixels, ids of a vocabulary, strings, masks
user_data.py the user's data, from a file
evaluate.py  what Keras computes: the outputs, and what goes into a final softmax, sigmoid or argmax
oracle.py    the same in float64, the truth, and in float32; where that is impossible, an estimate by perturbation
logits.py    the same values in the ONNX graph
compare.py   the rule: how far the graph may be from the truth
findings.py  what has been found of each output, and the verdicts
report.py    the result: a table, JSON
check.py     `check_parity`, which puts these together
locate.py    the first layer that diverges
rounding.py  what changes when the weights are rounded to float16
"""

from export.parity.check import Progress, check_parity
from export.parity.data import DEGENERATE
from export.parity.locate import first_layer_that_diverges
from export.parity.oracle import Inputs
from export.parity.plan import BATCHES
from export.parity.report import Difference, Parity, first_divergence, parity_text, report_path
from export.parity.user_data import load_check_data

__all__ = [
    "BATCHES",
    "DEGENERATE",
    "Difference",
    "Inputs",
    "Parity",
    "Progress",
    "check_parity",
    "first_divergence",
    "first_layer_that_diverges",
    "load_check_data",
    "parity_text",
    "report_path",
]
