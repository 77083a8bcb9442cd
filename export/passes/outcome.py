"""What became of the Affine nodes: a Fold, or a Refusal with its reason, and the report of all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fold:
    """A normalization or scaling that is no longer in the graph.

    Attributes:
        layers: the Keras layers that it came from.
        how: where it went, for people to read.
    """

    layers: str
    how: str

    def __str__(self) -> str:
        """The layers and where they went."""
        return f"{self.layers}: {self.how}"


@dataclass(frozen=True)
class Refusal:
    """A normalization or scaling that stays in the graph.

    Attributes:
        layers: the Keras layers that it came from.
        reason: why it could not be folded, for people to read.
    """

    layers: str
    reason: str

    def __str__(self) -> str:
        """The layers and the reason."""
        return f"{self.layers}: {self.reason}"


@dataclass(frozen=True)
class FoldReport:
    """What was folded into which layer, and what was not folded and why."""

    folded: tuple[Fold, ...] = ()
    refused: tuple[Refusal, ...] = ()


def join(*refusals: Refusal) -> Refusal:
    """One refusal with the reasons of several, each named once."""
    reasons = dict.fromkeys(refusal.reason for refusal in refusals)
    return Refusal(refusals[0].layers, "; ".join(reasons))
