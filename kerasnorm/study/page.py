"""report.html: the results of a study on one page that opens from disk, without a network."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from kerasnorm.study.tables import Table


@dataclass(frozen=True)
class Picture:
    """A PNG file with its caption."""

    path: Path
    caption: str

    @property
    def uri(self) -> str:
        """The picture itself as a URI."""
        return f"data:image/png;base64,{base64.b64encode(self.path.read_bytes()).decode()}"


@dataclass(frozen=True)
class Page:
    """What the page shows, from top to bottom.

    Attributes:
        title: what was compared.
        summary: sentences that say what was found.
        seeds: number of seeds of each norm.
        results: a row for each norm.
        dots: the accuracy of each run; None for a single run.
        differences: a row for each pair of norms.
        classes: a row for each class; None without confusion matrices.
        class_count: number of classes; `classes` may leave some out.
        confusions: the confusion matrix of each norm.
        without_confusion: the norms that have none.
        curves: learning curves.
        misclassified: misclassified images of each norm.
        command: the command that reproduces the study, if it is known.
        facts: data, machine and date: a name, and a line or more for it.
    """

    title: str
    summary: Sequence[str]
    seeds: int
    results: Table
    dots: Picture | None
    differences: Table
    classes: Table | None
    class_count: int
    confusions: Sequence[Picture]
    without_confusion: Sequence[str]
    curves: Sequence[Picture]
    misclassified: Sequence[Picture]
    command: str | None
    facts: Sequence[tuple[str, Sequence[str]]]

    def html(self) -> str:
        """Return the page. Every text in it is escaped."""
        from jinja2 import Environment, StrictUndefined

        # Autoescape is why this is a template: texts are names of files, classes and norms of anyone.
        environment = Environment(
            autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        template = resources.files("kerasnorm.study").joinpath("page.html").read_text(encoding="utf-8")
        return environment.from_string(template).render(vars(self))
