"""Why importances agree: the numerics behind the explanations, confidence, shared factors, and sampling noise.

- Confidence. Let c be the predicted class, ε the probability of the runner-up and s_c the gradient of log p_c. With
  a = p_c s_c, for ε → 0 and all other classes negligible: MAS and absolute Fisher → 2|a|, empirical Fisher (at a right
  label) → a², exact Fisher → a²/ε, per sample. The first two become equal, the last two part, and powers align scales.
- Factors. For a linear layer a sample's gradient is (what comes back to the output) ⊗ (what the input sends), so that
  estimators may agree because they share a factor per input, or per output, and not weight by weight.
- Signal. The total absolute signal of a weight is |w| times the mean of what it multiplies: by its formula it shares
  that factor of the input with a gradient, and nothing else; the weights themselves are what training made of both.
- Noise. Across independent samples two estimators agree at most at the root of the product of their reliabilities
  (Spearman 1904); on the same samples they share the noise and may agree better.

Works on importances in memory; knows nothing of files, training, or how an importance came about.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from weight_importance.estimators.factors import log_slope, rank_one

ALL = "all"
AGREEMENT = ("pearson", "spearman", "log_slope", "ratio")
RANKED = ("pearson", "spearman")
FACTORS = (
    "observed", "by_input", "by_output", "by_product", "by_rest",
    "input_factors", "output_factors", "reconstructions", "residuals",
)  # fmt: skip
SIGNAL_TERMS = ("by_signal", "by_input_weights", "by_output_weights", "by_single_weights")
SIGNAL = ("observed", *SIGNAL_TERMS, "input_factors", "output_factors", "divided")
PAIRED = {"pearson": ("observed", "across", "disattenuated", "independent"), "spearman": ("observed", "across")}
RELIABILITIES = {"pearson": ("half", "full"), "spearman": ("half",)}
"""What there is of each coefficient: see :func:`noise`."""
TRAJECTORIES = ("same", "own", "across")

Importances = Mapping[str, Mapping[str, Tensor]]
"""Estimator → parameter → importance of one network, of the parameter's shape."""


def entries(importances: Importances) -> Iterator[tuple[str, Tensor]]:
    """Every parameter tensor's entries of all E estimators, ``(E, n)`` in float64, and last those of all together."""
    parts = []
    for name in next(iter(importances.values())):
        parts.append(torch.stack([of[name].flatten() for of in importances.values()]).double().cpu())
        yield name, parts[-1]
    yield ALL, torch.cat(parts, 1)


def correlation(values: Tensor, coefficient: str) -> Tensor:
    """Correlation of each estimator with each.

    Args:
        values: ``(E, n)`` in float64.
        coefficient: ``pearson``, or ``spearman``, the same of ranks (ties share their average).

    Returns:
        ``(E, E)``; ``nan`` where an estimator is constant.
    """
    if coefficient == "spearman":
        values = torch.from_numpy(rankdata(values.numpy(), axis=1))
    constant = values.amax(1) == values.amin(1)
    centred = values - values.mean(1, keepdim=True)
    centred /= torch.linalg.vector_norm(centred, dim=1, keepdim=True)
    centred[constant] = torch.nan
    return (centred @ centred.T).clamp(-1, 1)  # rounding may lead beyond 1


def agreement(values: Tensor) -> dict[str, Tensor]:
    """How each pair of estimators agrees, by the names in :data:`AGREEMENT`, each ``(E, E)``.

    ``log_slope`` [a, b] is the least-squares slope of log b on log a over the entries positive in both, for a before b;
    ``ratio`` [a, b] is the total of b over that of a.

    Args:
        values: ``(E, n)`` in float64.
    """
    count = len(values)
    slopes = torch.full((count, count), torch.nan, dtype=torch.float64)
    for a, b in combinations(range(count), 2):
        slopes[a, b] = log_slope(values[a : a + 1], values[b : b + 1])[0]
    totals = values.sum(1)
    found = {name: correlation(values, name) for name in RANKED}
    return found | {"log_slope": slopes, "ratio": totals / totals[:, None]}


