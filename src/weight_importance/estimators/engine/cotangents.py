"""Cotangents from logits and labels: label checks, positions, ignored labels, and classes in blocks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest

import torch
from torch import Generator, Tensor

from weight_importance.estimators.engine.products import PullBack, Term
from weight_importance.estimators.engine.samples import HALVES
from weight_importance.estimators.kinds import BLOCK_BYTES, Cotangents
from weight_importance.runtime.errors import UserError


@dataclass(frozen=True)
class Moment:
    """The moment Σ_c w_c |s_c|^power over these cotangents; see :class:`MomentEstimator`."""

    cotangents: Cotangents
    power: int
    needs_labels: bool = True
    separate_positions: bool = False


@dataclass(frozen=True)
class Targets:
    """Labels in the form that estimators' formulas expect.

    Attributes:
        labels: ``(N, ...)`` in range; zero where missing or ignored.
        counted: ``(N, ...)``, whether a label (or position) counts; ``None`` if all do.
        samples: number of samples with at least one label that counts.
    """

    labels: Tensor
    counted: Tensor | None
    samples: Tensor


def targets(logits: Tensor, labels: Tensor | None, ignored: int | None) -> Targets:
    """Check logits and labels against each other.

    Args:
        logits: ``(N, ..., K)``.
        labels: ``(N, ...)`` integers, or ``None``.
        ignored: the ignored label.

    Raises:
        UserError: logits and labels do not fit; the message states the expected form.
    """
    positions = logits.shape[:-1]
    if logits.ndim > 2 and ignored is None:
        raise UserError(
            f"the logits have shape {tuple(logits.shape)}: with one prediction per token or pixel, it must be "
            "(N, ..., K), classes last, and ignore_index must be given, for example -100. Convert the (N, K, H, W) of "
            "a convolution with logits.movedim(1, -1)."
        )
    if labels is None:
        every = torch.zeros(positions, dtype=torch.long, device=logits.device)
        return Targets(every, None, torch.tensor(float(len(logits)), dtype=torch.float64))
    if labels.is_floating_point() or labels.is_complex():
        raise UserError(
            f"labels must be integers of shape {tuple(positions)}; found {labels.dtype} of shape "
            f"{tuple(labels.shape)}. For one-hot labels or probabilities, use argmax(-1)."
        )
    if labels.shape != positions:
        raise UserError(
            f"labels must have shape {tuple(positions)} for logits of shape {tuple(logits.shape)}; found "
            f"{tuple(labels.shape)}"
        )
    labels = labels.long()
    counted = None if ignored is None else labels != ignored
    if counted is not None:
        labels = labels.where(counted, 0)
    low, high = labels.aminmax()
    if low < 0 or high >= logits.shape[-1]:
        wrong = int(low if low < 0 else high)
        hint = " Labels that do not count are named by ignore_index." if wrong < 0 else ""
        raise UserError(f"labels must be 0 to {logits.shape[-1] - 1}, the network's classes; found {wrong}.{hint}")
    if counted is None:
        samples = torch.tensor(float(len(labels)), dtype=torch.float64)
    else:
        samples = counted.flatten(1).any(1).sum().double().cpu() if counted.ndim > 1 else counted.sum().double().cpu()
    return Targets(labels, counted, samples)


def blocks(
    moment: Moment, logits: Tensor, target: Targets, generator: Generator | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the moment's cotangents ``(C, N, ..., K)`` in float64 and weights ``(C, N)``, in blocks."""
    logits = logits.double()
    if logits.ndim == 2:
        for cotangents, weights in _formula(moment, logits, target.labels, generator):
            yield cotangents, weights if target.counted is None else weights * target.counted
        return
    flat, labels = logits.flatten(1, -2), target.labels.flatten(1)
    counted = torch.ones_like(labels) if target.counted is None else target.counted.flatten(1)
    pairs = (_separate if moment.separate_positions else _joint)(moment, flat, labels, counted, generator)
    for cotangents, weights in pairs:
        yield cotangents.unflatten(2, logits.shape[1:-1]), weights


