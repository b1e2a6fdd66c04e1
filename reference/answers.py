"""Write the answers of README.md and the tables of pages in reference/, computed from the stored results.

python reference/answers.py
"""

import json
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml

from weight_importance.figures.style import label
from weight_importance.files.tables import is_weight_tensor
from weight_importance.findings import lambda_range
from weight_importance.findings.ablations import PRIMARY
from weight_importance.findings.correlation import STRONG
from weight_importance.findings.power import TARGET_POWER
from weight_importance.findings.pruning import pruning_means
from weight_importance.findings.publications import METHODS
from weight_importance.findings.published import retention
from weight_importance.findings.reproduction import LEVEL, retention_means
from weight_importance.findings.selection import holm
from weight_importance.findings.statistics import deviation, difference, no_difference, part
from weight_importance.findings.study import stored, studies
from weight_importance.paper.claims import CLAIMS

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- {}: python reference/answers.py -->\n", "<!-- end of the {} -->\n"
REFERENCE = ROOT / "reference"
GPU, HSU, LAMBDA_RANGE, PUBLISHED, ABLATIONS, ZENKE, VANDEVEN = (
    f"reference/{name}/README.md"
    for name in ("gpu", "hsu", "lambda-range", "published", "ablations", "zenke", "vandeven")
)
BENCHMARKS = "benchmarks/README.md"
NETWORKS = {"mlp": "fully connected", "cnn": "convolutional"}
PLACES = {"lambda_ours": "λ", "tasks_learnt": "tasks learnt", "fraction": "sparsity"}
"""Columns that name a comparison with Kutalev and Lapina (2021)."""
CORRELATIONS = {"fully connected": "correlations", "convolutional": "correlations-cnn"}
"""Kind of network → folder with the correlations of all estimators."""
WIDTH = 135
STATES = ("retention-new-adam", "retention")
"""Tables of networks that learnt the published tasks, by the state of Adam at the beginning."""


def main() -> None:
    for (page, name), text in parts().items():
        old = part_of(page, name)
        content = (ROOT / page).read_text(encoding="utf-8")
        start = BEGIN.format(name)
        (ROOT / page).write_text(content.replace(start + old, start + text), encoding="utf-8")


def parts() -> dict[tuple[str, str], str]:
    """Texts of the computed parts by page and name of the part."""
    published = {file.parent.name: pd.read_csv(file) for file in REFERENCE.glob("*/comparison.csv")}
    return {
        **{(f"reference/{name}/README.md", "comparisons"): comparisons(table) for name, table in published.items()},
        **{(PUBLISHED, kind): text for kind, text in reproduced().items()},
        (PUBLISHED, "adam"): adam_states(),
        (PUBLISHED, "consecutive"): consecutive_runs(),
        (PUBLISHED, "others"): unpublished(),
        (PUBLISHED, "state"): pruned_by_state(),
        (PUBLISHED, "correlations"): correlations_by_state(),
        ("README.md", "answers"): answers(),
        (ABLATIONS, "powers"): powers(),
        (GPU, "accuracies"): accuracies(),
        (GPU, "published"): against_convolutional(),
        (GPU, "states"): convolutional_states(),
        (ZENKE, "epochs"): epochs(),
        (LAMBDA_RANGE, "curves"): curves(),
        (LAMBDA_RANGE, "shifts"): shifts(),
        (BENCHMARKS, "errors"): errors(),
        (BENCHMARKS, "training"): speed("training", "replicas, replica-steps/s, ratio to the plain loop"),
        (BENCHMARKS, "importances"): speed("importance", "samples, samples/s, ratio to the loop"),
    }


def part_of(page: str, name: str) -> str:
    """The present text of a computed part of a page."""
    return (ROOT / page).read_text(encoding="utf-8").partition(BEGIN.format(name))[2].partition(END.format(name))[0]


def answers() -> str:
    """The answers as a numbered list in Markdown.

    Raises:
        ValueError: the stored results no longer support a sentence; rewrite it.
    """
    items = (f"{number}. {text}" for number, text in enumerate((_agreement(), _cause(), _benefit(), _published()), 1))
    return "".join(textwrap.fill(item, WIDTH, subsequent_indent="   ") + "\n" for item in items)