def factor_contributions(importance: Tensor) -> dict[str, Tensor]:
    """How much of each pair's Pearson correlation in a weight tensor factors explain, by the names in :data:`FACTORS`.

    With x the positive part of an importance as a matrix (out × in; for a convolution the inputs are input channels and
    positions), x = mean + row effect + column effect + interaction, four parts that are orthogonal to each other for
    any two estimators. Hence the correlation of two estimators is a sum, each term a covariance over the product of
    both standard deviations of x:

    - ``observed`` = ``by_input`` + ``by_output`` + ``by_product`` + ``by_rest``;
    - ``by_input``, ``by_output``: of the column effects (one factor per input), of the row effects (one per output);
    - ``by_product``: of the interactions of the rank-one reconstructions (row sums times column sums over the total,
      :func:`weight_importance.estimators.factors.rank_one`), whose row and column effects are those of x;
    - ``by_rest``: what the reconstructions leave, their products with the other estimator's reconstruction included.

    The other four are correlations by themselves: ``input_factors`` of the column means, ``output_factors`` of the row
    means, ``reconstructions``, and ``residuals`` (x less its reconstruction).

    Args:
        importance: ``(E, out, ...)`` of E estimators.

    Returns:
        name → ``(E, E)``; ``nan`` where there is nothing to correlate (constant, or no residual but rounding).
    """
    x = importance.clamp(min=0).flatten(2).double()
    model = rank_one(x)
    rest = x - model
    # what is left of an exact product is rounding
    negligible = torch.linalg.vector_norm(rest.flatten(1), dim=1) < 1e-7 * torch.linalg.vector_norm(x.flatten(1), dim=1)
    rest[negligible] = 0
    rows, columns = x.mean(2), x.mean(1)
    spread = _centred(x.flatten(1)).norm(dim=1)
    scale = spread * spread[:, None]

    def share(part: Tensor, times: int = 1) -> Tensor:
        centred = _centred(part)
        return times * (centred @ centred.T) / scale

    observed = share(x.flatten(1))
    by_input, by_output = share(columns, x.shape[1]), share(rows, x.shape[2])
    whole = share(model.flatten(1))
    return {
        "observed": observed,
        "by_input": by_input,
        "by_output": by_output,
        "by_product": whole - by_input - by_output,
        "by_rest": observed - whole,
        "input_factors": correlation(columns, "pearson"),
        "output_factors": correlation(rows, "pearson"),
        "reconstructions": correlation(model.flatten(1), "pearson"),
        "residuals": correlation(rest.flatten(1), "pearson"),
    }


def _centred(values: Tensor) -> Tensor:
    return values - values.mean(1, keepdim=True)


def signal_contributions(weight: Tensor, signal: Tensor, importance: Tensor) -> dict[str, Tensor]:
    """What makes the total signal correlate with other importances in a weight tensor, by the names in :data:`SIGNAL`.

    The total signal is |w| ∘ u, where u is one factor per input, the mean of |x|. With the mean of |w|, its deviations
    by input and by output, and what is left for single weights, it is a sum of four terms; the correlation with another
    importance G is linear in it, and hence a sum, each term a covariance with G over both standard deviations:

    - ``observed`` = ``by_signal`` + ``by_input_weights`` + ``by_output_weights`` + ``by_single_weights``;
    - ``by_signal``: of u times the mean of |w|, what the shared input factor gives alone;
    - ``by_input_weights``, ``by_output_weights``, ``by_single_weights``: of u times the deviations of |w|, of its means
      per input, of its means per output, and of the rest.

    The others are correlations by themselves: ``input_factors`` of u with the mean of G per input; ``output_factors``
    of the mean of |w| per output with that of G; ``divided`` of |w| with G divided by its mean per input, where this
    and u are above zero: what remains once each is rid of its input factor.

    Args:
        weight: ``(out, ...)``; of a convolution, input channels and positions are the inputs.
        signal: its total signal, of the same shape.
        importance: ``(E, out, ...)`` of E other estimators, negative values as they are.

    Returns:
        name → ``(E,)``; ``nan`` where there is nothing to correlate.
    """
    magnitude, total = (tensor.detach().cpu().double().flatten(1) for tensor in (weight.abs(), signal))
    others = importance.cpu().double().flatten(2)
    received = total.sum(0) / magnitude.sum(0).clamp(min=torch.finfo(torch.float64).tiny)
    mean, by_output, by_input = magnitude.mean(), magnitude.mean(1, keepdim=True), magnitude.mean(0, keepdim=True)
    parts = mean, by_input - mean, by_output - mean, magnitude - by_input - by_output + mean
    centred = _centred(others.flatten(1))
    scale = centred.norm(dim=1) * (total - total.mean()).norm()
    found = {"observed": _with(total, others)}
    found |= {
        name: centred @ (part * received).expand_as(total).flatten() / scale
        for name, part in zip(SIGNAL_TERMS, parts, strict=True)
    }
    columns = others.mean(1)
    divided = []
    for one, factor in zip(others, columns, strict=True):
        there = (received > 0) & (factor > 0)
        left = one[:, there] / factor[there]
        divided.append(_with(magnitude[:, there], left[None]).item() if there.any() else torch.nan)
    return found | {
        "input_factors": _with(received, columns),
        "output_factors": _with(by_output, others.mean(2)),
        "divided": torch.tensor(divided, dtype=torch.float64),
    }


def _with(one: Tensor, others: Tensor) -> Tensor:
    """Pearson correlation of one ``(...)`` with each of several ``(E, ...)``."""
    return correlation(torch.cat([one.reshape(1, -1), others.flatten(1)]), "pearson")[0, 1:]


def spearman_brown(half: Tensor) -> Tensor:
    """The reliability of a mean over all samples from the correlation of the means over two halves of them.

    2r / (1 + r), Spearman (1910) and Brown (1910). It holds for the Pearson correlation of means over samples, whose
    noise has twice the variance on half of the samples and the same expectation, and for nothing else.
    """
    return 2 * half / (1 + half)


