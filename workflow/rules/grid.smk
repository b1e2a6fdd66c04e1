# What the configuration asks for: its studies, which of them share results, and the files that follow from both.
import re
from types import SimpleNamespace

# Estimators in files of the user's own, by name; programs find them where the environment says
OWN_ESTIMATORS = merging.own_estimators(config)
os.environ["IMPORTANCE_ATLAS_ESTIMATORS"] = os.pathsep.join(map(os.path.abspath, OWN_ESTIMATORS.values()))



def study_settings(study):
    """The settings of a study as the stages' programs read them."""
    published = study.protocol == KUTALEV_LAPINA
    nothing = {"seeds": None, "images": None, "unpenalised": False, "lambdas": dict.fromkeys(study.estimators, ())}
    of_study = study.model_dump(exclude={"analyses", "networks_of", "companion_of"})
    of_study["protocol"] = "published" if published else "held_out"
    of_study["pruning"] = of_study["pruning"] or {"fractions": []}
    of_study["retention"] = of_study["retention"] or (nothing | {"penalty": "plain", "batch_norm": "running"})
    if "explanation" not in study.analyses:
        of_study["explanation"] = None
    like = study.companion_of or config["studies"][study_name(study)].get("like")
    return of_study | ({"like": like} if like else {})


def study_name(study):
    """The name of a study."""
    return next(name for name, other in CONFIGURATION.studies.items() if other is study)


config.update(CONFIGURATION.model_dump(), studies={name: study_settings(study) for name, study in CONFIGURATION.studies.items()})


envvars:
    "IMPORTANCE_ATLAS_ESTIMATORS",
    gpu.VARIABLE,


wildcard_constraints:
    study="|".join(config["studies"]),
    shard=r"seeds-\d+-\d+",


STUDIES = config["studies"]
MAIN = [name for name, study in STUDIES.items() if "like" not in study]

ESTIMATORS = list(dict.fromkeys(name for study in STUDIES.values() for name in study["estimators"]))

# Ablations of importances by the names of their folders, which hold no brackets
ABLATIONS = {
    ablation_names.folder(name): name for study in STUDIES.values() for name in study["retention"].get("ablations", [])
}

DATASETS = sorted({f"results/data/{name}.safetensors" for study in STUDIES.values() for name in study["datasets"]})

# the tables of the stage explanation, which a study can do without
EXPLANATION = ["confidence", "agreement", "factors", "signal", "reliability", "noise", "trajectories", "shared"]
SHARD_TABLES = ["baseline", "correlation", "correlation_null", "retention", "pruning"]
SHARD_TABLES += [f"explanation_{name}" for name in EXPLANATION]
SUMMARY_TABLES = [*SHARD_TABLES, "selected_lambda"]

