"""Trial of the user's own estimators on a tiny network, so that mistakes in their files are found before a run.

Usage: ``python -m weight_importance.estimators.trial``; ``IMPORTANCE_ATLAS_ESTIMATORS`` lists the files.
"""

import os

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from weight_importance.estimators.kinds import PathEstimator
from weight_importance.estimators.loading import load, place
from weight_importance.estimators.recording import record
from weight_importance.estimators.registry import estimate
from weight_importance.runtime.errors import UserError, run_program
from weight_importance.runtime.own_estimators import own_files

SAMPLES, INPUTS, CLASSES, STEPS = 6, 5, 3, 3


def main() -> None:
    problems = [
        f"{os.path.relpath(file)}{text}" for name, file in own_files().items() if (text := problem(name, str(file)))
    ]
    if problems:
        lines = "\n".join(f"  - {text}" for text in problems)
        raise UserError(f"estimators cannot be used\n{lines}\nFix these files, then run the same command again.")


def problem(name: str, file: str) -> str | None:
    """The line and the text of an estimator's first error in a trial; ``None`` if there is none."""
    try:
        attempt(name)
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        cause = error.__cause__ or error
        kind = "" if isinstance(cause, UserError) else f"{type(cause).__name__}: "
        return f"{place(cause, file)}: {kind}{cause}"
    return None


def attempt(name: str) -> None:
    """Compute an importance of a network with random weights, from random samples or a few steps of Adam.

    Raises:
        UserError: an importance has a wrong shape, or is not finite.
    """
    network = nn.Sequential(nn.Linear(INPUTS, 4), nn.LeakyReLU(), nn.Linear(4, CLASSES))
    inputs, labels = torch.randn(SAMPLES, INPUTS), torch.arange(SAMPLES) % CLASSES

    def loss() -> Tensor:
        return cross_entropy(network(inputs), labels)

    if isinstance(load(name), PathEstimator):
        optimiser = torch.optim.Adam(network.parameters())
        with record(optimiser, network, [name], independent=loss) as recorded:
            for _ in range(STEPS):
                optimiser.zero_grad()
                loss().backward()
                optimiser.step()
        importances = recorded.result()[name]
    else:
        importances = estimate(name, network, inputs, labels, generator=torch.Generator())
    for parameter, value in network.named_parameters():
        if importances[parameter].shape != value.shape:
            found, expected = tuple(importances[parameter].shape), tuple(value.shape)
            raise UserError(f"the importance of a tensor of shape {expected} has shape {found}; the shapes must agree.")
        if not importances[parameter].isfinite().all():
            raise UserError("the importance of a network with finite weights and inputs is not finite.")


if __name__ == "__main__":
    run_program(main)