def reliability(first: Tensor, second: Tensor, coefficient: str) -> tuple[Tensor, Tensor]:
    """Correlations between importances on two disjoint halves of the samples.

    Args:
        first, second: ``(E, n)`` in float64 on either half; ``nan`` throughout for an estimator without samples.
        coefficient: as in :func:`correlation`.

    Returns:
        ``(E,)`` of each estimator with itself, and ``(E, E)`` of each on one half with each on the other (mean of both
        ways): the sampling noise of the two is independent.
    """
    count = len(first)
    across = correlation(torch.cat([first, second]), coefficient)[:count, count:]
    return across.diagonal().clone(), (across + across.T) / 2


def disattenuated(observed: Tensor, reliabilities: Tensor) -> Tensor:
    """Correlations divided by the root of both reliabilities: what they would be without noise (Spearman 1904, eq. 3).

    It may exceed 1: where noise is shared, as between two estimators on the same samples, and by chance.

    Args:
        observed: ``(E, E)``.
        reliabilities: ``(E,)``.

    Returns:
        ``(E, E)``; ``nan`` where a reliability is not above zero.
    """
    usable = torch.where(reliabilities > 0, reliabilities, torch.nan)
    return observed / (usable * usable[:, None]).sqrt()


def noise(
    full: Tensor, first: Tensor, second: Tensor, coefficient: str, means: Tensor
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Reliabilities, and pair correlations with and without sampling noise, in one tensor.

    By Pearson, the correlation across halves over the root of both correlations of the halves is that of the
    expectations over samples, whatever the estimator; for one that is no mean over samples these are the expectations
    on half as many, bias included. From halves to all samples leads :func:`spearman_brown`, for means only.

    Ranks are no sums of a true rank and independent noise, so that for them neither division nor formula holds; there
    is a correction on the scale of normal scores (Rosner and Glynn 2007), under assumptions that importances, with
    their many values near zero, do not meet. What is given by ranks needs no correction: how each estimator agrees with
    itself and with the others across halves.

    Args:
        full: ``(E, n)`` on all samples.
        first, second: the same on either half of the samples.
        coefficient: as in :func:`correlation`.
        means: ``(E,)``, which estimators are means over samples.

    Returns:
        - by the names in :data:`RELIABILITIES` ``(E,)``: ``half``, the correlation of the halves, and, of means by
          Pearson, ``full``, that after :func:`spearman_brown`;
        - by the names in :data:`PAIRED` ``(E, E)``: ``observed`` on all samples; ``across``, the correlation across
          halves; and by Pearson ``disattenuated``, ``observed`` divided by the root of both ``full``; ``independent``,
          ``across`` divided by the root of both ``half``.
    """
    half, across = reliability(first, second, coefficient)
    observed = correlation(full, coefficient)
    own, pairs = {"half": half}, {"observed": observed, "across": across}
    if coefficient == "pearson":
        own["full"] = torch.where(means, spearman_brown(half), torch.nan)
        pairs |= {"disattenuated": disattenuated(observed, own["full"]), "independent": disattenuated(across, half)}
    return own, pairs


def on_trajectories(values: Tensor, coefficient: str) -> dict[str, Tensor]:
    """Correlations between estimators on the same and on different networks, by the names in :data:`TRAJECTORIES`.

    With x[a, b] the importance by estimator b on the network that was trained under the penalty of a:

    - ``same`` [a, b]: of two estimators on the same network, the mean of (x[a, a], x[a, b]) and (x[b, a], x[b, b]);
    - ``own`` [a, b]: of each on its own network, (x[a, a], x[b, b]);
    - ``across`` [a, b]: of the same estimator on both networks, the mean of (x[a, a], x[b, a]) and (x[a, b], x[b, b]).

    Args:
        values: ``(A, A, n)`` in float64, x.
        coefficient: as in :func:`correlation`.

    Returns:
        name → ``(A, A)``.
    """
    count = len(values)
    every = correlation(values.flatten(0, 1), coefficient).view(count, count, count, count)
    a, b = torch.meshgrid(torch.arange(count), torch.arange(count), indexing="ij")
    return {
        "same": (every[a, a, a, b] + every[b, a, b, b]) / 2,
        "own": every[a, a, b, b],
        "across": (every[a, a, b, a] + every[a, b, b, b]) / 2,
    }


def on_all_trajectories(values: Tensor, coefficient: str) -> Tensor:
    """Correlations between all estimators on the same network, their mean over the networks of all trajectories.

    Args:
        values: ``(A, E, n)`` in float64, the importances by E estimators on each of A networks.
        coefficient: as in :func:`correlation`.

    Returns:
        ``(E, E)``.
    """
    return torch.stack([correlation(network, coefficient) for network in values]).mean(0)


def pairs(names: list[str], values: Mapping[str, Tensor]) -> Iterator[tuple[str, str, str, float]]:
    """``(estimator a, estimator b, key, value)`` of every pair a before b, from matrices ``(E, E)`` by key."""
    arrays: dict[str, np.ndarray] = {key: matrix.numpy() for key, matrix in values.items()}
    for (a, first), (b, second) in combinations(enumerate(names), 2):
        for key, matrix in arrays.items():
            yield first, second, key, float(matrix[a, b])