def _agreement() -> str:
    estimators = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))["estimators"]
    mlp, cnn = (_lowest_correlations(folder, estimators) for folder in CORRELATIONS.values())
    both = [f"{label(a)} with {label(b)}" for a, b in mlp.index[(mlp >= STRONG) & (cnn >= STRONG)]]
    _require(0 < len(both) < len(mlp) / 2, "few pairs are strong")
    return (
        f"**Few importances are similar in every layer.** Of {len(mlp)} pairs of estimators, {(mlp >= STRONG).sum()} "
        f"have a Pearson correlation of at least {STRONG} in every weight tensor of the fully connected network, and "
        f"{(cnn >= STRONG).sum()} in every one of the convolutional network (data: "
        f"{', '.join(f'[{kind}](reference/{folder}/README.md)' for kind, folder in CORRELATIONS.items())}). In both "
        f"networks: {'; '.join(both)}."
    )


def _lowest_correlations(folder: str, estimators: Sequence[str]) -> pd.Series:
    """Pair of estimators → the lowest Pearson correlation within a weight tensor, mean over networks."""
    table = pd.read_csv(REFERENCE / folder / "correlation.csv.gz").query("coefficient == 'pearson'")
    compared = table["estimator_a"].isin(estimators) & table["estimator_b"].isin(estimators)
    table = table[compared & table["tensor"].map(is_weight_tensor)]
    pair = ["estimator_a", "estimator_b"]
    return table.groupby([*pair, "tensor"])["value"].mean().groupby(pair).min()


def _cause() -> str:
    claim = CLAIMS["rank_one_equivalent"]
    findings = stored(REFERENCE / "ablations")[claim.study]
    _require(claim.is_supported(findings), "the rank-one part is as good as the importance")
    whole, part = (findings.recovery.loc[(PRIMARY[0], name)] for name in PRIMARY)
    none = 100 * (whole["mean_accuracy"] - whole["mean_gain"])
    full, reduced = (100 * row["mean_accuracy"] for row in (whole, part))
    low, high = (100 * part[f"{end}_difference"] for end in ("low", "high"))
    return (
        "**A rank-one importance is enough for the penalty on permuted MNIST.** EWC with the Fisher information "
        f"(empirical) raises the average accuracy from {none:.1f} % to {full:.1f} %, and with its rank-one part, one "
        f"factor per input times one factor per output, to {reduced:.1f} % ({part['n']:.0f} networks; 95 % interval of "
        f"the difference: {low:+.2f} to {high:+.2f} points; [data]({ABLATIONS}))."
    )


def _benefit() -> str:
    rows = _split_mnist().query("scenario == 'task'").set_index("method")
    _require(rows.loc["l2", "low_ours"] > rows.loc["none", "high_ours"], "plain L2 is better than no penalty")
    _require(rows.loc["l2", "mean_ours"] > rows.loc["ewc", "mean_ours"], "plain L2 is better than EWC")
    none, l2, ewc, si, mas, joint = (
        f"{100 * rows.loc[name, 'mean_ours']:.1f} %" for name in ("none", "l2", "ewc", "si", "mas", "joint")
    )
    return (
        "**Plain L2, without importances, already reduces forgetting.** On task-incremental Split MNIST, with the "
        f"published λ of each method, it raises the average accuracy from {none} to {l2}. EWC reaches {ewc}, SI {si}, "
        f"MAS {mas}, and joint training "
        f"{joint} ([data]({HSU}))."
    )


