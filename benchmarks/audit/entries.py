"""The audited implementations: the quantity that each claims, and the formula that it computes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from audit import formulas, libraries
from audit.formulas import Importance, of_reference
from audit.setting import BATCH, SAMPLES, Case

PACKAGES = {
    "ASDL": "asdfghjkl",
    "Avalanche": "avalanche-lib",
    "BackPACK": "backpack-for-pytorch",
    "curvlinops": "curvlinops-for-pytorch",
    "Laplace": "laplace-torch",
    "NNGeometry": "nngeometry",
    "Torch-Pruning": "torch-pruning",
}
"""Library → its package on PyPI."""

SOURCES = {"Mammoth": "commit e75a491"}
"""Library → the version of its source that was read; it cannot be installed as a package."""


@dataclass(frozen=True)
class Entry:
    """One implementation; ``run`` is None if only its formula is restated."""

    library: str
    call: str
    claim: str
    formula: str
    relation: str
    exact: Callable[[Case], Importance]
    computes: Callable[[Case], Importance]
    run: libraries.Run | None
    batch: int = BATCH


EMPIRICAL, EXACT = of_reference("fisher_empirical"), of_reference("fisher_exact")
SINGLE = "mean over n of g_n²"
PER_CLASS = "mean over n of Σ_c p_c g_nc²"


def right(library: str, call: str, estimator: str, run: libraries.Run) -> Entry:
    """An implementation that computes one of our estimators."""
    formula = SINGLE if estimator == "fisher_empirical" else PER_CLASS
    exact = of_reference(estimator)
    return Entry(library, call, estimator, formula, f"equals `{estimator}`", exact, exact, run)


def _hessian(library: str, call: str, run: libraries.Run) -> Entry:
    exact = formulas.hessian_diagonal
    return Entry(
        library, call, "Hessian diagonal", "∂²L/∂θ²", "`hessian_diagonal` without its random probes", exact, exact, run
    )


ENTRIES = (
    Entry(
        "Avalanche", "EWCPlugin, batches of 8", "fisher_empirical", "mean over batches of (mean over n of g_n)²",
        "`fisher_batched` with batches of 8", EMPIRICAL, formulas.squared_batch_gradients, libraries.avalanche_ewc,
    ),
    Entry(
        "Avalanche", "EWCPlugin, batches of 1", "fisher_empirical", SINGLE,
        "equals `fisher_empirical`", EMPIRICAL, EMPIRICAL, libraries.avalanche_ewc, batch=1,
    ),
    Entry(
        "Avalanche", "MASPlugin, batches of 8", "mas_logits",
        "mean over batches of |mean over n of ∂‖z_n‖²/∂θ|, in training mode",
        "K times `mas_batched` with batches of 8, K logits", of_reference("mas_logits"),
        formulas.absolute_batch_gradients, libraries.avalanche_mas,
    ),
    Entry(
        "Avalanche", "MASPlugin, batches of 1", "mas_logits", "mean over n of |∂‖z_n‖²/∂θ|, in training mode",
        "equals `mas_logits` (no dropout, no batch normalisation)", of_reference("mas_logits"),
        of_reference("mas_logits"), libraries.avalanche_mas, batch=1,
    ),
    Entry(
        "Mammoth", "EwcOn, batches of 8", "fisher_empirical", "Σ_n p(y_n|x_n) g_n² / (number of batches × batch size)",
        "`fisher_empirical`, each sample weighted by the probability of its label; the divisor exceeds N if the last "
        "batch is smaller", EMPIRICAL, formulas.weighted_by_probability, None,
    ),
    right("BackPACK", "SumGradSquared, loss with sum, / N", "fisher_empirical",
          libraries.as_benchmarked("BackPACK", "fisher_empirical")),
    Entry(
        "BackPACK", "SumGradSquared, loss with mean", "fisher_empirical",
        "Σ_n (g_n / N)²", "`fisher_empirical` / N, as its documentation says", EMPIRICAL,
        formulas.divided_by_samples, libraries.backpack_extension("SumGradSquared", "sum_grad_squared"), batch=SAMPLES,
    ),
    right("BackPACK", "DiagGGNExact", "fisher_exact", libraries.as_benchmarked("BackPACK", "fisher_exact")),
    _hessian("BackPACK", "DiagHessian", libraries.backpack_extension("DiagHessian", "diag_h")),
    right("NNGeometry", "FIM, PMatDiag, classif_logits", "fisher_exact",
          libraries.as_benchmarked("NNGeometry", "fisher_exact")),
    right("NNGeometry", "PMatDiag of log p(y)", "fisher_empirical",
          libraries.as_benchmarked("NNGeometry", "fisher_empirical")),
    right("curvlinops", "GGNLinearOperator, diagonal", "ggn", libraries.curvlinops_operator("GGNLinearOperator")),
    right("curvlinops", "EFLinearOperator, diagonal", "fisher_empirical",
          libraries.curvlinops_operator("EFLinearOperator")),
    _hessian("curvlinops", "HessianLinearOperator, diagonal", libraries.curvlinops_operator("HessianLinearOperator")),
    Entry(
        "curvlinops", "KFACLinearOperator, type-2, diagonal", "fisher_exact",
        "E|a|² · E|g|², positions as if independent samples", "two-hook product of `factored` "
        "(an approximation by design)", EXACT, formulas.kronecker_factors,
        libraries.curvlinops_operator("KFACLinearOperator", fisher_type="type-2"),
    ),
    *(
        Entry(
            "ASDL", f"{kind}, SHAPE_DIAG", estimator,
            f"{PER_CLASS if estimator == 'fisher_exact' else SINGLE}; in convolutions with few positions Σ_t g_nt² in "
            "place of (Σ_t g_nt)²", f"`{estimator}`, except in convolutions with positions × (outputs + inputs ×"
            " kernel) < weights", of_reference(estimator), formulas.squared_by_position(estimator),
            libraries.as_benchmarked("ASDL", estimator),
        )
        for kind, estimator in (("FISHER_EMP", "fisher_empirical"), ("FISHER_EXACT", "fisher_exact"))
    ),
    right("Laplace", "DiagLaplace, CurvlinopsGGN, H / N", "fisher_exact", libraries.laplace_backend("CurvlinopsGGN")),
    right("Laplace", "DiagLaplace, BackPackEF, H / N", "fisher_empirical", libraries.laplace_backend("BackPackEF")),
    Entry(
        "Torch-Pruning", "GroupTaylorImportance, one layer", "snip, sums over channels",
        "Σ over the channel of |θ · mean over n of g_n|", "equals `snip`, summed over each output channel",
        formulas.snip_by_channel, formulas.taylor_by_channel, partial(libraries.torch_pruning_scores, hessian=False),
    ),
    Entry(
        "Torch-Pruning", "GroupHessianImportance, one layer", "θ² · fisher_empirical, sums over channels",
        "Σ over the channel of θ² g_N², N the last sample", "none: gradients of the other samples are discarded",
        formulas.brain_damage_by_channel, formulas.last_brain_damage_by_channel,
        partial(libraries.torch_pruning_scores, hessian=True),
    ),
)  # fmt: skip