def _formula(
    moment: Moment, logits: Tensor, labels: Tensor, generator: Generator | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield what an estimator's formula returns for logits ``(N, K)``, after a check of its shapes."""
    result = moment.cotangents(logits, labels, generator)
    for block in [result] if isinstance(result, tuple) else result:
        if not isinstance(block, tuple) or len(block) != 2:
            raise UserError(f"a formula must return the tuple (cotangents, weights); found {type(block).__name__}")
        cotangents, weights = block
        if cotangents.ndim != 3 or cotangents.shape[1:] != logits.shape or weights.shape != cotangents.shape[:2]:
            raise UserError(
                f"cotangents must have shape (C, {', '.join(map(str, logits.shape))}) and weights "
                f"(C, {len(logits)}), for C cotangents per sample; found {tuple(cotangents.shape)} and "
                f"{tuple(weights.shape)}. A single cotangent per sample needs cotangent[None]."
            )
        yield cotangents, weights


def _joint(
    moment: Moment, logits: Tensor, labels: Tensor, counted: Tensor, generator: Generator | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Treat the sum over positions as a sample's scalar: ``logits`` is ``(N, P, K)``."""
    for cotangents, weights in _formula(moment, logits.flatten(0, 1), labels.flatten(), generator):
        if not (weights == 1).all():
            raise UserError(
                "an estimator whose cotangents have weights is not defined for logits (N, ..., K) unless it treats "
                "each position as a sample: set separate_positions=True in its definition"
            )
        cotangents = cotangents.unflatten(1, labels.shape) * counted[..., None]
        yield cotangents, torch.ones_like(cotangents[:, :, 0, 0])


def _separate(
    moment: Moment, logits: Tensor, labels: Tensor, counted: Tensor, generator: Generator | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Treat each position as a separate sample."""
    at_once = max(1, BLOCK_BYTES // logits.nbytes)
    for position in range(logits.shape[1]):
        for cotangents, weights in _formula(moment, logits[:, position], labels[:, position], generator):
            for some, weight in zip(cotangents.split(at_once), weights.split(at_once), strict=True):
                whole = some.new_zeros(len(some), *logits.shape)
                whole[:, :, position] = some
                yield whole, weight * counted[:, position]


def steps(
    wanted: Mapping[str, Moment], draws: Mapping[str, Generator | None], logits: Tensor, target: Targets
) -> Iterator[list[PullBack]]:
    """Yield the cotangents of several moments, one block of each at a time; equal blocks are pulled back once.

    Args:
        wanted: moments by name.
        draws: generators by name.
        logits: ``(N, ..., K)``.
        target: labels of the samples.
    """
    precision = torch.float32 if logits.dtype in HALVES else logits.dtype
    streams = [blocks(moment, logits, target, draws[key]) for key, moment in wanted.items()]
    for aligned_blocks in zip_longest(*streams):
        groups: list[tuple[Tensor, list[PullBack]]] = []
        for (key, moment), block in zip(wanted.items(), aligned_blocks, strict=True):
            if block is None:
                continue
            cotangents, weights = block[0].to(logits.dtype), block[1].to(precision)
            same = (each for at, each in groups if at.shape == cotangents.shape and torch.equal(at, cotangents))
            pull_backs = next(same, None)
            if pull_backs is None:
                pull_backs = [PullBack(cotangent, []) for cotangent in cotangents]
                groups.append((cotangents, pull_backs))
            for pull_back, weight in zip(pull_backs, weights, strict=True):
                pull_back.terms.append(Term(key, moment.power, weight))
        yield [pull_back for _, pull_backs in groups for pull_back in pull_backs]


def needed_bytes(
    wanted: Mapping[str, Moment], draws: Mapping[str, Generator | None], logits: Tensor, target: Targets
) -> int:
    """Return bytes per sample for cotangents, in float64 and the network's precision, and their computation.

    Of cotangents in blocks, one is counted: the blocks are bounded separately, by ``BLOCK_BYTES``.
    """
    flat, labels = logits.flatten(0, -2).double(), target.labels.flatten()
    total = 0
    for key, moment in wanted.items():
        draw = draws[key]
        # a copy: measuring must not consume the caller's random numbers
        result = moment.cotangents(flat, labels, draw and draw.clone_state())
        separate = moment.separate_positions and logits.ndim > 2
        total += result[0].nbytes if isinstance(result, tuple) and not separate else flat.nbytes
    return 3 * total // len(logits)