# What each notebook reads (besides its program files) and writes, figures with their titles in the report; for which
# studies, says studies_of
NOTEBOOKS = {
    "correlation": {
        "title": "Correlation: how alike importances are",
        "summaries": ["correlation", "correlation_null"],
        "figures": {
            "correlation_matrix": "Correlation between estimators (Pearson)",
            "correlation_matrix_spearman": "Correlation between estimators (Spearman, ranks)",
            "correlation_matrix_pearson_log": "Correlation between estimators (Pearson, logarithms)",
            "correlation_matrix_overlap_top10": "Correlation between estimators (overlap of the top 10 %)",
            "correlation_null": "Correlation between estimators under permutation",
        },
        "tables": ["correlation", "correlation_coefficients"],
    },
    "retention": {
        "title": "Retention: what is remembered of earlier tasks",
        "summaries": ["retention", "selected_lambda"],
        "figures": {
            "retention_lambda": "Retention against the strength λ",
            "retention_tasks": "Retention against the tasks learnt",
        },
        "tables": ["retention"],
    },
    "ablations": {
        "title": "Ablations: which part of an importance matters",
        "summaries": ["retention", "selected_lambda"],
        "figures": {
            "ablations_recovery": "Ablations: what they recover of an importance",
            "ablations_frontier": "Ablations: old tasks against the newest",
        },
        "tables": ["ablations"],
    },
    "atlas": {
        "title": "Atlas: all estimators at a glance",
        "summaries": ["correlation", "retention", "selected_lambda", "pruning"],
        "figures": {"atlas": "Atlas of all estimators"},
        "tables": ["atlas", "relations"],
    },
    "pruning": {
        "title": "Pruning: accuracy as weights are removed",
        "summaries": ["pruning"],
        "figures": {"pruning": "Pruning by importance"},
        "tables": ["pruning"],
    },
    "estimators": {
        "title": "Estimators: one against another, weight by weight",
        "summaries": ["correlation"],
        "runs": "results/runs",
        "figures": {
            "estimator_scatter": "Estimators: one against another, weight by weight",
            "estimator_factors": "Estimators: how far an input factor times an output factor explains them",
        },
        "tables": ["estimators", "estimator_catalogue", "estimator_factors", "estimator_slopes"],
    },
    "explanation": {
        "title": "Explanation: why importances agree",
        "summaries": [f"explanation_{name}" for name in EXPLANATION],
        "figures": {
            "explanation_confidence": "Explanation: agreement against confidence",
            "explanation_factors": "Explanation: factors of the correlation",
            "explanation_signal": "Explanation: where the total signal's correlations come from",
            "explanation_noise": "Explanation: correlation without sampling noise",
            "explanation_trajectories": "Explanation: agreement over several tasks",
        },
        "tables": [
            "explanation_confidence",
            "explanation_predictions",
            "explanation_outcomes",
            "explanation_factors",
            "explanation_signal",
            "explanation_reliability",
        ],
    },
    "variants": {
        "title": "Variants: other penalties and settings",
        "family": "the studies that are like the study, too",
        "summaries": ["retention"],
        "figures": {"variants": "Variants of the study"},
        "tables": ["variants"],
    },
    "reproduction": {
        "title": "Reproduction: beside the published numbers",
        "family": "the studies that are like the study, too",
        "summaries": ["retention", "pruning"],
        "published": "workflow/resources/published",
        "figures": {
            "reproduction_lambda": "Reproduction: accuracy against the strength λ",
            "reproduction_tasks": "Reproduction: accuracy against the tasks learnt",
            "reproduction_pruning": "Reproduction: accuracy as weights are removed",
        },
        "tables": ["reproduction"],
    },
}
PUBLISHED = sorted(map(str, Path("workflow/resources/published").glob("*.csv")))


def figures(notebook):
    """What a notebook draws, by study."""
    return [f"results/figures/{name}-{{study}}.pdf" for name in NOTEBOOKS[notebook]["figures"]]


def tables(notebook):
    """What a notebook tabulates for the paper, by study."""
    return [f"results/tables/{name}-{{study}}.tex" for name in NOTEBOOKS[notebook]["tables"]]


def reported_figures(notebook):
    """The same figures as the report shows them: by study, with their titles and the captions of their names."""

    def reported(name, title):
        caption, labels = f"../report/{name}.rst", {"figure": title}
        shown = {"category": "Figures", "subcategory": "{study}", "labels": labels, "caption": caption}
        return report(f"results/figures/{name}-{{study}}.pdf", **shown)

    return [reported(name, title) for name, title in NOTEBOOKS[notebook]["figures"].items()]


def reported_page(notebook):
    """An executed notebook as a page, as the report shows it."""
    return report(
        f"results/notebooks/{notebook}-{{study}}.html",
        category="Notebooks",
        subcategory="{study}",
        labels={"notebook": NOTEBOOKS[notebook]["title"]},
        caption="../report/notebook.rst",
    )


def studies_of(notebook):
    """The studies that a notebook is executed for: those that are not like another, or ask what it is about."""
    if notebook == "ablations":
        return [study for study in STUDIES if has_ablations(study)]
    if notebook == "atlas":
        return [study for study in STUDIES if has_further_estimators(study) or is_main_with_pairs(study)]
    needed = {"pruning": lambda study: STUDIES[study]["pruning"]["fractions"], "explanation": explained}
    return [study for study in MAIN if notebook not in needed or needed[notebook](study)]


