from pathlib import Path

import pytest

from kerasnorm.study.summary import summary
from tests.kerasnorm.study.finished import finished

BN, LN, GN = "bn (Batch Normalization)", "ln (Layer Normalization)", "gn (Group Normalization)"


def found(folder: Path, baseline: str | None = None, /, **accuracies: tuple[float, ...]) -> list[str]:
    """The summary of a study with these accuracies."""
    runs = [finished(folder, norm, k, v) for norm, values in accuracies.items() for k, v in enumerate(values)]
    return summary(runs, list(accuracies), baseline)


@pytest.mark.parametrize(
    ("accuracies", "sentences"),
    [
        (
            {"bn": (0.991,)},
            [
                f"{BN} gets 99.10 % of the 10,000 test images right, with one seed. "
                "One seed can't tell how far others are from that: it takes 3 or more."
            ],
        ),
        (
            {"bn": (0.991, 0.993, 0.992)},
            [
                f"{BN} gets 99.20 % of the 10,000 test images right, on average over 3 seeds. "
                "The 95 % interval of the mean is 98.95 to 99.45 %."
            ],
        ),
        (
            {"bn": (0.991,), "gn": (0.994,)},
            [
                f"{GN} comes first, with 99.40 % of the test images right, with one seed. {BN} is next with 99.10 %, "
                "0.30 points less: 60 against 90 errors in 10,000 images.",
                "One seed can't tell whether the norms differ by more than chance: it takes 3 or more.",
            ],
        ),
        (
            {"bn": (0.991, 0.992), "gn": (0.991, 0.992)},
            [
                "bn and gn come first together, with 99.15 % of the test images right, on average over 2 seeds.",
                "Two seeds can't tell whether the norms differ by more than chance: it takes 3 or more.",
            ],
        ),
        (
            # In another order, the sum of the same numbers differs in its last place.
            {"bn": (0.991, 0.9937, 0.9923, 0.9919, 0.9931), "gn": (0.9931, 0.9919, 0.9923, 0.9937, 0.991)},
            [
                "bn and gn come first together, with 99.24 % of the test images right, on average over 5 seeds."
            ],
        ),
        (
            {"bn": (0.990, 0.991, 0.9897), "gn": (0.996, 0.9973, 0.9957)},
            [
                f"{GN} comes first, with 99.63 % of the test images right, on average over 3 seeds. {BN} is next with "
                "99.02 %, 0.61 points less: 37 against 98 errors in 10,000 images.",
                "The lead of gn over bn is more than chance (p < 0.001).",
            ],
        ),
        (
            {"bn": (0.990, 0.991, 0.9897), "gn": (0.999, 0.990, 0.990), "ln": (0.996, 0.9973, 0.9957)},
            [
                f"{LN} comes first, with 99.63 % of the test images right, on average over 3 seeds. {GN} is next with "
                "99.30 %, 0.33 points less: 37 against 70 errors in 10,000 images.",
                "The lead of ln over gn may be chance (p = 0.814).",
                "1 of 3 pairs of norms differs by more than chance: ln is above bn.",
            ],
        ),
    ],
)
def test_summaries(accuracies: dict[str, tuple[float, ...]], sentences: list[str], tmp_path: Path) -> None:
    assert found(tmp_path, **accuracies) == sentences


def test_pairs_that_differ_by_more_than_chance(tmp_path: Path) -> None:
    bn, noise = (0.98, 0.9807, 0.9796), (0.0001, -0.0001, 0.0)
    gn = tuple(value + 0.005 for value in bn)
    ln = tuple(value + more for value, more in zip(bn, noise, strict=True))
    (tmp_path / "some").mkdir()
    (tmp_path / "none").mkdir()
    (tmp_path / "all").mkdir()
    some = found(tmp_path / "some", bn=bn, ln=ln, gn=tuple(g + n for g, n in zip(gn, noise, strict=True)))
    assert some[-1] == "2 of 3 pairs of norms differ by more than chance: gn is above bn and gn is above ln."
    assert (
        found(tmp_path / "none", bn=bn, ln=bn, gn=ln)[-1]
        == "None of the 3 pairs of norms differs by more than chance."
    )
    far = tuple(value - 0.01 + more for value, more in zip(bn, noise, strict=True))
    assert (
        found(tmp_path / "all", bn=bn, ln=far, gn=gn)[-1]
        == "All 3 pairs of norms differ by more than chance."
    )


def test_norms_are_compared_with_a_baseline(tmp_path: Path) -> None:
    bn, noise = (0.98, 0.9807, 0.9796), (0.0001, -0.0001, 0.0)
    shifted = {
        norm: tuple(value + shift + more for value, more in zip(bn, noise, strict=True))
        for norm, shift in {"gn": 0.005, "ws": 0.006, "none": -0.3, "ln": 0.0}.items()
    }
    assert found(tmp_path, "bn", bn=bn, **shifted)[1:] == [
        "gn and ws are above bn by more than chance.",
        "none is below bn by more than chance.",
        "ln may differ from bn by chance alone.",
    ]