def _published() -> str:
    outcomes = _split_mnist()["outcome"].value_counts()
    reproduced, undecided = int(outcomes["reproduced"]), int(outcomes["undecided"])
    _require("differs" not in outcomes, "no accuracy differs on Split MNIST")
    ewc, mas = (_fully_connected(name, strength) for name, strength in (("fisher_empirical", 41), ("mas", 4.5)))
    new, runs = (
        " and ".join(_points(after - listed, "+") for _, listed, after in last)
        for last in (
            [_states(name, strength, [file])[-1] for name, strength in (("fisher_empirical", 41), ("mas", 4.5))]
            for file in ("retention-new-adam", "consecutive-runs")
        )
    )
    _require(max(ewc["high_difference"], mas["high_difference"]) < 0, "both are lower in the fully connected network")
    conv = _convolutional().query("estimator == 'fisher_empirical'").set_index("tasks_learnt")
    reused = ", ".join(_difference(row, "reused", "published") for row in conv.to_dict("records"))
    new_state = ", ".join(_points(value, "+") for value in conv["mean_new"] - conv["mean_published"])
    later = pd.read_csv(REFERENCE / "vandeven/comparison.csv").query("scenario == 'task' and method == 'ewc'").squeeze()
    _require(later["low_difference"] > 0, "EWC is better than van de Ven and Tolias found in the first scenario")
    return (
        f"**Published accuracies are only partly reproduced.** Of {reproduced + undecided} accuracies of Hsu et al. "
        f"(2018) on Split MNIST, {reproduced} are reproduced within one percentage point, and {undecided} are "
        f"undecided with ten networks ([data]({HSU})). In the fully connected network of Kutalev and Lapina (2021), "
        f"with {ewc['n_ours']} networks, the difference from the published accuracy is {_change(ewc)} points for EWC "
        f"and {_change(mas)} for MAS if each network starts with Adam's state after another network's first task. With "
        f"a new state, it is {new} points; with the state after all tasks of another network, as in their code, {runs} "
        f"points (five networks; [data]({PUBLISHED})). "
        f"In their convolutional network ({conv['n_new'].iloc[0]} networks), the difference for EWC after "
        f"{conv.index[0]} to {conv.index[-1]} tasks is {reused} points with the state after another network's first "
        f"task, and {new_state} points with a new state ([data]({GPU})). On task-incremental Split "
        f"MNIST, where EWC of van de Ven and Tolias (2018) has {100 * later['mean_published']:.1f} %, it reaches "
        f"{100 * later['mean_ours']:.1f} % here, with a larger λ and {later['n_ours']} networks ([data]({VANDEVEN}))."
    )


def _fully_connected(estimator: str, strength: float) -> dict[str, float]:
    """The comparison of average accuracies after the last task under the published protocol."""
    table = pd.read_csv(REFERENCE / "published/reproduction.csv").query("kind == 'lambda'")
    return table.query("estimator == @estimator and `lambda` == @strength").squeeze().to_dict()


def comparisons(table: pd.DataFrame) -> str:
    """The accuracies on split or permuted MNIST and the published ones, as a table in Markdown."""
    rows = []
    for row in table.to_dict("records"):
        strength = f"{row['lambda']:g}" if row["lambda"] else "-"
        rows.append([row["scenario"], METHODS[row["method"]], strength, row["n_ours"], *_next_to(row, "outcome")])
    return _table("scenario, method, λ, networks, published, this run, difference, outcome", rows)


def reproduced() -> dict[str, str]:
    """The comparisons with Kutalev and Lapina (2021) by kind, as tables in Markdown."""
    texts = {}
    for kind, table in pd.read_csv(REFERENCE / "published/reproduction.csv").groupby("kind"):
        places = [name for name in PLACES if table[name].notna().any()]
        rows = [
            [label(row["estimator"]), *(f"{row[name]:g}" for name in places), *_next_to(row, "verdict")]
            for row in table.to_dict("records")
        ]
        columns = ["estimator", *(PLACES[name] for name in places), "published, this run, difference, verdict"]
        texts[str(kind)] = _table(", ".join(columns), rows)
    return texts


def adam_states() -> str:
    """Accuracies by the state of Adam at the beginning, next to the published ones, as a table in Markdown."""
    return _table("estimator, λ, tasks learnt, published, new state, state of another network", _rows_of_states(STATES))


def consecutive_runs() -> str:
    """The same for networks that also started with the state after a whole run of another network."""
    files = (*STATES, "consecutive-runs")
    networks = pd.read_csv(REFERENCE / "published/consecutive-runs.csv")["seed"].unique()
    columns = "estimator, λ, tasks learnt, published, new state, state after another first task, after another run"
    return _table(columns, _rows_of_states(files, networks))


def _rows_of_states(files: Sequence[str], networks: Sequence[int] | None = None) -> list[list]:
    return [
        [label(name), f"{strength:g}", tasks, *map(_points, means)]
        for name, strength in (("fisher_empirical", 41), ("mas", 4.5))
        for tasks, *means in _states(name, strength, files, networks)
        if tasks in (1, 2, 4, 6, 8, 10)
    ]