def explained(study):
    """Whether the agreement of a study's importances is to be explained: where it says so and is like no other."""
    return study in MAIN and bool(STUDIES[study].get("explanation"))


def has_ablations(study):
    """Whether a study compares estimators with ablations of them."""
    return bool(STUDIES[study]["retention"].get("ablations"))


def is_main_with_pairs(study):
    """Whether a study is like no other and compares estimators."""
    return study in MAIN and len(STUDIES[study]["estimators"]) > 1


def has_further_estimators(study):
    """Whether a study compares estimators, one at least of which the study it is like does not have."""
    if study in MAIN or len(STUDIES[study]["estimators"]) < 2:
        return False
    return not set(STUDIES[study]["estimators"]) <= set(STUDIES[STUDIES[study]["like"]]["estimators"])


PAGES = [f"results/notebooks/{name}-{study}.html" for name in NOTEBOOKS for study in studies_of(name)]
FIGURES = [file for name in NOTEBOOKS for file in expand(figures(name), study=studies_of(name))]
TABLES = [file for name in NOTEBOOKS for file in expand(tables(name), study=studies_of(name))]


def settings(study, shard, *keys, **more):
    """The parts of a study's configuration that a stage depends on, with the seeds of the shard."""
    return compact({"study": study, "seeds": seeds(shard)} | {key: STUDIES[study][key] for key in keys} | more)


TASKS = ["network", "datasets", "protocol", "tasks", "images"]
LEARNING = ["epochs", "clamp_negative", "accumulation", "decay", "penalty", "batch_norm"]


def retention_settings(wildcards):
    """Settings of retention under one estimator or ablation; without a penalty there is one strength, zero."""
    training, retention = (STUDIES[wildcards.study][key] for key in ("training", "retention"))
    name = retained_name(wildcards)
    strengths = [0.0] if name == "none" else retention["lambdas"].get(name, retention.get("ablation_lambdas"))
    return settings(
        wildcards.study,
        wildcards.shard,
        *TASKS,
        "importance",
        training={key: training[key] for key in ("batch_size", "learning_rate")},
        retention={key: retention[key] for key in ("images", *LEARNING)},
        lambdas=strengths,
    )


def retained_name(wildcards):
    """The estimator, or the ablation, whose folder of retention this is."""
    return ABLATIONS.get(wildcards.estimator, wildcards.estimator)


def importances_of(wildcards):
    """The estimators whose importances weigh the penalty: one, or those of an ablation; none for no penalty."""
    name = retained_name(wildcards)
    if ablation_names.is_ablation(name):
        return ablation_names.parse(name).estimators
    return [] if name == "none" else [name]


def retention_code(wildcards):
    """What retention runs: its program, its estimators, and for an ablation what makes it."""
    modules = code(f"{SCRIPTS}/retention.py", *importances_of(wildcards))
    if wildcards.estimator in ABLATIONS:  # imported by its name
        modules += code(f"{SOURCES}/weight_importance/learning/ablations.py")
    return list(dict.fromkeys(modules))


def explanation_settings(wildcards):
    """Settings of the explanation; of retention, how the later tasks are learnt."""
    retention = STUDIES[wildcards.study]["retention"]
    how = {key: retention[key] for key in LEARNING}
    return settings(wildcards.study, wildcards.shard, *TASKS, "training", "explanation", retention=how)


def shards(study):
    """The names of all shards of a study: groups of seeds, first and last."""
    start, total, size = (STUDIES[study][key] for key in ("first_seed", "seeds", "shard_size"))
    end = start + total
    return [f"seeds-{first}-{min(first + size, end) - 1}" for first in range(start, end, size)]


def retention_shards(study):
    """The shards whose networks learn the remaining tasks."""
    most = STUDIES[study]["retention"]["seeds"]
    start = STUDIES[study]["first_seed"]
    return [shard for shard in shards(study) if most is None or max(seeds(shard)) < start + most]


def seeds(shard):
    """The seeds of a shard."""
    _, first, last = shard.split("-")
    return list(range(int(first), int(last) + 1))


