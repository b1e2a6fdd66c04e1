"""The stages as command-line programs on the small data set: their files, and independence of seeds and shards."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest
import torch

import programs
from baseline import OTHERS
from studies import LEARNING
from weight_importance.data.image_file import common_form, load
from weight_importance.data.tasks.registry import first_tasks
from weight_importance.data.tasks.task import plain_task
from weight_importance.estimators.path import PathRecorder
from weight_importance.files import trained
from weight_importance.files.storage import load_tensors, read_table
from weight_importance.files.tables import COLUMNS
from weight_importance.learning.first_task import learn_first_task
from weight_importance.learning.networks import network
from weight_importance.learning.replicas import initialise
from weight_importance.settings import (
    KUTALEV_LAPINA,
    EvaluationJob,
    Images,
    Importance,
    ImportanceJob,
    PermutedTasks,
    Protocol,
    Pruning,
    PruningJob,
    Retention,
    RetentionJob,
    RotatedTasks,
    Study,
    Training,
    TrainingJob,
)
from weight_importance.settings.jobs import Job

STUDY = Study(
    seeds=2,
    first_seed=0,
    shard_size=2,
    analyses=["retention"],
    estimators=["mas"],
    network="mlp",
    datasets=["mnist_subset"],
    tasks=PermutedTasks(kind="permuted", count=3, seed=1),
    images=Images(training=600, validation=200, test=None),
    training=Training(epochs=2, batch_size=50, learning_rate=0.001),
    importance=Importance(samples=200),
    retention=Retention(**LEARNING, images=None, seeds=None, unpenalised=True, lambdas={"mas": [1]}),
    pruning=Pruning(fractions=[0.0, 0.5, 0.95]),
)
RECORDS = ["absolute_gradient", "displacement", "independent_path_integral", "path_integral"]
SHAPES = {
    "fc1.weight": (300, 784),
    "fc1.bias": (300,),
    "fc2.weight": (150, 300),
    "fc2.bias": (150,),
    "fc3.weight": (10, 150),
    "fc3.bias": (10,),
}


def run(program: str, *arguments, fails: bool = False) -> str:
    done = programs.run(program, *arguments)
    assert (done.returncode != 0) == fails, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


class Shard:
    """The stages of one shard in one folder."""

    def __init__(self, folder: Path, data: Path, seeds: list[int], **study) -> None:
        self.folder, self.data, self.seeds = folder, data, seeds
        self.study = STUDY.model_copy(update=study)
        self.trained = folder / "w.safetensors"
        self.state, self.path = folder / "w.state.safetensors", folder / "w.path.safetensors"

    def run(self, program: str, job: type[Job], *arguments: object, of: tuple = (), **study: object) -> None:
        """Run a program with the common arguments and the settings of its job."""
        settings = job.of("small", self.study.model_copy(update=study), self.seeds, *of).sorted_json()
        given = ["--data", self.data, "--trained", self.trained, "--settings", settings]
        run(program, *given, *arguments)

    def baseline(self) -> None:
        self.run("baseline", TrainingJob, of=(RECORDS,))

    def evaluation(self) -> pd.DataFrame:
        self.run("evaluation", EvaluationJob, "--output", self.folder / "w.csv")
        return read_table(self.folder / "w.csv", COLUMNS["baseline"])

    def importance(self, estimator: str, part: str = "training") -> Path:
        output = self.folder / f"{estimator}.safetensors"
        self.run("importance", ImportanceJob, "--estimator", estimator, "--output", output, of=(part,))
        return output

    def retention(self, estimator: str, lambdas: list[float], of: tuple[str, ...] = (), **changes) -> Path:
        """Retention under an estimator, or under an ablation ``of`` estimators."""
        output = self.folder / f"retention-{estimator}.csv"
        retention = self.study.retention.model_copy(update={"lambdas": {estimator: lambdas}} | changes)
        files = [self.folder / f"{name}.safetensors" for name in of or [estimator]]
        given = [] if estimator == "none" else ["--importance", *files]
        given += ["--estimator", estimator, "--output", output]
        self.run("retention", RetentionJob, *given, of=(estimator,), retention=retention)
        return output

    def pruning(self, criterion: str) -> Path:
        output = self.folder / f"pruning-{criterion}.csv"
        given = [] if criterion == "random" else ["--importance", self.folder / f"{criterion}.safetensors"]
        self.run("pruning", PruningJob, "--criterion", criterion, *given, "--output", output)
        return output


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "subset.safetensors"
    run("dataset", "--dataset", "mnist_subset", "--output", path)
    return path


@pytest.fixture(scope="module")
def shard(tmp_path_factory, data) -> Shard:
    shard = Shard(tmp_path_factory.mktemp("pair"), data, [0, 1])
    shard.baseline()
    return shard


@pytest.fixture(scope="module")
def alone(tmp_path_factory, data) -> Shard:
    shard = Shard(tmp_path_factory.mktemp("alone"), data, [1])
    shard.baseline()
    return shard


def test_the_baseline_learns_and_records_its_settings(shard):
    parameters, metadata = load_tensors(shard.trained)
    assert {name: tuple(tensor.shape[1:]) for name, tensor in parameters.items()} == SHAPES
    assert json.loads(metadata["seeds"]) == [0, 1]
    assert metadata["study"] == "small"
    assert json.loads(metadata["config"])["duration"]["epochs"] == 2
    assert len(metadata["code"]) == 64
    assert json.loads(metadata["versions"])["torch"] == torch.__version__
    accuracies = shard.evaluation()
    assert accuracies.groupby(["seed", "split"]).size().tolist() == [1] * 4
    assert accuracies.accuracy.min() > 0.6
    path, _ = load_tensors(shard.path)
    assert set(path) == {f"{kind}/{name}" for kind in RECORDS for name in SHAPES}


@pytest.mark.parametrize(
    "estimator", ["fisher_empirical", "fisher_sampled", "mas", "si", "si_bias", "obd", "total_signal", "magnitude"]
)
def test_a_replica_is_the_same_bits_alone_and_with_shard_mates(shard, alone, estimator):
    pair, _ = load_tensors(shard.importance(estimator))
    single, _ = load_tensors(alone.importance(estimator))
    assert {name: tuple(tensor.shape) for name, tensor in single.items()} == {k: (1, *v) for k, v in SHAPES.items()}
    for name, tensor in single.items():
        assert torch.equal(pair[name][1], tensor[0]), name


def test_a_user_s_estimator_is_loaded_from_an_environment_variable(shard, tmp_path, monkeypatch):
    """A copy of MAS under another name gives the same values, with another fingerprint of the code."""
    own = tmp_path / "mine.py"
    text = (programs.REPOSITORY / "src/weight_importance/estimators/catalogue/mas.py").read_text(encoding="utf-8")
    own.write_text(text.replace("MAS (softmax)", "mine"), encoding="utf-8")
    monkeypatch.setenv("IMPORTANCE_ATLAS_ESTIMATORS", str(own))
    mine, metadata = load_tensors(shard.importance("mine"))
    mas, of_mas = load_tensors(shard.importance("mas"))
    assert all(torch.equal(mine[name], tensor) for name, tensor in mas.items())
    assert metadata["estimator"] == "mine" and metadata["code"] != of_mas["code"]
    shard.retention("mine", [0.5])
    own.write_text("ESTIMATOR = 3", encoding="utf-8")
    with pytest.raises(AssertionError, match="must define ESTIMATOR"):
        shard.importance("mine")
    own.write_text("import nothing_of_this_name", encoding="utf-8")
    with pytest.raises(AssertionError, match="cannot load the estimator's file"):
        shard.importance("mine")


@pytest.mark.parametrize("estimator", ["mas", "si", "si_unbiased", "none"])
def test_retention_is_complete_and_independent_of_shard_and_grid(shard, alone, estimator):
    if estimator != "none":
        shard.importance(estimator), alone.importance(estimator)
    lambdas = [0.0] if estimator == "none" else [0.5, 2.0]
    pair = read_table(shard.retention(estimator, lambdas), COLUMNS["retention"])
    assert len(pair) == 2 * len(lambdas) * (1 + 2 + 2 * 3)
    assert not pair.duplicated([*COLUMNS["retention"][:-1]]).any()
    assert pair.accuracy.between(0, 1).all()
    single = read_table(alone.retention(estimator, lambdas[-1:]), COLUMNS["retention"])
    expected = pair[(pair.seed == 1) & (pair["lambda"] == lambdas[-1])].reset_index(drop=True)
    assert single.equals(expected)


@pytest.mark.parametrize(
    ("ablation", "of"), [("shuffled(mas)", ("mas",)), ("values_of(mas)_in_ranks_of(si)", ("mas", "si"))]
)
def test_retention_under_an_ablation_is_complete_and_independent_of_the_shard(shard, alone, ablation, of):
    for name in of:
        shard.importance(name), alone.importance(name)
    pair = read_table(shard.retention(ablation, [0.5, 2.0], of), COLUMNS["retention"])
    assert set(pair.estimator) == {ablation} and len(pair) == 2 * 2 * (1 + 2 + 2 * 3)
    single = read_table(alone.retention(ablation, [2.0], of), COLUMNS["retention"])
    assert single.equals(pair[(pair.seed == 1) & (pair["lambda"] == 2.0)].reset_index(drop=True))
    own = read_table(shard.retention("mas", [0.5, 2.0]), COLUMNS["retention"])
    first = pair.tasks_learnt == 1
    assert own.accuracy[first].equals(pair.accuracy[first]) and not own.accuracy.equals(pair.accuracy)


def test_an_ablation_without_effect_has_the_retention_of_the_estimator(shard):
    shard.importance("mas")
    same = read_table(shard.retention("power_1(mas)", [0.5], ("mas",)), COLUMNS["retention"])
    own = read_table(shard.retention("mas", [0.5]), COLUMNS["retention"])
    # up to rounding of the importances, which affects few images
    assert (same.accuracy - own.accuracy).abs().max() <= 0.01


def test_two_runs_write_the_same_bytes(shard, tmp_path):
    again = Shard(tmp_path, shard.data, [0, 1])
    again.baseline()
    for folder in (shard, again):
        folder.evaluation()
    for file in (shard.trained, shard.path, shard.folder / "w.csv"):
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()
    for folder in (shard, again):
        folder.importance("mas")
    assert again.retention("mas", [0.5, 2.0]).read_bytes() == shard.retention("mas", [0.5, 2.0]).read_bytes()


def test_a_diverging_lambda_is_recorded_and_does_not_affect_the_others(shard):
    shard.importance("mas")
    both = read_table(shard.retention("mas", [0.5, 1e39]), COLUMNS["retention"])
    later = both[both.tasks_learnt > 1]
    assert later[later["lambda"] > 1].accuracy.isna().all()
    assert not both[both.tasks_learnt == 1].accuracy.isna().any()
    sane = read_table(shard.retention("mas", [0.5, 2.0]), COLUMNS["retention"])
    kept, expected = (frame[frame["lambda"] == 0.5].reset_index(drop=True) for frame in (both, sane))
    assert kept.equals(expected)


@pytest.mark.parametrize("criterion", ["magnitude", "random"])
def test_pruning_starts_at_the_baseline_accuracy(shard, criterion):
    if criterion != "random":
        shard.importance(criterion)
    table = read_table(shard.pruning(criterion), COLUMNS["pruning"])
    assert len(table) == 2 * 2 * 3
    accuracies = shard.evaluation().query("split == 'test'").set_index("seed")
    for row in table[table.fraction == 0].itertuples():
        assert math.isclose(row.accuracy, accuracies.accuracy[row.seed])
    assert table[table.fraction == 0.95].accuracy.max() < accuracies.accuracy.min()


def test_a_further_strength_extends_the_table_to_that_of_one_run(shard):
    shard.importance("magnitude")
    file = shard.retention("magnitude", [0.5])
    kept = file.with_name(f".{file.name}.strengths")
    two_steps = shard.retention("magnitude", [2.0, 0.5]).read_bytes()
    kept.unlink()
    assert shard.retention("magnitude", [2.0, 0.5]).read_bytes() == two_steps
    one = read_table(shard.retention("magnitude", [2.0]), COLUMNS["retention"])
    assert set(one["lambda"]) == {2.0}


@pytest.fixture(scope="module")
def convolutional(tmp_path_factory, data) -> Shard:
    """The convolutional network on few, rotated images, with batch normalisation."""
    shard = Shard(
        tmp_path_factory.mktemp("cnn"), data, [0, 1], network="cnn", tasks=RotatedTasks(kind="rotated", count=2),
        images=Images(training=200, validation=40, test=60),
    )  # fmt: skip
    shard.baseline()
    return shard


def test_buffers_are_stored_separately_from_parameters(shard, convolutional):
    parameters, _ = load_tensors(convolutional.trained)
    state, metadata = load_tensors(convolutional.state)
    assert parameters["conv3.weight"].shape == (2, 256, 128, 3, 3)
    assert not any("running" in name for name in parameters)
    assert state["buffer/bn1.running_mean"].shape == (2, 64)
    assert state["buffer/bn1.num_batches_tracked"].tolist() == [8, 8]
    assert json.loads(metadata["seeds"]) == [0, 1]
    assert load_tensors(shard.state)[0] == {}


def test_frozen_statistics_and_the_stabilised_penalty_change_retention(convolutional):
    convolutional.importance("magnitude")
    tables = [
        read_table(convolutional.retention("magnitude", [1.0, 1e3], **options), COLUMNS["retention"])
        for options in ({}, {"batch_norm": "frozen"}, {"penalty": "stabilised"})
    ]
    plain, frozen, stabilised = (table.set_index([*COLUMNS["retention"][:-1]]).accuracy for table in tables)
    assert plain.index.equals(frozen.index) and plain.index.equals(stabilised.index)
    first = plain.index.get_level_values("tasks_learnt") == 1
    assert plain[first].equals(frozen[first]) and plain[first].equals(stabilised[first])
    assert not plain.equals(frozen) and not plain.equals(stabilised)


def test_the_published_protocol_trains_on_all_images_and_carries_adam(data, shard, tmp_path):
    images = Images(training=None, validation=200, test=None)
    published = Shard(tmp_path, data, [0, 1], protocol=KUTALEV_LAPINA, images=images)
    published.baseline()
    state, _ = load_tensors(published.state)
    assert state["adam/steps"].item() == 2 * (2 * 3000 // 50)  # with those of another network
    assert state["adam/first/fc1.weight"].shape == (2, *SHAPES["fc1.weight"])
    on_test, on_training = (load_tensors(published.importance("mas", part))[0] for part in ("test", "training"))
    assert not torch.equal(on_test["fc3.bias"], on_training["fc3.bias"])
    carried = read_table(published.retention("mas", [0.5, 2.0]), COLUMNS["retention"])
    fresh_adam = KUTALEV_LAPINA.model_copy(update={"carry_adam": False})
    published.study = published.study.model_copy(update={"protocol": fresh_adam})
    fresh = read_table(published.retention("mas", [0.5, 2.0]), COLUMNS["retention"])
    assert len(carried) == len(fresh) and not carried.equals(fresh)


def test_a_network_can_start_with_the_adam_state_of_another_network(data, tmp_path):
    carried = Protocol(carry_adam=True)
    other = Shard(tmp_path / "other", data, [OTHERS], protocol=carried)
    reusing = Shard(tmp_path / "reusing", data, [0], protocol=Protocol(carry_adam=True, reused_adam=True))
    for shard in (other, reusing):
        shard.baseline()
    job = TrainingJob.of("small", other.study, [0], RECORDS)
    images = load(data)
    replicas = initialise(network(job.network, *common_form([images])), [0])
    replicas.adam = trained.read(other.trained, [OTHERS]).adam
    tasks = first_tasks(job.first_task, plain_task(images, training=job.images), [0])
    learn_first_task(replicas, tasks, PathRecorder(), duration=job.duration, optimisation=job.optimisation)
    weights, _ = load_tensors(reusing.trained)
    torch.testing.assert_close(dict(weights), replicas.parameters)
