"""Small models after common designs, with custom layers as tutorials write them; a file for each family.

Each function returns a Keras model, or a pair of the model and a batch of inputs, where random ones would not do.
"""

from benchmarks.designs import (
    attention,
    conditioned,
    dense_prediction,
    generative,
    graphs,
    mixers,
    recurrent,
    restoration,
    similarity,
    speech,
    tabular,
    text,
    timeseries,
    transfer,
    vision_transformers,
    windows,
)

FAMILIES = {
    "image classifiers": (transfer, mixers, vision_transformers, windows, attention),
    "a result for each pixel": (dense_prediction, restoration),
    "text": (text,),
    "sound and OCR": (speech,),
    "recurrent networks": (recurrent,),
    "series": (timeseries,),
    "generators": (generative,),
    "steered networks, agents, detectors": (conditioned,),
    "tables": (tabular,),
    "pairs and sets": (similarity,),
    "points and graphs": (graphs,),
}

# For each design, what builds it, as benchmarks/model_table.py wants it: 'module:function'.
DESIGNS = {
    name: f"{module.__name__}:{build.__name__}"
    for modules in FAMILIES.values()
    for module in modules
    for name, build in module.DESIGNS.items()
}