def owner(study, shard, *keys):
    """Whose results serve a study: those of the study it is like, where these settings and the shard are the same."""
    model = STUDIES[study].get("like")
    same = model and all(STUDIES[study][key] == STUDIES[model][key] for key in keys) and shard in shards(model)
    return model if same else study


def network_owner(study, shard):
    """Whose trained networks are a study's own."""
    return owner(study, shard, *TASKS, "training")


def records(study, shard):
    """What training records of the optimiser's path for the path estimators of all studies that have these networks."""
    users = [other for other in STUDIES if shard in shards(other) and network_owner(other, shard) == study]
    names = {name for other in users for name in STUDIES[other]["estimators"]}
    names |= {name for other in users if explained(other) for name in STUDIES[other]["explanation"]["estimators"]}
    return sorted({record for name in names for record in known.records(name, OWN_ESTIMATORS)})


def importance_owner(study, shard, name):
    """Whose importances by one estimator are a study's own."""
    model = owner(study, shard, *TASKS, "training", "importance")
    return model if name in STUDIES[model]["estimators"] else study


def is_own(study):
    """Whether a study trains networks of its own, so that it has correlations and pruning of its own."""
    return all(network_owner(study, shard) == study for shard in shards(study))


def family(study):
    """A study and all that are like it, but for those with a question of their own: ablations, further estimators."""
    like = [other for other in STUDIES if STUDIES[other].get("like") == study]
    return [study, *(other for other in like if not has_ablations(other) and not has_further_estimators(other))]


def datasets(wildcards):
    """The data sets of a study."""
    return [f"results/data/{name}.safetensors" for name in STUDIES[wildcards.study]["datasets"]]


def networks(wildcards, *kinds):
    """Files of a shard's trained networks: ``parameters``, ``state``, ``path``, those of ``kinds``."""
    study = network_owner(wildcards.study, wildcards.shard)
    endings = {"parameters": "", "state": ".state", "path": ".path"}
    return {kind: f"results/runs/{study}/baseline/{wildcards.shard}{endings[kind]}.safetensors" for kind in kinds}


def importances(wildcards, name, part="importance"):
    """The importances of a shard by the estimator so named; none where there is no estimator."""
    if name in WITHOUT_IMPORTANCE:
        return []
    study = importance_owner(wildcards.study, wildcards.shard, name)
    return f"results/runs/{study}/{part}/{name}/{wildcards.shard}.safetensors"


def pruning_importances(wildcards):
    """What weights are pruned by: importances on training images, in the published protocol on test images."""
    part = "importance_test" if STUDIES[wildcards.study]["protocol"] == "published" else "importance"
    return importances(wildcards, wildcards.criterion, part)


def retained(study):
    """The estimators under which a study learns the later tasks, the ablations, and ``none``."""
    retention = STUDIES[study]["retention"]
    names = [name for name in STUDIES[study]["estimators"] if retention["lambdas"][name]]
    names += retention.get("ablations", [])
    return ["none", *names] if retention["unpenalised"] else names


def has(study, table):
    """Whether a study has rows of a table: one without networks of its own has what it retains, and no more."""
    if table in ("retention", "selected_lambda"):
        return bool(retained(study))
    if table.startswith("explanation_"):
        return explained(study)
    needed = {"pruning": STUDIES[study]["pruning"]["fractions"], "baseline": True}
    return is_own(study) and bool(needed.get(table, len(STUDIES[study]["estimators"]) > 1))


def shard_tables(study, table):
    """The tables, one per shard, that a study's table joins."""
    pattern, names = {
        "baseline": ("baseline/{shard}.csv", [""]),
        "correlation": ("correlation/{shard}.csv", [""]),
        "correlation_null": ("correlation/{shard}.null.csv", [""]),
        "retention": ("retention/{name}/{shard}.csv", map(ablation_names.folder, retained(study))),
        "pruning": ("pruning/{name}/{shard}.csv", ["random", *STUDIES[study]["estimators"]]),
        **{f"explanation_{name}": (f"explanation/{{shard}}.{name}.csv", [""]) for name in EXPLANATION},
    }[table]
    found = retention_shards(study) if table == "retention" else shards(study)
    return expand(f"results/runs/{study}/{pattern}", shard=found, name=names)


