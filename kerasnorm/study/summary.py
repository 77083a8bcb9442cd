"""What a study found, in plain words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kerasnorm.norms import get_norm
from kerasnorm.study.plan import Run
from kerasnorm.study.statistics import FEWEST_SEEDS, Comparison, summarize
from kerasnorm.study.tables import accuracies, comparisons, p_text

# Longer lists of pairs are counted instead.
MOST_PAIRS = 4


def summary(runs: Sequence[Run], norms: Sequence[str], baseline: str | None = None) -> list[str]:
    """Return a few sentences: which norm is best, by how much, and whether that is more than chance.

    Args:
        runs: complete runs, the same seeds of each norm.
        norms: the norms.
        baseline: the norm that the others are compared with; None: every pair is compared.
    """
    # The sum of the same numbers in another order may differ in its last place.
    means = {norm: round(summarize(accuracies(runs, norm)).mean, 9) for norm in norms}
    ranked = sorted(norms, key=lambda norm: -means[norm])
    seeds = sum(run.norm == ranked[0] for run in runs)
    images = runs[0].config["data"]["test_images"]
    found = comparisons(runs, norms, baseline)
    if len(norms) == 1:
        return [_one(runs, norms[0], seeds, images)]
    ranking = _ranking(means, ranked, seeds, images)
    if seeds < FEWEST_SEEDS:
        question = "whether the norms differ by more than chance"
        return [ranking, f"{_count(seeds)} can't tell {question}: it takes {FEWEST_SEEDS} or more."]
    return [ranking, *(_chance(found, ranked, means) if baseline is None else _against(found, baseline))]


def _one(runs: Sequence[Run], norm: str, seeds: int, images: int) -> str:
    of_norm = summarize(accuracies(runs, norm))
    text = f"{_full(norm)} gets {of_norm.mean:.2f} % of the {images:,} test images right, {_mean_of(seeds)}."
    if math.isnan(of_norm.interval[0]):
        return f"{text} {_count(seeds)} can't tell how far others are from that: it takes {FEWEST_SEEDS} or more."
    low, high = of_norm.interval
    return f"{text} The 95 % interval of the mean is {low:.2f} to {high:.2f} %."


def _ranking(means: dict[str, float], ranked: Sequence[str], seeds: int, images: int) -> str:
    best = means[ranked[0]]
    first = [norm for norm in ranked if means[norm] == best]
    if len(first) > 1:
        return f"{_list(first)} come first together, with {best:.2f} % of the test images right, {_mean_of(seeds)}."
    second = means[ranked[1]]
    errors = [f"{(100 - mean) / 100 * images:,.{0 if images >= 1000 else 1}f}" for mean in (best, second)]
    return (
        f"{_full(ranked[0])} comes first, with {best:.2f} % of the test images right, {_mean_of(seeds)}. "
        f"{_full(ranked[1])} is next with {second:.2f} %, {best - second:.2f} points less: "
        f"{errors[0]} against {errors[1]} errors in {images:,} images."
    )


def _against(found: Sequence[Comparison], baseline: str) -> list[str]:
    differing = [one for one in found if one.more_than_chance]
    above = [one.first for one in differing if one.difference.mean > 0]
    below = [one.first for one in differing if one.difference.mean < 0]
    texts = [
        f"{_list(norms)} {'are' if len(norms) > 1 else 'is'} {where} {baseline} by more than chance"
        for norms, where in ((above, "above"), (below, "below"))
        if norms
    ]
    others = [one.first for one in found if not one.more_than_chance]
    if others:
        texts.append(f"{_list(others)} may differ from {baseline} by chance alone")
    return [f"{text}." for text in texts]


def _chance(found: Sequence[Comparison], ranked: Sequence[str], means: dict[str, float]) -> list[str]:
    lead = next(one for one in found if {one.first, one.second} == set(ranked[:2]))
    texts = []
    if means[ranked[0]] > means[ranked[1]]:
        p = p_text(lead.corrected)
        chance = "is more than chance" if lead.more_than_chance else "may be chance"
        texts.append(f"The lead of {ranked[0]} over {ranked[1]} {chance} (p {p if '<' in p else f'= {p}'}).")
    if len(ranked) > 2:
        texts.append(_pairs([one for one in found if one.more_than_chance], len(found), ranked))
    return texts


def _pairs(differing: Sequence[Comparison], count: int, ranked: Sequence[str]) -> str:
    if not differing:
        return f"None of the {count} pairs of norms differs by more than chance."
    if len(differing) == count:
        return f"All {count} pairs of norms differ by more than chance."
    verb = "differ" if len(differing) > 1 else "differs"
    text = f"{len(differing)} of {count} pairs of norms {verb} by more than chance"
    if len(differing) > MOST_PAIRS:
        below = sum(ranked[0] in (one.first, one.second) for one in differing)
        return f"{text}; {ranked[0]} is above {below} of the {len(ranked) - 1} others by more than chance."
    ordered = [
        (one.first, one.second) if one.difference.mean > 0 else (one.second, one.first) for one in differing
    ]
    return f"{text}: {_list([f'{better} is above {worse}' for better, worse in ordered])}."


def _full(norm: str) -> str:
    return f"{norm} ({get_norm(norm).name})"


def _mean_of(seeds: int) -> str:
    return "with one seed" if seeds == 1 else f"on average over {seeds} seeds"


def _count(seeds: int) -> str:
    return "One seed" if seeds == 1 else "Two seeds"


def _list(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
