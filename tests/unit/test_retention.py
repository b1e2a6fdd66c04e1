"""A run through the tasks: importances of its penalty, and observed accuracies."""

from functools import partial

import pytest
import torch

from networks_under_test import NormalisedVector as Small
from studies import retention_job, small_tasks
from weight_importance.learning.ablations import ablated
from weight_importance.learning.evaluation import accuracy
from weight_importance.learning.importance import stacked_importances
from weight_importance.learning.replicas import initialise
from weight_importance.learning.retention import Run, Weighting, observed
from weight_importance.settings.ablation_names import parse

JOB = retention_job()
SEEDS = [3, 4]
OBSERVED = observed(3, after_every_task=True)


@pytest.fixture(scope="module")
def tasks():
    return small_tasks(SEEDS)


def run(tasks, estimators, ablation=None, job=JOB):
    """A run to its end; importances on the first task may be negative."""
    baseline = initialise(Small, SEEDS)
    random = torch.Generator().manual_seed(2)
    importance = {name: torch.rand(value.shape, generator=random) - 0.2 for name, value in baseline.parameters.items()}
    weighting = Weighting(estimators, [importance] * len(estimators), ablation)
    learner = Run(baseline, tasks, [10.0, 10.0], weighting, job, observed=OBSERVED)
    learner.begin()
    while learner.learnt < 3:
        learner.learn_next()
    return learner


def test_accuracies_are_observed_on_every_task_after_every_task(tasks):
    learner = run(tasks, ["mas"])
    assert OBSERVED[:4] == [(1, 1, "test"), (2, 1, "test"), (2, 2, "test"), (3, 1, "validation")]
    assert {len(each) for each in learner.accuracies} == {len(OBSERVED)} == {9}
    last = {name: [each[place] for each in learner.accuracies] for place, name in enumerate(OBSERVED) if name[0] == 3}
    for (_, task, split), values in last.items():
        assert values == accuracy(learner.replicas, [tasks[0][task - 1].part(split)] * 2)
    assert len({tuple(values) for values in last.values()}) > 3


@pytest.mark.parametrize("name", ["shuffled_within_neuron", "input_factor", "power_1"])
def test_an_ablation_replaces_every_task_s_importance(name, tasks):
    """An ablation without effect gives the estimator's results; the others differ after the second task."""
    plain, changed = (run(tasks, ["mas"], how) for how in (None, partial(ablated, parse(f"{name}(mas)"))))
    same = [torch.allclose(plain.replicas.parameters[key], value) for key, value in changed.replicas.parameters.items()]
    assert all(same) if name == "power_1" else not any(same)


@pytest.mark.parametrize("name", ["values_of(mas)_in_ranks_of(si)", "values_of(si)_in_ranks_of(mas)"])
def test_an_ablation_of_two_estimators_is_computed_after_every_task_but_the_last(name, tasks):
    seen = []

    def watched(importances, seeds):
        seen.append(([{key: values.clone() for key, values in each.items()} for each in importances], [*seeds]))
        return ablated(parse(name), importances, seeds)

    run(tasks, parse(name).estimators, watched)
    (given, seeds), (fresh, same_seeds) = seen
    assert seeds == same_seeds == SEEDS
    assert all((values >= 0).all() for each in (*given, *fresh) for values in each.values()), (
        "as the penalty clamps them"
    )
    assert not torch.equal(fresh[0]["fc1.weight"], fresh[1]["fc1.weight"])


def test_with_a_penalised_path_si_uses_the_gradient_with_the_penalty(tasks):
    """On later tasks, which have a penalty: the same bits as ``si_penalised``."""

    def second(name, penalised_path):
        seen = []
        learning = JOB.learning.model_copy(update={"clamp_negative": False})
        job = JOB.model_copy(update={"penalised_path": penalised_path, "learning": learning})
        run(tasks, [name], lambda importances, seeds: seen.append(importances[0]) or importances[0], job)
        return seen[1]

    published, plain, penalised = second("si", True), second("si", False), second("si_penalised", True)
    assert all(torch.equal(published[key], values) for key, values in penalised.items())
    assert not any(torch.equal(plain[key], values) for key, values in penalised.items())
    assert all(torch.equal(values, penalised[key]) for key, values in second("si_penalised", False).items())


OBSERVERS = ["si", "mas", "onaf", "fisher_sampled"]


@pytest.mark.parametrize("name", ["mas", "si"])
@pytest.mark.parametrize(("accumulation", "factor"), [("sum", 1.0), ("online", 0.5)])
def test_observers_accumulate_like_the_penalty_and_change_no_weight(name, accumulation, factor, tasks):
    """After every task including the last; a run resumed after each task has the same bits."""
    learning = JOB.learning.model_copy(update={"accumulation": accumulation, "decay": 0.5})
    job, baseline = JOB.model_copy(update={"learning": learning}), initialise(Small, SEEDS)
    random = torch.Generator().manual_seed(2)
    first = {
        observer: {key: torch.rand(value.shape, generator=random) - 0.2 for key, value in baseline.parameters.items()}
        for observer in OBSERVERS
    }

    def begun(**options):
        weighting = Weighting([name], [first[name]])
        return Run(baseline.take([0, 1]), tasks, [10.0, 10.0], weighting, job, **options)

    plain, learner = begun(), begun(observers=first)
    plain.begin()
    learner.begin()
    before = {observer: values["fc1.weight"].clamp_min(0) for observer, values in first.items()}
    assert all(torch.equal(learner.accumulated[observer]["fc1.weight"], before[observer]) for observer in OBSERVERS)
    for number in (1, 2):
        resumed = begun(observers=first)
        resumed.resume({key: value.clone() for key, value in learner.state().items()})
        for each in (plain, learner, resumed):
            each.learn_next()
        assert all(
            torch.equal(learner.replicas.parameters[key], value) for key, value in plain.replicas.parameters.items()
        )
        samples = [sequence[number].training.last(20) for sequence in tasks]
        sampled = stacked_importances(["mas", "fisher_sampled"], learner.replicas, samples, (number,))
        for observer, values in sampled.items():
            expected = factor * before[observer] + values["fc1.weight"]
            torch.testing.assert_close(learner.accumulated[observer]["fc1.weight"], expected)
        for observer, values in learner.accumulated.items():
            assert all(torch.equal(resumed.accumulated[observer][key], value) for key, value in values.items())
        before = {observer: values["fc1.weight"] for observer, values in learner.accumulated.items()}
        if number == 1:  # no penalty after the last task
            assert torch.equal(plain.state()["importance/fc1.weight"], before[name])
    assert learner.accuracies == [[], []] and plain.accumulated == {}
