"""A static page that runs exported classifiers of images in the browser; `python -m export.web` writes it.

`static/` holds the page itself: plain ES modules, a style sheet and one HTML file, without a build step.
"""
