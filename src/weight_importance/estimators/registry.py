"""Estimators by name. The names are those of the modules in ``catalogue``: to add an estimator, add its module there.

Catalogue modules are imported by name when they are first asked for, so that computing one estimator neither loads
nor depends on the others, but for those that it is made of. Files of the user's own, one estimator each, are named by
an environment variable, as all programs and notebooks of a workflow have the same ones.
"""

import os
import pkgutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import torch
from torch import Generator, Tensor, nn

from weight_importance.estimators import catalogue, kinds
from weight_importance.estimators.engine.batches import BatchMoment, batch_moments
from weight_importance.estimators.engine.curvature import hessian_diagonal
from weight_importance.estimators.engine.layers import evaluation_mode
from weight_importance.estimators.engine.moments import Moment, moments
from weight_importance.estimators.kinds import CurvatureEstimator, Estimator, MomentEstimator, PathEstimator
from weight_importance.estimators.path import ImportanceRecorder
from weight_importance.files.provenance import note_code
from weight_importance.runtime.errors import UserError, unknown_name

OWN = "IMPORTANCE_ATLAS_ESTIMATORS"
"""The environment variable that lists files of the user's own, separated as in ``PATH``."""


def names() -> list[str]:
    """The known estimators: those of the catalogue, sorted, then the user's own."""
    return [*_catalogued(), *_own()]


def _catalogued() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(catalogue.__path__))


def _own() -> dict[str, Path]:
    files = (Path(file) for file in os.environ.get(OWN, "").split(os.pathsep) if file)
    return {file.stem: file for file in files}


def load(name: str) -> Estimator:
    """The estimator called ``name``.

    Raises:
        UserError: there is none, and the nearest known name is suggested; or the user's own file does not define one.
    """
    if name not in names():
        raise unknown_name("estimator", name, names())
    if name not in _catalogued():
        return _from_file(name, _own()[name])
    return import_module(f"{catalogue.__name__}.{name}").ESTIMATOR


def _from_file(name: str, file: Path) -> Estimator:
    """The estimator that a file of the user's own defines; it is run once."""
    module_name = "weight_importance.own." + name  # below the package's name, so that it counts as code of ours
    module = sys.modules.get(module_name)
    if module is None or Path(module.__file__) != file:
        if file.suffix != ".py" or not file.is_file():
            raise UserError(f"{OWN} names {file}, expected a Python file that is there. Correct or unset the variable.")
        note_code(file)
        specification = spec_from_file_location(module_name, file)
        module = module_from_spec(specification)
        try:
            specification.loader.exec_module(module)
        except Exception as error:  # whatever the user's code raises
            raise UserError(
                f"cannot run the estimator's file {file}: {type(error).__name__}: {error}. It must define ESTIMATOR, "
                f"one of the kinds in {kinds.__name__}; mend the file, then run the same command again."
            ) from error
        sys.modules[module_name] = module
    found = getattr(module, "ESTIMATOR", None)
    if not isinstance(found, Estimator):
        raise UserError(
            f"{file} must define ESTIMATOR, one of the kinds in {kinds.__name__}; found {found!r}. Mend it."
        )
    return found


class _Catalogue(Mapping[str, Estimator]):
    def __getitem__(self, name: str) -> Estimator:
        if name not in names():
            raise KeyError(name)
        return load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(names())

    def __len__(self) -> int:
        return len(names())


ESTIMATORS: Mapping[str, Estimator] = _Catalogue()
"""Estimator name → its definition (label, formula, source, kind); loaded on access."""


def estimate(
    name: str,
    network: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    *,
    generator: Generator | None = None,
    chunk: int | None = None,
) -> dict[str, Tensor]:
    """The importance of every parameter of a network, by the estimator called ``name``.

    Args:
        name: any but a path estimator, one of :data:`ESTIMATORS`.
        network: any module from ``(N, ...)`` to logits ``(N, K)``; evaluated in evaluation mode, left as it was.
        inputs: ``(N, ...)``.
        labels: ``(N,)`` integers.
        generator: randomness, needed by estimators that sample labels or probes.
        chunk: samples per forward pass, by default as many as a fixed bound on memory allows and at most 1,000; changes
            results by rounding only.

    Returns:
        parameter name → tensor of that parameter's shape.

    Raises:
        UserError: unknown name, or a path estimator, which needs a recorder during training.
    """
    return estimate_all([name], network, inputs, labels, generator=generator, chunk=chunk)[name]


