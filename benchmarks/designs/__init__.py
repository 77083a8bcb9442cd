"""Small models after common designs, with custom layers as tutorials write them; a file for each family.

Each function returns a Keras model, or a pair of the model and a batch of inputs, where random ones would not do.
"""

from benchmarks.designs import mixers, recurrent, vision_transformers

FAMILIES = (mixers, vision_transformers, recurrent)

# For each design, what builds it, as benchmarks/model_table.py wants it: 'module:function'.
DESIGNS = {
    name: f"{family.__name__}:{build.__name__}"
    for family in FAMILIES
    for name, build in family.DESIGNS.items()
}