def unpublished() -> str:
    """Average accuracies without a published counterpart, as a table in Markdown."""
    means = retention_means(pd.read_csv(next((REFERENCE / "published").glob("retention.csv*"))))
    means = means[means["estimator"].isin(["none", "si", "total_signal"])]
    means = means.set_index(["estimator", "lambda", "tasks_learnt"])
    rows = []
    for (name, strength), table in means.groupby(["estimator", "lambda"]):
        after = table.droplevel([0, 1])
        half = 100 * (after.loc[10, "high"] - after.loc[10, "mean"])
        accuracies = [_points(after.loc[tasks, "mean"]) for tasks in (1, 2, 4, 6, 8, 10)]
        rows.append(
            [
                _condition(name),
                f"{strength:g}",
                f"{after.loc[10, 'n']:.0f}",
                *accuracies[:-1],
                f"{accuracies[-1]} ± {half:.2f}",
            ]
        )
    columns = "estimator, λ, networks, after 1 task, 2 tasks, 4 tasks, 6 tasks, 8 tasks, 10 tasks"
    return _table(columns, rows)


def pruned_by_state() -> str:
    """Accuracies at 70 % sparsity, layer-wise pruning, by the state of Adam, as a table in Markdown."""
    folder = REFERENCE / "published"
    reused = pruning_means(pd.read_csv(folder / "pruning-reused-adam.csv")).query("scope == 'tensor'")
    reused = reused[["criterion", "fraction", "mean"]].rename(columns={"criterion": "estimator"})
    new = pd.read_csv(folder / "reproduction.csv").query("kind == 'pruning' and fraction == 0.7")
    rows = [
        [label(row["estimator"]), *(_points(row[name]) for name in ("mean_published", "mean_ours", "mean"))]
        for row in new.merge(reused, on=["estimator", "fraction"]).to_dict("records")
    ]
    return _table("estimator, published, new state, state of another network", rows)


def correlations_by_state() -> str:
    """Mean Pearson correlations by layer and by the state of Adam, as a table in Markdown."""
    key = ["estimator_a", "estimator_b", "tensor"]
    files = (REFERENCE / "gpu/correlation-by-tensor.csv.gz", REFERENCE / "correlations/correlation.csv.gz")
    tables = [pd.read_csv(file).query("study.str.startswith('mlp') and coefficient == 'pearson'") for file in files]
    means = pd.concat([table.groupby(key)["value"].mean() for table in tables], axis=1, join="inner", keys=STATES)
    compared = ("fisher_empirical", "fisher_exact", "mas", "si", "total_signal", "magnitude")
    rows = []
    for (a, b), layers in means.groupby(key[:2]):
        if {a, b} <= {*compared}:
            cells = layers.droplevel(key[:2]).loc[["fc1.weight", "fc2.weight", "fc3.weight"]].itertuples(index=False)
            rows.append([f"{label(a)}, {label(b)}", *(f"{new:.2f} → {reused:.2f}" for new, reused in cells)])
    return _table("estimators, first layer, second layer, third layer", rows)


def _states(
    estimator: str, strength: float, files: Sequence[str], networks: Sequence[int] | None = None
) -> list[tuple[int, ...]]:
    """Numbers of tasks, and average accuracies: the published one, and those of the networks in each file."""
    tables = [pd.read_csv(next((REFERENCE / "published").glob(f"{name}.csv*"))) for name in files]
    if networks is not None:
        tables = [table[table["seed"].isin(networks)] for table in tables]
    published = retention(ROOT / "workflow/resources/published").query("study == 'mlp_permuted_mnist'")
    means = [
        table[(table["estimator"] == estimator) & (table["lambda"] == strength)].set_index("tasks_learnt")["mean"]
        for table in (published, *map(retention_means, tables))
    ]
    return [*pd.concat(means, axis=1, join="inner").sort_index().itertuples(name=None)]


def _next_to(row: dict, result: str) -> list[str]:
    """Cells of a table: both accuracies, their difference, and the result or, without an interval, the verdict."""
    accuracies = [_points(row[name]) for name in ("mean_published", "mean_ours")]
    return [*accuracies, _change(row), row["verdict" if math.isnan(row["low_difference"]) else result]]


def _change(row: dict[str, float]) -> str:
    """Difference of this run from a published accuracy, with its interval if there is one."""
    change, low, high = (_points(row[f"{part}_difference"], "+") for part in ("mean", "low", "high"))
    return change if low == "-" else f"{change} ({low} to {high})"


def _points(value: float, sign: str = "") -> str:
    return "-" if math.isnan(value) else f"{100 * value:{sign}z.2f}"


