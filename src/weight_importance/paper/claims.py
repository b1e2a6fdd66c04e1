r"""Conditions of the claims that the text makes: each sentence ``\claim{key}{...}`` is guarded by one of them.

Sentences are written by people and do not change with the numbers; a condition says whether the numbers still support
the sentence. If one does not, LaTeX stops at the sentence with the numbers (``claims: required`` in the configuration),
or the sentence is marked in the paper (``claims: marked``).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from weight_importance.findings.correlation import pair_properties
from weight_importance.findings.study import Findings
from weight_importance.paper.macros import Results

MLP, ABLATIONS = "mlp_permuted_mnist", "mlp_permuted_mnist_ablations"


@dataclass(frozen=True)
class Claim:
    """The condition of a claim on the findings of one study.

    Attributes:
        study: the study.
        table: the table that the condition needs; a study without rows in it does not support the claim.
        holds: the condition.
        evidence: keys of results, without the study, that an error message prints.
    """

    study: str
    table: str
    holds: Callable[[Findings], bool]
    evidence: tuple[str, ...]

    def is_supported(self, findings: Findings) -> bool:
        return findings.has(self.table) and self.holds(findings)


def _ablations(estimator: str, outcome: str, *transforms: str) -> Claim:
    """All ablations have an outcome; no strength is at an end of its grid; the estimator gains on no penalty."""
    names = [f"{transform}({estimator})" for transform in transforms]

    def holds(findings: Findings) -> bool:
        found = findings.recovery.reindex([(estimator, name) for name in (estimator, *names)])
        outcomes, gains = found["outcome"].iloc[1:], found["low_gain"].iloc[0] > 0
        return bool((outcomes == outcome).all() and gains and found["at_edge"].eq(False).all())

    keys = [f"ablations/{estimator}/{name}/{value}" for name in names for value in ("outcome", "recovery/mean")]
    return Claim(ABLATIONS, "retention", holds, (*keys, f"ablations/{estimator}/edge/list"))


def _some_pairs(name: str) -> Claim:
    """Some pairs of estimators, but not all, have a property by the Pearson coefficient."""

    def holds(findings: Findings) -> bool:
        pairs = pair_properties(findings.correlation)
        having = pairs.loc[pairs["coefficient"] == "pearson", name]
        return bool(having.any() and not having.all())

    return Claim(MLP, "correlation", holds, (f"correlation/pearson/{name}/count", "correlation/pearson/pairs/count"))


def _all_effective() -> Claim:
    """Every estimator is above training without a penalty."""
    evidence = tuple(f"retention/{name}" for name in ("effective/count", "compared/count", "effective/list"))
    return Claim(MLP, "retention", lambda findings: findings.ranking.effective() == findings.ranking.order, evidence)


FISHER = "fisher_empirical"

CLAIMS: dict[str, Claim] = {
    "some_pairs_strong": _some_pairs("strong"),
    "some_pairs_ranging": _some_pairs("ranging"),
    "all_overcome_forgetting": _all_effective(),
    "rank_one_equivalent": _ablations(FISHER, "equivalent", "rank_one"),
    "order_of_factors_equivalent": _ablations(FISHER, "equivalent", "in_order_of_factors"),
    "one_factor_worse": _ablations(FISHER, "worse", "tensor_mean", "input_factor", "output_factor"),
    "misplaced_worse": _ablations(FISHER, "worse", "shuffled", "shuffled_within_neuron", "reversed"),
    "mas_rank_one_equivalent": _ablations("mas", "equivalent", "rank_one", "in_order_of_factors"),
    "mas_input_factor_worse": _ablations("mas", "worse", "input_factor"),
}
"""By the key that the text gives as the first argument of ``\\claim``."""

MACROS = r"""% Claims of the text; one that the numbers do not support says why.
\makeatletter
\newcommand\defineclaim[2]{\expandafter\gdef\csname claim@#1\endcsname{#2}}
\newcommand\claim[2]{#2\ifcsname claim@#1\endcsname\csname claim@#1\endcsname\else
  \PackageError{claims}{Unknown claim '#1'}{The keys are listed in numbers.tex.}\fi}
\makeatother
"""
ON_FAILURE = {
    "required": r"\newcommand\unsupported[1]{\PackageError{claims}{#1}{}}",
    "marked": r"\newcommand\unsupported[1]{\textsuperscript{(not supported by this run)}}",
}
"""By the key ``claims`` of the configuration, the macro that follows a sentence that the numbers do not support."""


def unsupported(findings: Mapping[str, Findings], results: Results) -> dict[str, str]:
    """The claims that do not hold, each with a message that names the numbers.

    Args:
        findings: by study.
        results: of :func:`weight_importance.paper.numbers.collect`, for the numbers.
    """
    return {
        key: f"The results do not support the claim '{key}': {_evidence(claim, results)}"
        for key, claim in CLAIMS.items()
        if not (
            claim.study in findings and findings[claim.study].has(claim.table) and claim.holds(findings[claim.study])
        )
    }


def _evidence(claim: Claim, results: Results) -> str:
    keys = [f"{claim.study}/{key}" for key in claim.evidence]
    return "; ".join(f"{key} = {_plain(results[key])}" if key in results else f"no {key}" for key in keys)


def _plain(value: str) -> str:
    """A printed value without LaTeX's commands."""
    return re.sub(r"\\[a-z]+\{([^{}]*)\}", r"\1", value).replace("\\_", "_")


def render(failed: Mapping[str, str], mode: str, claims: Sequence[str] = tuple(CLAIMS)) -> str:
    r"""The macro ``\claim{key}{sentence}``, and for each claim what follows its sentence: nothing if it holds.

    Args:
        failed: of :func:`unsupported`.
        mode: ``required`` or ``marked``.
        claims: keys of all claims.
    """
    after = {key: rf"\unsupported{{{message}}}" for key, message in failed.items()}
    lines = [rf"\defineclaim{{{key}}}{{{after.get(key, '')}}}" for key in claims]
    return "\n".join([MACROS + ON_FAILURE[mode], *lines, ""])
