"""The stages as command-line programs on the small data set: what they write, and that seeds and shards cannot mix."""

import json
import math
from pathlib import Path

import pytest
import torch

import programs
from studies import LEARNING
from weight_importance.files.storage import load_tensors, read_table
from weight_importance.files.tables import COLUMNS

STUDY = {
    "study": "small",
    "network": "mlp",
    "datasets": ["mnist_subset"],
    "protocol": "held_out",
    "tasks": {"kind": "permuted", "count": 3, "seed": 1},
    "images": {"training": 600, "validation": 200, "test": None},
}
RETENTION = LEARNING | {"images": None}
RECORDS = ["absolute_gradient", "displacement", "independent_path_integral", "path_integral"]
TRAINING = {"batch_size": 50, "learning_rate": 0.001}
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
        self.folder, self.data, self.seeds, self.study = folder, data, seeds, STUDY | study
        self.parameters, self.path = folder / "w.safetensors", folder / "w.path.safetensors"
        self.state = folder / "w.state.safetensors"

    def run(self, program: str, settings: dict, *arguments: object) -> None:
        """A program, with what all are given."""
        given = ["--data", self.data, "--parameters", self.parameters, "--state", self.state]
        run(program, *given, "--settings", json.dumps(self.study | settings | {"seeds": self.seeds}), *arguments)

    def baseline(self) -> None:
        settings = {"training": TRAINING | {"epochs": 2}, "records": RECORDS}
        self.run("baseline", settings, "--path", self.path, "--accuracy", self.folder / "w.csv")

    def importance(self, estimator: str, part: str = "training") -> Path:
        output = self.folder / f"{estimator}.safetensors"
        given = ["--estimator", estimator, "--part", part, "--path", self.path]
        self.run("importance", {"importance": {"samples": 200}}, *given, "--output", output)
        return output

    def retention(self, estimator: str, lambdas: list[float], of: tuple[str, ...] = (), **retention) -> Path:
        """Under an estimator, or an ablation ``of`` some."""
        output = self.folder / f"retention-{estimator}.csv"
        settings = {
            "training": TRAINING,
            "importance": {"samples": 200},
            "retention": RETENTION | retention,
            "lambdas": lambdas,
        }
        files = [self.folder / f"{name}.safetensors" for name in of or [estimator]]
        given = [] if estimator == "none" else ["--importance", *files]
        self.run("retention", settings, "--estimator", estimator, *given, "--output", output)
        return output

    def pruning(self, criterion: str) -> Path:
        output = self.folder / f"pruning-{criterion}.csv"
        given = [] if criterion == "random" else ["--importance", self.folder / f"{criterion}.safetensors"]
        settings = {"pruning": {"fractions": [0.0, 0.5, 0.95]}}
        self.run("pruning", settings, "--criterion", criterion, *given, "--output", output)
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


def test_the_baseline_learns_and_says_what_it_is(shard):
    parameters, metadata = load_tensors(shard.parameters)
    assert {name: tuple(tensor.shape[1:]) for name, tensor in parameters.items()} == SHAPES
    assert json.loads(metadata["seeds"]) == [0, 1]
    assert metadata["study"] == "small"
    assert json.loads(metadata["config"])["training"]["epochs"] == 2
    assert len(metadata["code"]) == 64
    assert json.loads(metadata["versions"])["torch"] == torch.__version__
    accuracies = read_table(shard.folder / "w.csv", COLUMNS["baseline"])
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


def test_an_estimator_of_ones_own_is_found_where_the_environment_says(shard, tmp_path, monkeypatch):
    """A copy of MAS under a name of its own gives the same values, by its own code."""
    own = tmp_path / "mine.py"
    text = (programs.SCRIPTS / "src/weight_importance/estimators/catalogue/mas.py").read_text(encoding="utf-8")
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
    with pytest.raises(AssertionError, match="cannot run the estimator's file"):
        shard.importance("mine")


@pytest.mark.parametrize("estimator", ["mas", "si", "si_unbiased", "none"])
def test_retention_is_complete_and_independent_of_shard_mates_and_of_the_grid(shard, alone, estimator):
    if estimator != "none":
        shard.importance(estimator), alone.importance(estimator)
    lambdas = [0.0] if estimator == "none" else [0.5, 2.0]
    pair = read_table(shard.retention(estimator, lambdas), COLUMNS["retention"])
    assert len(pair) == 2 * len(lambdas) * (1 + 2 + 3) * 2
    assert not pair.duplicated([*COLUMNS["retention"][:-1]]).any()
    assert pair.accuracy.between(0, 1).all()
    single = read_table(alone.retention(estimator, lambdas[-1:]), COLUMNS["retention"])
    expected = pair[(pair.seed == 1) & (pair["lambda"] == lambdas[-1])].reset_index(drop=True)
    assert single.equals(expected)


@pytest.mark.parametrize(
    ("ablation", "of"), [("shuffled(mas)", ("mas",)), ("values_of(mas)_in_ranks_of(si)", ("mas", "si"))]
)
def test_retention_under_an_ablation_is_as_under_an_estimator(shard, alone, ablation, of):
    for name in of:
        shard.importance(name), alone.importance(name)
    pair = read_table(shard.retention(ablation, [0.5, 2.0], of), COLUMNS["retention"])
    assert set(pair.estimator) == {ablation} and len(pair) == 2 * 2 * (1 + 2 + 3) * 2
    single = read_table(alone.retention(ablation, [2.0], of), COLUMNS["retention"])
    assert single.equals(pair[(pair.seed == 1) & (pair["lambda"] == 2.0)].reset_index(drop=True))
    own = read_table(shard.retention("mas", [0.5, 2.0]), COLUMNS["retention"])
    first = pair.tasks_learnt == 1
    assert own.accuracy[first].equals(pair.accuracy[first]) and not own.accuracy.equals(pair.accuracy)