def epochs() -> str:
    """SI on permuted MNIST after 2 and 20 epochs per task as a table in Markdown."""
    rows = []
    for folder in (REFERENCE / "zenke/two-epochs", REFERENCE / "zenke"):
        (study,) = json.loads((folder / "settings.json").read_text(encoding="utf-8")).values()
        total = pd.read_csv(folder / "totals.csv")["total"].item()
        means = retention_means(pd.read_csv(next(folder.glob("retention.csv*"))))
        for strength, accuracy in means.set_index("tasks_learnt").groupby("lambda")["mean"]:
            importances = f"{total:.0f}" if strength else "-"
            rows.append([study["training"]["epochs"], f"{strength:g}", importances, *map(_points, accuracy[[1, 2, 3]])])
    return _table("epochs per task, c, sum of importances, after 1 task, after 2 tasks, after 3 tasks", rows)


def powers() -> str:
    """The power of every claim of the paper, from the reference of make compare, as a table in Markdown."""
    findings = {name: one for folder in ("default", "ablations") for name, one in stored(REFERENCE / folder).items()}
    rows = [
        [f"`{key}`", f"`{claim.study}`", *claim.powers(claim.quantities(findings[claim.study])).values()]
        for key, claim in CLAIMS.items()
    ]
    return _table(f"claim, study, networks, power, networks for a power of {TARGET_POWER}", rows)


def accuracies() -> str:
    """Average accuracies of the convolutional network by λ as a table in Markdown."""
    rows = []
    for device, file in (("GPU", "retention"), ("CPU", "retention-cpu")):
        means = retention_means(pd.read_csv(REFERENCE / f"gpu/{file}.csv"))
        for (name, strength), table in means.groupby(["estimator", "lambda"]):
            after = {
                row["tasks_learnt"]: f"{_points(row['mean'])} ± {100 * (row['high'] - row['mean']):.2f}"
                for row in table.to_dict("records")
            }
            cells = [after.get(tasks, "-") for tasks in (2, 3, 4)]
            rows.append([_condition(name), f"{strength:g}", table["n"].max(), device, *cells])
    return _table("estimator, λ, networks, device, 2 tasks learnt, 3 tasks learnt, 4 tasks learnt", rows)


def against_convolutional() -> str:
    """Published and observed accuracies of the convolutional network by initial Adam state, as a table in Markdown.

    Raises:
        ValueError: the stored results no longer support the sentences after the table; rewrite them.
    """
    rows, lower = [], []
    for row in _convolutional().to_dict("records"):
        cells = [_points(row["mean_published"])]
        for state in ("new", "reused"):
            cells += [_points(row[f"mean_{state}"]), _difference(row, state, "published")]
            if difference(part(row, state), part(row, "published"))[2] < 0:
                lower.append((row["estimator"], row["tasks_learnt"]))
        rows.append([_condition(row["estimator"]), f"{row['lambda']:g}", row["tasks_learnt"], *cells])
    expected = [("fisher_empirical", 2), ("fisher_empirical", 3), ("fisher_empirical", 3)]
    _require(lower == expected, "EWC is lower than published after two tasks (new state) and three tasks (both states)")
    columns = "estimator, λ, tasks learnt, published, new state, difference, state of another network, difference"
    return _table(columns, rows)


def convolutional_states() -> str:
    """The effect of Adam's initial state on the convolutional network as a table in Markdown.

    Raises:
        ValueError: the stored results no longer support the sentences after the table; rewrite them.
    """
    both = _convolutional_by_state()
    both = both[(both["n_new"] > 2) & (both["tasks_learnt"] > 1)]
    records = both.to_dict("records")
    tests = {place: no_difference(*_moments(row, "reused"), *_moments(row, "new")) for place, row in enumerate(records)}
    adjusted = holm(tests)
    significant = [row["estimator"] for place, row in enumerate(records) if adjusted[place] < LEVEL]
    _require(significant == ["si"] * 3, "only SI has significant differences, after every number of tasks")
    rows = [
        [
            _condition(row["estimator"]), f"{row['lambda']:g}", row["tasks_learnt"], _points(row["mean_new"]),
            _points(row["mean_reused"]), _difference(row, "reused", "new"), f"{adjusted[place]:.3f}",
        ]
        for place, row in enumerate(records)
    ]  # fmt: skip
    return _table("estimator, λ, tasks learnt, new state, state of another network, difference, p (Holm)", rows)


def _moments(row: dict, state: str) -> tuple[float, float, float]:
    """Mean, standard deviation and number of networks."""
    values = part(row, state)
    return values["mean"], deviation(values), values["n"]


