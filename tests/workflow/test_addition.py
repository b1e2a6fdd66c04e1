"""What a user adds goes through the same rules, notebooks and tables: a network is one class, an estimator one file."""

import re

import pandas as pd

import documents
from studies import LEARNING

CLASS = """

class LayerNormMLP(nn.Module):
    \"\"\"A network of the user's own.\"\"\"

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, 32)
        self.norm = nn.LayerNorm(32)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc2(leaky_relu(self.norm(self.fc1(images.flatten(1))), 0.01))

"""
NAMES = ["mas", "si", "total_signal"]
STUDY = {
    "seeds": 2,
    "shard_size": 2,
    "estimators": NAMES,
    "network": "layer_norm_mlp",
    "datasets": ["mnist_subset"],
    "analyses": ["correlation", "retention", "pruning", "estimators", "variants"],
    "tasks": {"kind": "rotated", "count": 2},
    "images": {"training": 500, "validation": 100, "test": 200},
    "training": {"epochs": 1, "batch_size": 20, "learning_rate": 0.001},
    "importance": {"samples": 100},
    "retention": LEARNING
    | {"seeds": None, "images": None, "unpenalised": True, "lambdas": {name: [1] for name in NAMES}},
    "pruning": {"fractions": [0.0, 0.5]},
}


def test_a_third_network_is_one_class_and_one_study(fresh):
    networks = fresh.folder / "src/weight_importance/learning/networks.py"
    text = networks.read_text(encoding="utf-8")
    text, count = re.subn(r"\n(NETWORKS: .*)\}\n", CLASS + r'\n\1, "layer_norm_mlp": LayerNormMLP}\n', text)
    assert count == 1
    networks.write_text(text, encoding="utf-8")

    targets = [
        f"results/notebooks/{name}-mine.html"
        for name in ("correlation", "retention", "pruning", "estimators", "variants")
    ]
    run = fresh.run("--cores", "2", *targets, change={"studies": {"mine": STUDY}})
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-5000:]
    correlation = pd.read_csv(fresh.folder / "results/summary/mine/correlation.csv")
    assert {"fc1.weight", "norm.weight", "norm.bias", "fc2.bias", "all"} <= set(correlation["tensor"])
    assert set(correlation["estimator_a"]) | set(correlation["estimator_b"]) == set(NAMES)
    assert (fresh.folder / "results/figures/correlation_matrix-mine.pdf").stat().st_size > 0
    assert not (fresh.folder / "results/runs/mlp_permuted_mnist").exists(), "other studies are not needed"


OWN = documents.block("README.md", "# my_estimator.py").text


def test_an_estimator_of_ones_own_is_a_file_that_the_configuration_names(fresh):
    assert OWN.count("\n") <= 10
    (fresh.folder / "my_estimator.py").write_text(OWN, encoding="utf-8")
    retention = STUDY["retention"] | {"lambdas": STUDY["retention"]["lambdas"] | {"my_estimator": [1]}}
    study = STUDY | {"network": "mlp", "estimators": [*NAMES, "my_estimator.py"], "retention": retention}
    change = {"studies": {"mine": study}}
    planned = fresh.plan("results/paper/numbers.tex", change=change)
    assert "Computing my_estimator of mine on training images (seeds-0-1)" in planned
    assert "Learning the later tasks of mine under my_estimator (seeds-0-1)" in planned
    assert any(message.startswith("Pruning mine by my_estimator") for message in planned)

    folder = "results/runs/mine/importance"
    targets = [f"{folder}/{name}/seeds-0-1.safetensors" for name in ("my_estimator", "mas")]
    run = fresh.run("--cores", "1", *targets, change=change)
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-5000:]
    assert not fresh.plan(*targets, change=change)
    with fresh.edited("my_estimator.py"):
        again = fresh.plan(*targets, change=change)
    assert again == {"Computing my_estimator of mine on training images (seeds-0-1)"}, (
        "its own results, not the training"
    )

    refused = fresh.run("--dry-run", change={"estimators": [*NAMES, "my_estimatr.py"]})
    assert refused.returncode != 0 and "there is no file 'my_estimatr.py'" in refused.stdout + refused.stderr