def test_an_ablation_that_changes_nothing_retains_as_the_estimator_does(shard):
    shard.importance("mas")
    same = read_table(shard.retention("power_1(mas)", [0.5], ("mas",)), COLUMNS["retention"])
    own = read_table(shard.retention("mas", [0.5]), COLUMNS["retention"])
    # up to rounding of the importances, which hardly an image depends on
    assert (same.accuracy - own.accuracy).abs().max() <= 0.01


def test_two_runs_write_the_same_bytes(shard, tmp_path):
    again = Shard(tmp_path, shard.data, [0, 1])
    again.baseline()
    for file in (shard.parameters, shard.path, shard.folder / "w.csv"):
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()
    for folder in (shard, again):
        folder.importance("mas")
    assert again.retention("mas", [0.5, 2.0]).read_bytes() == shard.retention("mas", [0.5, 2.0]).read_bytes()


def test_a_lambda_that_diverges_is_recorded_and_the_others_are_not_touched(shard):
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
    accuracies = read_table(shard.folder / "w.csv", COLUMNS["baseline"]).query("split == 'test'").set_index("seed")
    for row in table[table.fraction == 0].itertuples():
        assert math.isclose(row.accuracy, accuracies.accuracy[row.seed])
    assert table[table.fraction == 0.95].accuracy.max() < accuracies.accuracy.min()


def test_errors_are_one_message(shard, tmp_path):
    settings = json.dumps(STUDY | {"importance": {"samples": 200}, "seeds": [0, 1]})
    rest = [
        "--data",
        shard.data,
        "--state",
        shard.state,
        "--path",
        shard.path,
        "--settings",
        settings,
        "--output",
        tmp_path / "x.safetensors",
    ]
    stderr = run("importance", "--estimator", "ms", "--parameters", shard.parameters, *rest, fails=True)
    assert stderr.startswith("error: unknown estimator 'ms'. Did you mean 'mas'?")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(shard.parameters.read_bytes()[:-1])
    stderr = run("importance", "--estimator", "mas", "--parameters", cut, *rest, fails=True)
    assert stderr.startswith("error: cannot read") and "cut.safetensors" in stderr and "same command again" in stderr
    many = json.dumps(STUDY | {"importance": {"samples": 601}, "seeds": [0, 1]})
    rest[rest.index(settings)] = many
    stderr = run("importance", "--estimator", "mas", "--parameters", shard.parameters, *rest, fails=True)
    assert "importance.samples is 601" in stderr
    assert not (tmp_path / "x.safetensors").exists()


def test_an_output_that_cannot_be_written_is_one_message(shard):
    settings = json.dumps(STUDY | {"importance": {"samples": 200}, "seeds": [0, 1]})
    stderr = run(
        "importance", "--estimator", "magnitude", "--data", shard.data, "--parameters", shard.parameters,
        "--state", shard.state, "--path", shard.path, "--settings", settings,
        "--output", shard.parameters / "x.safetensors", fails=True,
    )  # fmt: skip
    assert "cannot write" in stderr and "writable directory" in stderr


@pytest.fixture(scope="module")
def convolutional(tmp_path_factory, data) -> Shard:
    """The convolutional network on few images, with batch normalisation and turned images."""
    shard = Shard(
        tmp_path_factory.mktemp("cnn"), data, [0, 1], network="cnn", tasks={"kind": "rotated", "count": 2},
        images={"training": 200, "validation": 40, "test": 60},
    )  # fmt: skip
    shard.baseline()
    return shard


def test_buffers_are_kept_beside_the_parameters(shard, convolutional):
    parameters, _ = load_tensors(convolutional.parameters)
    state, metadata = load_tensors(convolutional.state)
    assert parameters["conv3.weight"].shape == (2, 256, 128, 3, 3)
    assert not any("running" in name for name in parameters)
    assert state["buffer/bn1.running_mean"].shape == (2, 64)
    assert state["buffer/bn1.num_batches_tracked"].tolist() == [8, 8]
    assert json.loads(metadata["seeds"]) == [0, 1]
    assert load_tensors(shard.state)[0] == {}


def test_frozen_statistics_and_the_stabilised_penalty_change_what_is_retained(convolutional):
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


def test_the_published_protocol_trains_on_all_images_and_carries_adam_on(data, shard, tmp_path):
    published = Shard(tmp_path, data, [0, 1], protocol="published")
    published.baseline()
    state, _ = load_tensors(published.state)
    assert state["adam/steps"].item() == 2 * 600 // TRAINING["batch_size"]
    assert state["adam/first/fc1.weight"].shape == (2, *SHAPES["fc1.weight"])
    on_test, on_training = (load_tensors(published.importance("mas", part))[0] for part in ("test", "training"))
    assert not torch.equal(on_test["fc3.bias"], on_training["fc3.bias"])
    carried = read_table(published.retention("mas", [0.5, 2.0]), COLUMNS["retention"])
    published.study |= {"protocol": "held_out"}
    (tmp_path / "w.state.safetensors").unlink()
    published.state = shard.state
    fresh = read_table(published.retention("mas", [0.5, 2.0]), COLUMNS["retention"])
    assert len(carried) == len(fresh) and not carried.equals(fresh)
