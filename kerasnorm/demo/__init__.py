"""A page on which one draws a digit and sees what each normalization makes of it; `python -m kerasnorm.demo` writes it.

It is the page of `export.web`, with one section more: `static/activations.js` shows the activations before and after
the normalization of each block.
"""
