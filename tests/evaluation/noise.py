"""How much a figure may differ by chance alone."""

from collections.abc import Callable, Sequence

import numpy as np

from knowledge.evaluation import Figures, Judged, figures

ROUNDS = 400
FIGURES: dict[str, Callable[[Figures], float]] = {
    "recall_at_1": lambda found: found.recall_at_1,
    "mrr_at_10": lambda found: found.mrr_at_10,
    "auroc": lambda found: found.auroc,
    "precision": lambda found: found.precision,
    "coverage": lambda found: found.coverage,
}


def floors(judged: Sequence[Judged], rounds: int = ROUNDS) -> dict[str, float]:
    """Of each figure the lower end of its 95 % interval: the 2.5 % quantile over bootstrap
    samples of the questions, drawn with replacement."""
    rng = np.random.default_rng(0)
    drawn: dict[str, list[float]] = {name: [] for name in FIGURES}
    for _ in range(rounds):
        sample = figures([judged[place] for place in rng.integers(len(judged), size=len(judged))])
        for name, read in FIGURES.items():
            drawn[name].append(read(sample))
    return {name: round(float(np.quantile(found, 0.025)), 3) for name, found in drawn.items()}