def _difference(row: dict, first: str, second: str) -> str:
    """The difference of two means of a row in percentage points, with Welch's interval."""
    change, low, high = (_points(value, "+") for value in difference(part(row, first), part(row, second)))
    return f"{change} ({low} to {high})"


def _condition(name: str) -> str:
    return "no penalty" if name == "none" else label(name)


def curves() -> str:
    """Average accuracies against λ as a table in Markdown."""
    folder = REFERENCE / "lambda-range"
    settings = studies(json.loads((folder / "settings.json").read_text(encoding="utf-8")))
    table = lambda_range.curves(settings, pd.read_csv(next(folder.glob("retention.csv*"))).query("split == 'test'"))
    means = (100 * table.groupby(["lambda", "curve"])["accuracy"].mean()).unstack()
    shared = means.drop(columns="none").dropna()
    rows = [["0 (no penalty)", *[f"{means.loc[0, 'none']:.2f}"] * shared.shape[1]]]
    rows += [[f"{strength:g}", *(f"{mean:.2f}" for mean in row)] for strength, row in shared.iterrows()]
    return _table(", ".join(["λ", *(f"`{name}`" for name in shared)]), rows)


def shifts() -> str:
    """The shift test against the exact Fisher information as a table in Markdown."""
    table = pd.read_csv(REFERENCE / "lambda-range/shifts.csv").query("curve != 'fisher_exact'")
    rows = [
        [f"`{row['curve']}`", f"{row['ratio']:.2g}", f"{row['fitted_ratio']:.2g}"]
        + [f"{100 * row[name]:.1f}" for name in ("distance", "distance_shifted", "distance_fitted")]
        for row in table.to_dict("records")
    ]
    return _table("importance, ratio of sums, closest factor, distance, after rescaling, at the closest factor", rows)


def errors() -> str:
    """Largest errors of importances and training steps on a GPU as a table in Markdown."""
    table = pd.read_csv(ROOT / "benchmarks/results/gpu/correctness.csv").dropna(subset="threshold")
    rows = []
    for (network, precision, compared), group in table.groupby(["network", "precision", "compared"], sort=False):
        worst = group.loc[group["norm_error"].idxmax()]
        error = f"{worst['norm_error']:.1e} ({worst['name']})"
        rows.append([NETWORKS[network], precision, compared, len(group), (group["passed"] == "yes").sum(), error])
    return _table("network, precision, compared, comparisons, passed, largest error", rows)


def speed(part: str, columns: str) -> str:
    """Rates on a GPU as a table in Markdown."""
    table = pd.read_csv(ROOT / "benchmarks/results/gpu/speed.csv").query("part == @part")
    rows = [
        [
            NETWORKS[row["network"]], row["what"], row["who"], f"{row['size']:,}", f"{row['median']:,.0f}",
            "-" if math.isnan(row["ratio"]) else f"{row['ratio']:,.1f}",
        ]
        for row in table.to_dict("records")
    ]  # fmt: skip
    return _table(f"network, operation, method, {columns}", rows)


def _table(columns: str, rows: list[list]) -> str:
    names = columns.split(", ")
    lines = [names, ["---"] * len(names), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def _convolutional_by_state() -> pd.DataFrame:
    """Average accuracies of the convolutional network for each state of Adam at the beginning."""
    new = retention_means(pd.read_csv(REFERENCE / "gpu/retention-new-adam.csv"))
    reused = retention_means(pd.read_csv(REFERENCE / "gpu/retention.csv"))
    return new.merge(reused, on=["estimator", "lambda", "tasks_learnt"], suffixes=("_new", "_reused"))


def _convolutional() -> pd.DataFrame:
    """Average accuracies for both states of Adam, and the published ones."""
    literature = retention(ROOT / "workflow/resources/published").query("study.str.startswith('cnn')")
    literature = literature.assign(estimator=literature["estimator"].mask(literature["lambda"] == 0, "none"))
    key = ["estimator", "lambda", "tasks_learnt"]
    literature = literature.drop_duplicates(key).set_index(key)[["mean", "low", "high", "n"]].add_suffix("_published")
    return _convolutional_by_state().query("tasks_learnt > 1").join(literature, on=key, how="inner")


def _split_mnist() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "hsu/comparison.csv")


def _require(condition: bool, statement: str) -> None:
    if not condition:
        raise ValueError(f"the stored results do not support: {statement}")


if __name__ == "__main__":
    main()