def study_tables(table):
    """The tables, one per study, that a summary joins."""
    return [f"results/summary/{study}/{table}.csv" for study in STUDIES if has(study, table)]


SUMMARIES = [f"results/summary/{table}.csv" for table in SUMMARY_TABLES if study_tables(table)]


def shard_results():
    """All that is kept of every shard: networks, paths, importances, and tables."""
    found = set()
    for study in STUDIES:
        for shard in shards(study):
            here = SimpleNamespace(study=study, shard=shard)
            found |= {*networks(here, "parameters", "state", "path").values()}
            for name in STUDIES[study]["estimators"]:
                found.add(importances(here, name))
                if has(study, "pruning"):
                    found.add(pruning_importances(SimpleNamespace(**vars(here), criterion=name)))
        found |= {file for table in SHARD_TABLES if has(study, table) for file in shard_tables(study, table)}
    return sorted(found)


def notebook_input(name):
    """What a notebook reads: itself, the modules it imports, tables, and where it looks at single weights, tensors."""
    notebook, reads = f"notebooks/{name}.ipynb", NOTEBOOKS[name]

    def tensors(wildcards):
        study = wildcards.study
        pattern = f"results/runs/{study}/importance/{{estimator}}/{{shard}}.safetensors"
        found = expand(pattern, estimator=STUDIES[study]["estimators"], shard=shards(study))
        return found if "runs" in reads else []

    def summaries(wildcards):
        studies = family(wildcards.study) if "family" in reads else [wildcards.study]
        tables = [(study, table) for study in studies for table in reads["summaries"] if has(study, table)]
        return [f"results/summary/{study}/{table}.csv" for study, table in tables]

    return {
        "notebook": notebook,
        "summaries": summaries,
        "published": PUBLISHED if "published" in reads else [],
        "tensors": tensors,
    }


def notebook_code(name):
    """What a notebook runs: the program that executes it, and what its cells import."""
    # labels of all estimators, and colours by position in the whole list
    modules = code(f"notebooks/{name}.ipynb", *known.estimators(), *OWN_ESTIMATORS, shown=True)[1:]
    return list(dict.fromkeys([*code(f"{SCRIPTS}/notebook.py"), *modules]))


def notebook_parameters(name):
    """Values for a notebook's parameters cell: which study, what is like it, and where everything lies."""
    reads = NOTEBOOKS[name]
    folders = {"figures": "results/figures", "tables": "results/tables"}
    folders |= {key: reads[key] for key in ("published", "runs") if key in reads}

    def parameters(wildcards):
        study = wildcards.study
        more = {"shards": shards(study)} if "runs" in reads else {}
        if "family" in reads:
            more |= {"summary": "results/summary", "settings": {other: STUDIES[other] for other in family(study)}}
        else:
            more |= {"summary": f"results/summary/{study}"}
        return compact({"study": study} | folders | more)

    return parameters


EXPLORER_TEMPLATE = sorted(map(str, Path("workflow/explorer").iterdir()))
EXPLORER_TABLES = [
    f"results/summary/{table}.csv"
    for table in ("correlation", "correlation_null", "retention", "selected_lambda", "pruning")
    if study_tables(table)
]


def explorer_importances():
    """The importances of every study that has networks of its own."""
    return [
        f"results/runs/{study}/importance/{estimator}/{shard}.safetensors"
        for study in filter(is_own, STUDIES)
        for estimator in STUDIES[study]["estimators"]
        for shard in shards(study)
    ]


def explorer_settings():
    """What the explorer says of every study, and the shards of those that have networks of their own."""
    told = ["like", "network", "datasets", "protocol", "seeds", "estimators"]

    def of_study(name, study):
        return {key: study[key] for key in told if key in study} | {
            "tasks": {key: study["tasks"][key] for key in ("kind", "count")},
            "retention": {key: study["retention"][key] for key in ("seeds", "penalty", "batch_norm")},
            "shards": shards(name) if is_own(name) else [],
        }

    return compact({name: of_study(name, study) for name, study in STUDIES.items()})
