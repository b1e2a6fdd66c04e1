"""The programs of the explanation: complete tables that are independent of sharding, or one error message."""

import json
import os
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import programs
from programs import SCRIPTS, run
from studies import LEARNING
from weight_importance.analysis.confidence import AGREEMENT
from weight_importance.analysis.factors import FACTORS
from weight_importance.analysis.noise import PAIRED, RELIABILITIES, RESIDUAL
from weight_importance.analysis.signal import SIGNAL
from weight_importance.analysis.trajectories import COEFFICIENTS, TRAJECTORIES
from weight_importance.files.storage import load_tensors, read_table
from weight_importance.files.tables import COLUMNS, EXPLANATION

NAMES = ["fisher_exact", "mas", "si", "magnitude"]
PAIRS = len(list(combinations(NAMES, 2)))
OPTIMISATION = {"batch_size": 50, "learning_rate": 0.001}
BOTH = {"study": "small", "network": {"kind": "mlp", "hidden": [30, 15]}, "images": 300}
FIRST = BOTH | {"dataset": "mnist_subset", "first_task": {"kind": "permuted"}}
TRAINED = FIRST | {
    "duration": {"epochs": 1},
    "optimisation": OPTIMISATION,
    "carry_adam": False,
    "records": ["displacement", "path_integral"],
}
PLAIN = FIRST | {"samples": 40, "estimators": NAMES}
FURTHER = {"images": 100, "epochs": 3, "optimisation": OPTIMISATION}
ALL_TASKS = BOTH | {
    "datasets": ["mnist_subset"],
    "tasks": {"kind": "permuted", "count": 3, "seed": 1},
    "optimisation": OPTIMISATION,
    "carry_adam": False,
    "penalised_path": False,
    "samples": 40,
    "learning": LEARNING | {"images": 60},
    "estimators": NAMES,
    "strengths": {"mas": 10, "si": 3},
}


def condition(name: str, levels: list[float], training: dict | None = None) -> dict:
    return PLAIN | {"condition": name, "levels": levels, "training": training, "unsmoothed": name == "epochs"}


JOBS = {
    "temperature": ("confidence", condition("temperature", [1, 4]), ("confidence", "agreement")),
    "epochs": ("confidence", condition("epochs", [1, 3], FURTHER), ("confidence", "agreement")),
    "smoothing": ("confidence", condition("label_smoothing", [0.1, 0.2], FURTHER), ("confidence", "agreement")),
    "decomposition": ("decomposition", PLAIN, ("factors", "signal", "reliability", "noise")),
    "trajectories": ("trajectories", ALL_TASKS, ("trajectories", "shared")),
}
"""Name → program, settings without seeds, tables."""

DEATHS = {"temperature": 2, "epochs": 4, "smoothing": 6, "trajectories": 1}
"""Checkpoints per job: levels, epochs within a training, tasks before the last one."""

INTERRUPTED = """
import sys
from importlib import import_module
program = import_module(sys.argv.pop(1))

class Killed(BaseException):
    pass

class Deadly(program.Checkpoint):
    def due(self, seconds):
        return True

    def save(self, tensors):
        super().save(tensors)
        raise Killed

program.Checkpoint, deaths = Deadly, 0
while True:
    try:
        program.main()
        break
    except Killed:
        deaths += 1
print(f"{deaths} deaths")
"""
"""A program that is killed after every checkpoint and started again."""


