r"""Conditions of the claims in the text: each sentence ``\claim{key}{...}`` is guarded by one of them.

Sentences are written by people and do not change with the numbers; a condition checks whether the numbers still support
the sentence. If they do not, LaTeX stops at the sentence with the numbers (``claims: required`` in the configuration),
or the paper marks the sentence (``claims: marked``).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd

from weight_importance.files.tables import is_weight_tensor
from weight_importance.findings import reproduction
from weight_importance.findings.ablations import MARGIN, PRIMARY, ablations_of
from weight_importance.findings.baselines import LEVEL, NONE
from weight_importance.findings.correlation import PAIR, STRONG, pair_properties
from weight_importance.findings.explanation import RISE
from weight_importance.findings.power import (
    MOST_NETWORKS,
    TARGET_POWER,
    necessary,
    of_all,
    of_some,
    power_above,
    power_of_difference,
    power_of_equivalence,
)
from weight_importance.findings.rerun import Power, Quantity, at_selected
from weight_importance.findings.selection import Curve
from weight_importance.findings.study import Findings
from weight_importance.findings.tensors import ALL
from weight_importance.paper.macros import Results

MLP, ABLATIONS = "mlp_permuted_mnist", "mlp_permuted_mnist_ablations"


@dataclass(frozen=True)
class Claim:
    """Condition of a claim on the findings of one study.

    Attributes:
        study: name of the study.
        table: table that the condition needs; without rows of the study, the claim is not supported.
        holds: the condition.
        quantities: numbers behind the condition, each with the power of its part of the condition.
        evidence: keys of results, without the study, that an error message prints.
        combined: power of the claim from the powers of its quantities.
    """

    study: str
    table: str
    holds: Callable[[Findings], bool]
    quantities: Callable[[Findings], list[Quantity]]
    evidence: tuple[str, ...]
    combined: Callable[[Sequence[float]], float] = of_all

    def is_supported(self, findings: Findings) -> bool:
        return findings.has(self.table) and self.holds(findings)

    def power(self, quantities: Sequence[Quantity], networks: int | None = None) -> float:
        """Lower bound on the probability that a new run supports the claim, given the means and variances of a run.

        It covers tests and thresholds, assuming that no λ is at an end of its grid.

        Args:
            quantities: quantities of the run; ``nan`` without any.
            networks: number of networks of the new run; the run's own number by default.
        """
        return self.combined([quantity.power_of(networks or len(quantity.by_seed)) for quantity in quantities])

    def powers(self, quantities: Sequence[Quantity]) -> dict[str, object]:
        """Number of networks of a run, power of its claim, and networks needed for :data:`TARGET_POWER`, for tables."""
        if not quantities:
            return {"networks": "-", "power": "-", "needed": "-"}
        power, needed = self.power(quantities), necessary(lambda n: self.power(quantities, n))
        return {
            "networks": len(quantities[0].by_seed),
            "power": f"{power:.2f}" if power >= TARGET_POWER else f"{power:.2f} (low)",
            "needed": needed or f"more than {MOST_NETWORKS}",
        }


def _ablations(estimator: str, outcome: str, *transforms: str) -> Claim:
    """All ablations have an outcome; no strength is at an end of its grid; the estimator gains over no penalty."""
    names = [f"{transform}({estimator})" for transform in transforms]

    def power(name: str, tests: int) -> Power:
        level = LEVEL if (estimator, name) == PRIMARY else LEVEL / tests
        if outcome == "equivalent":
            return partial(power_of_equivalence, margin=MARGIN, level=level)
        return lambda mean, sd, n: power_of_difference(-mean, sd, n, level)

    def holds(findings: Findings) -> bool:
        recoveries = findings.recovery.reindex([(estimator, name) for name in (estimator, *names)])
        outcomes, gains = recoveries["outcome"].iloc[1:], recoveries["low_gain"].iloc[0] > 0
        return bool((outcomes == outcome).all() and gains and recoveries["at_edge"].eq(False).all())

    def quantities(findings: Findings) -> list[Quantity]:
        curves, families = findings.curves, ablations_of(findings.tables["retention"])
        if not {estimator, NONE, *names} <= set(curves):
            return []
        tests = sum(map(len, families.values())) - (PRIMARY[1] in families.get(PRIMARY[0], ()))
        changes = [
            at_selected(f"{name} less {estimator}", curves[name], curves[estimator], MARGIN, power(name, tests))
            for name in names
        ]
        return [_gain(estimator, curves, LEVEL), *changes]

    keys = [f"ablations/{estimator}/{name}/{value}" for name in names for value in ("outcome", "recovery/mean")]
    return Claim(ABLATIONS, "retention", holds, quantities, (*keys, f"ablations/{estimator}/edge/list"))


def _gain(name: str, curves: Mapping[str, Curve], level: float) -> Quantity:
    power = partial(power_of_difference, level=level)
    return at_selected(f"{name} less none", curves[name], curves[NONE], reproduction.MARGIN, power)


def _pairs(name: str, quantity: Callable[[pd.DataFrame, pd.Series, int], Quantity]) -> Claim:
    """Some but not all pairs of estimators have a property by the Pearson coefficient.

    Args:
        name: name of the property.
        quantity: function of a pair's mean correlations by tensor, its correlations by tensor and seed, and the number
            of tests in the paper's correction.
    """

    def holds(findings: Findings) -> bool:
        pairs = pair_properties(findings.correlation)
        having = pairs.loc[pairs["coefficient"] == "pearson", name]
        return bool(having.any() and not having.all())

    def quantities(findings: Findings) -> list[Quantity]:
        means, values = (
            table[(table["coefficient"] == "pearson") & (table["tensor"] != ALL)]
            for table in (findings.correlation, findings.tables["correlation"])
        )
        by_seed = values.set_index([*PAIR, "tensor", "seed"])["value"].sort_index()
        return [
            quantity(group.set_index("tensor"), by_seed.loc[pair], len(means)) for pair, group in means.groupby(PAIR)
        ]

    evidence = (f"correlation/pearson/{name}/count", "correlation/pearson/pairs/count")
    return Claim(MLP, "correlation", holds, quantities, evidence, of_some)


def _strong(means: pd.DataFrame, by_seed: pd.Series, tests: int) -> Quantity:
    """Correlation in the weight tensor where it is lowest; it decides whether the pair is strong."""
    lowest = means.loc[[name for name in means.index if is_weight_tensor(name)], "mean"].idxmin()
    return _correlation(means, by_seed.loc[lowest], lambda mean, sd, n: power_above(mean, sd, n, STRONG))


def _ranging(means: pd.DataFrame, by_seed: pd.Series, tests: int) -> Quantity:
    """Lowest correlation in a parameter tensor: below zero, while the pair is strong in another tensor."""
    lowest, highest = means["mean"].idxmin(), by_seed.loc[means["mean"].idxmax()]

    def power(mean: float, sd: float, n: int) -> float:
        """Treats the three conditions as independent."""
        tested = power_of_difference(-mean, sd, n, LEVEL / tests)
        outside = power_above(-mean, sd, n, -min(0.0, means.loc[lowest, "null_low"]))
        return tested * outside * power_above(highest.mean(), highest.std(), n, STRONG)

    return _correlation(means, by_seed.loc[lowest], power)


def _correlation(means: pd.DataFrame, by_seed: pd.Series, power: Callable[[float, float, int], float]) -> Quantity:
    pair = " with ".join(means[PAIR].iloc[0])
    return Quantity(f"{pair}: lowest correlation", by_seed, float(by_seed.sem()), RISE, power)


def _all_effective() -> Claim:
    """Every estimator is above training without a penalty."""
    evidence = tuple(f"retention/{name}" for name in ("effective/count", "compared/count", "effective/list"))

    def quantities(findings: Findings) -> list[Quantity]:
        names = findings.ranking.order
        return [_gain(name, findings.curves, LEVEL / len(names)) for name in names]

    return Claim(
        MLP, "retention", lambda findings: findings.ranking.effective() == findings.ranking.order, quantities, evidence
    )


FISHER = "fisher_empirical"

CLAIMS: dict[str, Claim] = {
    "some_pairs_strong": _pairs("strong", _strong),
    "some_pairs_ranging": _pairs("ranging", _ranging),
    "all_overcome_forgetting": _all_effective(),
    "rank_one_equivalent": _ablations(FISHER, "equivalent", "rank_one"),
    "order_of_factors_equivalent": _ablations(FISHER, "equivalent", "in_order_of_factors"),
    "one_factor_worse": _ablations(FISHER, "worse", "tensor_mean", "input_factor", "output_factor"),
    "misplaced_worse": _ablations(FISHER, "worse", "shuffled", "shuffled_within_neuron", "reversed"),
    "mas_rank_one_equivalent": _ablations("mas", "equivalent", "rank_one", "in_order_of_factors"),
    "mas_input_factor_worse": _ablations("mas", "worse", "input_factor"),
}
"""Claims by key, the first argument of ``\\claim`` in the text."""

MACROS = r"""% Claims of the text, and the reasons why claims are not supported.
\makeatletter
\newcommand\defineclaim[2]{\expandafter\gdef\csname claim@#1\endcsname{#2}}
\newcommand\claim[2]{#2\ifcsname claim@#1\endcsname\csname claim@#1\endcsname\else
  \PackageError{claims}{Unknown claim '#1'}{The keys are listed in numbers.tex.}\fi}
\makeatother
"""
ON_FAILURE = {
    "required": r"\newcommand\unsupported[1]{\PackageError{claims}{#1}{}}",
    "marked": r"\newcommand\unsupported[1]{ \emph{(not supported by this run)}}",
}
"""Macro that follows an unsupported sentence, by the key ``claims`` of the configuration."""


def unsupported(findings: Mapping[str, Findings], results: Results) -> dict[str, str]:
    """Claims that do not hold, each with a message that quotes the numbers.

    Args:
        findings: findings by study.
        results: result of :func:`weight_importance.paper.numbers.collect`, for the numbers.
    """
    return {
        key: f"The results do not support the claim '{key}': {_evidence(claim, results)}"
        for key, claim in CLAIMS.items()
        if not (claim.study in findings and claim.is_supported(findings[claim.study]))
    }


def _evidence(claim: Claim, results: Results) -> str:
    keys = [f"{claim.study}/{key}" for key in claim.evidence]
    return "; ".join(f"{key} = {_plain(results[key])}" if key in results else f"no {key}" for key in keys)


def _plain(value: str) -> str:
    """Printed value without LaTeX commands."""
    return re.sub(r"\\[a-z]+\{([^{}]*)\}", r"\1", value).replace("\\_", "_")


def render(failed: Mapping[str, str], mode: str) -> str:
    r"""The macro ``\claim{key}{sentence}``, and for each claim the text after its sentence: empty if the claim holds.

    Args:
        failed: result of :func:`unsupported`.
        mode: ``required`` or ``marked``.
    """
    after = {key: rf"\unsupported{{{message}}}" for key, message in failed.items()}
    lines = [rf"\defineclaim{{{key}}}{{{after.get(key, '')}}}" for key in CLAIMS]
    return "\n".join([MACROS + ON_FAILURE[mode], *lines, ""])