def estimate_all(
    names: Sequence[str],
    network: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    *,
    generator: Generator | None = None,
    chunk: int | None = None,
) -> dict[str, dict[str, Tensor]]:
    """Several importances of the same network on the same samples: what they have in common is computed once.

    The arguments are those of :func:`estimate`, which gives the same values up to rounding; an estimator that draws
    random numbers draws those that it would draw alone.

    Returns:
        estimator's name → parameter name → tensor of that parameter's shape.

    Raises:
        UserError: see :func:`estimate`.
    """
    found = {name: load(name) for name in names}
    for name, estimator in found.items():
        if isinstance(estimator, PathEstimator):
            raise UserError(
                f"'{name}' is a path estimator: it is computed from the training itself. Pass "
                f"weight_importance.estimators.registry.recorder('{name}') to the training loop, call its "
                "step(gradients, displacements) after every optimiser step and importance() at the end."
            )
    moment = {name: estimator for name, estimator in found.items() if isinstance(estimator, MomentEstimator)}
    by_sample = {name: Moment(each.cotangents, each.power) for name, each in moment.items() if each.batch == 1}
    # those that differ in what is made of the mean have the same mean
    first = {each: name for name, each in reversed(by_sample.items())}
    by_batch = {
        name: BatchMoment(each.cotangents, each.power, each.batch) for name, each in moment.items() if each.batch > 1
    }
    curved = {name: estimator for name, estimator in found.items() if isinstance(estimator, CurvatureEstimator)}
    if curved and generator is None:
        raise UserError(f"{', '.join(curved)} draws probes: pass generator=torch.Generator().manual_seed(...)")
    of_curvature = None if generator is None else generator.clone_state()
    values = batch_moments(network, inputs, labels, by_batch, generator, chunk) if by_batch else {}
    if by_sample:
        means = moments(network, inputs, labels, {name: each for each, name in first.items()}, generator, chunk)
        values |= {name: means[first[each]] for name, each in by_sample.items()}
    if curved:
        values |= _diagonals(curved, network, inputs, labels, of_curvature, chunk)
        generator.set_state(of_curvature.get_state())
    parameters = {name: parameter.detach() for name, parameter in network.named_parameters()}
    for name, estimator in (moment | curved).items():
        values[name] = {key: estimator.finish(value, parameters[key]) for key, value in values[name].items()}
    with evaluation_mode(network), torch.no_grad():
        for name in found.keys() - values.keys():
            values[name] = found[name].importance(network, inputs, chunk)
    return {name: values[name] for name in names}


def _diagonals(
    wanted: Mapping[str, CurvatureEstimator],
    network: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    generator: Generator,
    chunk: int | None,
) -> dict[str, dict[str, Tensor]]:
    """The Hessian's diagonal for each estimator; those of equally many probes share one. Moves the generator on."""
    before = generator.get_state()
    found: dict[int, dict[str, Tensor]] = {}
    for probes in sorted({estimator.probes for estimator in wanted.values()}):
        generator.set_state(before)
        found[probes] = hessian_diagonal(network, inputs, labels, generator, probes, chunk).mean
    return {name: found[estimator.probes] for name, estimator in wanted.items()}


def recorder(name: str, published: bool = False) -> ImportanceRecorder:
    """A recorder for the path estimator called ``name``.

    Args:
        name: the estimator.
        published: form it as the published protocol does, where that differs.

    Raises:
        UserError: unknown name, or not a path estimator.
    """
    estimator = load(name)
    if not isinstance(estimator, PathEstimator):
        raise UserError(f"'{name}' is a {estimator.kind} estimator: use estimate('{name}', ...) instead of a recorder")
    return ImportanceRecorder(estimator, published)