def explain(
    folder: Path, data: Path, seeds: list[int], job: str, interrupted: bool = False, **changes: object
) -> programs.Done:
    """Write the tables of a job, and a baseline unless the folder contains one."""
    baseline = folder / "trained.safetensors"
    if not baseline.exists():
        settings = json.dumps(TRAINED | {"seeds": seeds})
        done = run("baseline", "--data", data, "--trained", baseline, "--settings", settings)
        assert done.returncode == 0, done.stderr
    program, settings, tables = JOBS[job]
    trained = [] if job in ("epochs", "smoothing") else ["--trained", baseline]
    given = ["--data", data, *trained, "--settings", json.dumps(settings | {"seeds": seeds} | changes)]
    shard = f"seeds-{seeds[0]}-{seeds[-1]}"
    given += [part for table in tables for part in (f"--{table}", folder / job / f"{shard}.{table}.csv")]
    if not interrupted:
        return run(program, *given)
    file = folder / "interrupted.py"
    file.write_text(INTERRUPTED, encoding="utf-8")
    paths = os.environ | {"PYTHONPATH": os.pathsep.join([str(SCRIPTS), os.environ.get("PYTHONPATH", "")])}
    return run(file, program, *given, env=paths)


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    """The tables of all jobs by name, with conditions concatenated."""
    return {
        table: pd.concat(
            [
                read_table(file, COLUMNS[table])
                for file in sorted(folder.glob(f"*/*.{table.removeprefix('explanation_')}.csv"))
            ],
            ignore_index=True,
        )
        for table in EXPLANATION
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "subset.safetensors"
    assert run("dataset", "--dataset", "mnist_subset", "--output", path).returncode == 0
    return path


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    for job in JOBS:
        done = explain(folder, data, [0, 1], job)
        assert done.returncode == 0, done.stderr
    return folder


def test_the_tables_are_complete(pair: Path) -> None:
    results = tables(pair)
    conditions, tensors, weights = 7, 7, 3
    assert {name: len(table) for name, table in results.items()} == {
        "explanation_confidence": 2 * conditions * 2,
        "explanation_agreement": 2 * conditions * tensors * PAIRS * len(AGREEMENT),
        "explanation_factors": 2 * weights * PAIRS * len(FACTORS),
        "explanation_signal": 2 * weights * len(NAMES) * len(SIGNAL),
        "explanation_reliability": 2
        * len(NAMES)
        * (tensors * sum(map(len, RELIABILITIES.values())) + weights * len(RESIDUAL)),
        "explanation_noise": 2 * tensors * PAIRS * sum(map(len, PAIRED.values())),
        "explanation_trajectories": 2 * 3 * tensors * len(COEFFICIENTS) * len(TRAJECTORIES),  # of one pair
        "explanation_shared": 2 * 3 * tensors * len(COEFFICIENTS) * PAIRS,
    }
    for name, table in results.items():
        assert not table.duplicated([*COLUMNS[name][:-1]]).any()
        assert set(table["study"]) == {"small"} and set(table["seed"]) == {0, 1}
    levels = results["explanation_confidence"].groupby("condition")["level"].unique()
    assert {name: sorted(values) for name, values in levels.items()} == {
        "temperature": [1, 4], "epochs": [1, 3], "label_smoothing": [0, 0.1, 0.2],
    }  # fmt: skip


def test_all_networks_are_identical_before_the_first_penalty(pair: Path) -> None:
    results = tables(pair)["explanation_trajectories"]
    keys = ["tensor", "estimator_a", "estimator_b", "coefficient", "seed"]
    first = results[results["tasks_learnt"] == 1].set_index(["quantity", *keys])["value"]
    assert np.allclose(first["across"], 1)
    assert np.allclose(first["own"], first["same"])
    shared = tables(pair)["explanation_shared"].set_index(["tasks_learnt", *keys])["value"]
    assert np.allclose(shared.loc[1].reindex(first["same"].index), first["same"])
    later = results[results["tasks_learnt"] == 3].set_index(["quantity", *keys])["value"]
    assert (later["across"] < 1).any() and not np.allclose(shared.loc[1], shared.loc[2])


def test_only_quantities_without_samples_are_missing(pair: Path) -> None:
    results = tables(pair)
    own = results["explanation_reliability"].set_index("estimator")["value"]
    assert own["si"].isna().all() and not own.drop("si").isna().any()
    assert np.allclose(own["magnitude"], 1)
    noise = results["explanation_noise"]
    missing = noise["value"].isna()
    of_si = (noise[["estimator_a", "estimator_b"]] == "si").any(axis=1) & (noise["quantity"] != "observed")
    assert (missing == of_si).all()
    assert not results["explanation_confidence"]["value"].isna().any()


def test_correlations_of_the_unchanged_network_agree_between_tables(pair: Path) -> None:
    """Temperature 1 of one table equals the observed values of two others."""
    results = tables(pair)
    keys = ["tensor", "estimator_a", "estimator_b", "seed"]
    agreement, noise, factors = (results[f"explanation_{name}"] for name in ("agreement", "noise", "factors"))
    plain = agreement[(agreement["condition"] == "temperature") & (agreement["level"] == 1)]
    plain = plain[plain["coefficient"] == "pearson"].set_index(keys)["value"]
    observed = noise[(noise["coefficient"] == "pearson") & (noise["quantity"] == "observed")].set_index(keys)["value"]
    pd.testing.assert_series_equal(plain, observed.loc[plain.index], check_exact=True)
    terms = factors.set_index([*keys, "quantity"])["value"].unstack("quantity")
    positive = terms[~(terms.index.get_level_values("estimator_b") == "si")]
    positive = positive[~(positive.index.get_level_values("estimator_a") == "si")]
    np.testing.assert_allclose(positive["observed"], plain.loc[positive.index])
    parameters, _ = load_tensors(pair / "trained.safetensors")
    assert set(plain.index.get_level_values("tensor")) == {*parameters, "all"}


def test_without_label_smoothing_the_networks_equal_those_after_all_epochs(pair: Path) -> None:
    for table in ("explanation_confidence", "explanation_agreement"):
        rows = tables(pair)[table].drop(columns="study")
        parts = [
            rows[(rows["condition"] == name) & (rows["level"] == level)].drop(columns=["condition", "level"])
            for name, level in (("epochs", 3), ("label_smoothing", 0), ("label_smoothing", 0.1))
        ]
        epochs, unsmoothed, smoothed = (part.reset_index(drop=True) for part in parts)
        pd.testing.assert_frame_equal(epochs, unsmoothed, check_exact=True)
        assert len(epochs) == len(smoothed) and not np.allclose(epochs["value"], smoothed["value"])


def test_the_total_signal_shares_more_with_magnitude_than_its_input_factor(pair: Path) -> None:
    """The total signal is compared with all listed estimators; it shares the weights with magnitude."""
    keys = ["tensor", "estimator", "seed", "quantity"]
    contributions = tables(pair)["explanation_signal"].set_index(keys)["value"].unstack()
    terms = contributions[["by_signal", "by_input_weights", "by_output_weights", "by_single_weights"]].sum(axis=1)
    np.testing.assert_allclose(terms, contributions["observed"])
    magnitude = contributions.xs("magnitude", level="estimator")
    assert (magnitude["observed"] > 0).all() and (magnitude["output_factors"] > 0.999).all()


def test_a_replica_has_the_same_bits_alone_in_its_shard_and_after_kills(pair: Path, data: Path, tmp_path: Path) -> None:
    for job in JOBS:
        done = explain(tmp_path, data, [1], job, interrupted=job in DEATHS)
        assert done.returncode == 0, done.stderr
        assert job not in DEATHS or f"{DEATHS[job]} deaths" in done.stdout
    assert not [*tmp_path.rglob(".*checkpoint*"), *tmp_path.rglob(".*levels*")]
    together, alone = tables(pair), tables(tmp_path)
    for name, table in alone.items():
        expected = together[name][together[name]["seed"] == 1]
        pd.testing.assert_frame_equal(
            table.sort_values([*COLUMNS[name][:-1]], ignore_index=True),
            expected.sort_values([*COLUMNS[name][:-1]], ignore_index=True),
            check_exact=True,
        )


def test_the_summary_concatenates_the_tables(pair: Path, tmp_path: Path) -> None:
    for table in EXPLANATION:
        files = pair.glob(f"*/*.{table.removeprefix('explanation_')}.csv")
        done = run("summary", "--table", table, "--output", tmp_path / "out.csv", *files)
        assert done.returncode == 0, done.stderr


def test_an_unknown_estimator_is_one_message(pair: Path, data: Path) -> None:
    done = explain(pair, data, [0, 1], "temperature", estimators=["mas", "si", "ms"])
    programs.assert_refused(done, "error: unknown estimator 'ms'. Did you mean 'mas'?")
