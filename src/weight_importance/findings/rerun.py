"""Comparison of two runs, quantity by quantity: a reference, and a rerun of the same or another size.

If one run has all seeds of the other, the runs are compared network by network over these seeds; otherwise as
independent samples. Knows nothing of files, drawing or LaTeX.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
from scipy import stats

from weight_importance.findings.atlas import pruning_areas
from weight_importance.findings.baselines import LEVEL
from weight_importance.findings.reproduction import MARGIN
from weight_importance.findings.selection import Curve, contrast, holm
from weight_importance.findings.statistics import difference, equivalence, interval, no_difference, paired_equivalence
from weight_importance.findings.study import Findings

OUTCOMES = ("agrees", "differs", "undecided", "missing")
"""``agrees``: two one-sided tests show a difference below the margin; ``differs``: they do not, and a test of no
difference rejects; ``missing``: only one run has the quantity."""

PARTS = ("mean", "low", "high", "n")
COLUMNS = (
    "quantity", *(f"{part}_{run}" for run in ("reference", "rerun") for part in PARTS),
    "mean_difference", "low_difference", "high_difference", "margin", "holm_tost_p", "holm_difference_p", "outcome",
)  # fmt: skip


Power = Callable[[float, float, int], float]
"""Probability that a run supports a claim about a quantity, given the mean and standard deviation of its values and the
number of networks."""


@dataclass(frozen=True)
class Quantity:
    """Mean over the networks of a run.

    Attributes:
        name: the same in both runs.
        by_seed: values by seed, at the selected λ if they depend on λ.
        error: standard error, including the selection of λ.
        margin: smallest relevant difference between two runs.
        power: power of the part of a claim about the quantity; ``None`` without a claim.
    """

    name: str
    by_seed: pd.Series
    error: float
    margin: float
    power: Power | None = None

    @property
    def summary(self) -> dict[str, float]:
        """Mean, 95 % t interval and number of networks."""
        mean, n = float(self.by_seed.mean()), len(self.by_seed)
        half = stats.t.ppf(0.975, n - 1) * self.error if n > 1 else math.nan
        return {"mean": mean, "low": mean - half, "high": mean + half, "n": n}

    @property
    def deviation(self) -> float:
        """Standard deviation over networks that corresponds to the standard error."""
        return self.error * math.sqrt(len(self.by_seed))

    def power_of(self, networks: int) -> float:
        """Power of a new run with this number of networks, given this run's mean and variance."""
        return self.power(float(self.by_seed.mean()), self.deviation, networks) if self.power else math.nan


def at_selected(name: str, a: Curve, b: Curve, margin: float, power: Power) -> Quantity:
    """Difference a - b between the accuracies of two conditions, each at its selected λ."""
    return Quantity(name, a.by_seed - b.by_seed, contrast(a, b).error, margin, power)


def accuracies(findings: Findings) -> list[Quantity]:
    """Average test accuracy of every condition of a study after the last task, at its selected λ."""
    if not findings.has("retention"):
        return []
    values = {name: curve.by_seed for name, curve in findings.curves.items()}
    return [Quantity(name, by_seed, float(by_seed.sem()), MARGIN) for name, by_seed in values.items()]


def pruned(findings: Findings) -> list[Quantity]:
    """Test accuracy after pruning by every criterion in every scope: the mean over the fractions of weights removed."""
    if not findings.has("pruning"):
        return []
    areas = pruning_areas(findings.tables["pruning"]).set_index("seed").groupby(["scope", "criterion"])["area"]
    return [
        Quantity(f"{criterion}, {scope}", by_seed, float(by_seed.sem()), MARGIN)
        for (scope, criterion), by_seed in areas
    ]


def compared(reference: Sequence[Quantity], rerun: Sequence[Quantity]) -> pd.DataFrame:
    """Quantities of two runs, one per row, with :data:`COLUMNS`.

    Differences are rerun minus reference, with 95 % intervals; p values are adjusted for all quantities (Holm).
    """
    both: dict[str, dict[str, Quantity]] = {}
    for run, quantities in (("reference", reference), ("rerun", rerun)):
        for quantity in quantities:
            both.setdefault(quantity.name, {})[run] = quantity
    rows = [{"quantity": name} | _row(**runs) for name, runs in both.items()]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    for name in ("holm_tost_p", "holm_difference_p"):
        table[name] = pd.Series(holm(table[name].astype(float).to_dict()), dtype=float)
    outcomes = [row["outcome"] or _outcome(row) for row in table.to_dict("records")]
    return table.assign(outcome=outcomes)


def verdict(outcomes: Sequence[str]) -> str:
    """Combined outcome of several quantities."""
    return next((name for name in ("differs", "missing", "undecided") if name in outcomes), "agrees")


def _row(reference: Quantity | None = None, rerun: Quantity | None = None) -> dict[str, object]:
    runs = {"reference": reference, "rerun": rerun}
    row = {
        f"{part}_{run}": value for run, quantity in runs.items() if quantity for part, value in quantity.summary.items()
    }
    if reference is None or rerun is None:
        return row | {"outcome": "missing"}
    change, low, high, equivalent, different = _tested(reference, rerun)
    row |= {"mean_difference": change, "low_difference": low, "high_difference": high, "margin": reference.margin}
    return row | {"holm_tost_p": equivalent, "holm_difference_p": different, "outcome": ""}


def _tested(reference: Quantity, rerun: Quantity) -> tuple[float, float, float, float, float]:
    """Difference with its interval, and the p values of equivalence and of no difference."""
    margin = reference.margin
    shared = reference.by_seed.index.intersection(rerun.by_seed.index)
    if len(shared) == min(len(reference.by_seed), len(rerun.by_seed)):
        rerun_values, reference_values = rerun.by_seed.loc[shared], reference.by_seed.loc[shared]
        changes = rerun_values - reference_values
        change = interval(changes)
        p = float(stats.ttest_1samp(changes, 0).pvalue) if changes.nunique() > 1 else float(change.mean == 0)
        return change.mean, change.low, change.high, paired_equivalence(rerun_values, reference_values, margin), p
    rerun_summary, reference_summary = rerun.summary, reference.summary
    a, b = ((quantity.summary["mean"], quantity.deviation, len(quantity.by_seed)) for quantity in (rerun, reference))
    return *difference(rerun_summary, reference_summary), equivalence(*a, *b, margin), no_difference(*a, *b)


def _outcome(row: dict[str, float]) -> str:
    if row["holm_tost_p"] < LEVEL:
        return "agrees"
    return "differs" if row["holm_difference_p"] < LEVEL else "undecided"
