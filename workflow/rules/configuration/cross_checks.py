"""What one value demands of another, and which names are known.

Every check says which keys it reads, and runs where the schema found these sound: so mistakes of all kinds are told at
once, and no check meets a value of another shape than it takes for granted.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from configuration.known import datasets, estimator_file, estimators, label, networks
from configuration.wording import KeyPath, Problem, unknown
from weight_importance.settings.ablation_names import FORMS, is_ablation, parse
from weight_importance.runtime.errors import UserError


@dataclass(frozen=True)
class Study:
    """A study as the checks see it.

    Attributes:
        name: its own.
        settings: complete, see :func:`configuration.studies.resolved`.
        studies: all of them, likewise.
        estimators: the known ones.
    """

    name: str
    settings: Mapping[str, Any]
    studies: Mapping[str, Any]
    estimators: Sequence[str]


def cross_checks(
    config: Mapping[str, Any], own: Mapping[str, str], legible: Mapping[str, str], unsound: Collection[KeyPath]
) -> Iterator[Problem]:
    """All that is wrong with the values of a configuration taken together.

    Args:
        config: with every study complete.
        own: the user's own estimators, name → file.
        legible: those of them whose files can be read.
        unsound: where the schema found something wrong, or missing.
    """

    def sound(*path: str) -> bool:
        return not any(path[: len(other)] == other[: len(path)] for other in unsound)

    def readable(study: Any, keys: Sequence[str]) -> bool:
        if not all(sound("studies", study, *key.split(".")) for key in keys):
            return False
        return {key.split(".")[0] for key in keys} <= {*config["studies"][study], *OPTIONAL}

    known = [*estimators(), *own]
    if sound("estimators"):
        yield from _unknown_names(("estimators",), "estimator", config["estimators"], known)
        yield from _labels(config["estimators"], legible)
    studies = config.get("studies")
    for name, settings in studies.items() if isinstance(studies, Mapping) else ():
        if not isinstance(settings, Mapping):
            continue
        for reads, check in CHECKS:
            if readable(name, reads) and ("like" not in {*reads} & {*settings} or readable(settings["like"], reads)):
                study = Study(name, settings, studies, known)
                yield from ((("studies", name, *path), text) for path, text in check(study))


def _unknown_names(path: KeyPath, kind: str, names: Sequence[str], known: Sequence[str]) -> Iterator[Problem]:
    for position, name in enumerate(names):
        if name not in known:
            yield (*path, position), unknown(kind, name, known)


def _labels(names: Sequence[str], own: Mapping[str, str]) -> Iterator[Problem]:
    """Figures and tables tell estimators by their labels: each needs one of its own."""
    owners: dict[str, str] = {}
    for position, name in enumerate(names):
        if name in own or name in estimators():
            file = estimator_file(name, own)
            found = label(name, own)
            if found is None:
                yield ("estimators", position), f"{file} does not define ESTIMATOR with a label."
            elif found in owners:
                text = f"'{name}' and '{owners[found]}' have the same label, '{found}'; give it another in {file}."
                yield ("estimators", position), text
            else:
                owners[found] = name


def _network(study: Study) -> Iterator[Problem]:
    if study.settings["network"] not in networks():
        yield ("network",), unknown("network", study.settings["network"], networks())


def _datasets(study: Study) -> Iterator[Problem]:
    yield from _unknown_names(("datasets",), "dataset", study.settings["datasets"], datasets())


def _estimators(study: Study) -> Iterator[Problem]:
    yield from _unknown_names(("estimators",), "estimator", study.settings["estimators"], study.estimators)


def _names_of_strengths(study: Study) -> Iterator[Problem]:
    for name in study.settings["retention"]["lambdas"]:
        here = ("retention", "lambdas", name)
        if is_ablation(name):
            yield from _ablation_name(here, name, study.estimators)
        elif name not in study.estimators:
            yield here, unknown("estimator", name, study.estimators)


def _strengths(study: Study) -> Iterator[Problem]:
    """Every estimator needs a list of strengths, if an empty one."""
    lambdas = study.settings["retention"]["lambdas"]
    for name in study.settings["estimators"]:
        if name in study.estimators and name not in lambdas:
            text = f"missing: '{name}' is listed under estimators and needs a list of strengths."
            yield ("retention", "lambdas", name), text


def _strengths_of_ablations(study: Study) -> Iterator[Problem]:
    """Strengths of an ablation that is not run would be given in vain; those that a study takes over do no harm."""
    retention = study.settings["retention"]
    model = study.studies.get(study.settings.get("like"), {}).get("retention", {})
    if retention["lambdas"] == model.get("lambdas"):
        return
    ablations = retention.get("ablations", [])
    for name, strengths in retention["lambdas"].items():
        if is_ablation(name) and strengths and name not in ablations:
            text = f"'{name}' is not among the study's ablations, so its strengths {strengths} would not be used."
            yield ("retention", "lambdas", name), f"{text} List it under retention.ablations, or give it none: []."


def _ablations(study: Study) -> Iterator[Problem]:
    """An ablation needs what it is made from and what it is compared with: its estimators, retained."""
    retention, of_study = study.settings["retention"], study.settings["estimators"]
    for position, name in enumerate(retention.get("ablations", [])):
        here = ("retention", "ablations", position)
        wrong = list(_ablation_name(here, name, study.estimators))
        yield from wrong
        for estimator in () if wrong else parse(name).estimators:
            if estimator not in of_study:
                yield here, f"'{estimator}' is not among the estimators of the study: {', '.join(of_study)}."
            elif not retention["lambdas"].get(estimator):
                yield here, f"'{name}' is compared with '{estimator}', which needs strengths under lambdas."
        if not retention["lambdas"].get(name, retention.get("ablation_lambdas")):
            yield here, f"needs strengths for '{name}': under lambdas, or for all ablations under ablation_lambdas."


def _what_ablations_need(study: Study) -> Iterator[Problem]:
    retention = study.settings["retention"]
    if retention.get("ablations") and not retention["clamp_negative"]:
        text = "must be true with ablations, which are made of importances of zero or more, found false."
        yield ("retention", "clamp_negative"), text
    if retention.get("ablations") and not retention["unpenalised"]:
        yield ("retention", "unpenalised"), "must be true with ablations, found false: they are compared with it."


def _ablation_name(path: KeyPath, name: str, known: Sequence[str]) -> Iterator[Problem]:
    try:
        of = parse(name).estimators
    except UserError as error:
        text = str(error)
        yield path, text if FORMS in text or "Known: " in text else f"{text} Allowed: {FORMS}."
    else:
        yield from ((path, unknown("estimator", estimator, known)) for estimator in of if estimator not in known)


def _retained_seeds(study: Study) -> Iterator[Problem]:
    """The networks that learn the later tasks come in whole shards."""
    most, size, total = study.settings["retention"]["seeds"], study.settings["shard_size"], study.settings["seeds"]
    if most is not None and (most > total or (most % size and most != total)):
        text = f"must be at most seeds, {total}, and a multiple of shard_size, {size}, found {most}."
        yield ("retention", "seeds"), text


def _penalty(study: Study) -> Iterator[Problem]:
    retention = study.settings["retention"]
    if retention["penalty"] == "stabilised" and not retention["clamp_negative"]:
        text = "must be true with penalty 'stabilised', whose denominator a negative importance can bring to zero"
        yield ("retention", "clamp_negative"), f"{text}, found false."


def _comparison(study: Study) -> Iterator[Problem]:
    """A study that is like no other stands for itself: with something to compare, and something to compare it with."""
    retention = study.settings["retention"]
    if "like" not in study.settings:
        if not retention["unpenalised"]:
            yield ("retention", "unpenalised"), "must be true, found false: every estimator is compared with it."
        if not any(retention["lambdas"].get(name) for name in study.settings["estimators"]):
            text = "needs strengths for one of the study's estimators at least, found none."
            yield ("retention", "lambdas"), text


def _tasks(study: Study) -> Iterator[Problem]:
    tasks, most = study.settings["tasks"], 4 * len(study.settings["datasets"])
    if tasks["kind"] == "permuted" and "seed" not in tasks:
        yield ("tasks", "seed"), "missing. Seed of the permutations; the same for every network."
    if tasks["kind"] == "rotated" and "seed" in tasks:
        yield ("tasks", "seed"), f"not used by kind 'rotated', which draws nothing, found {tasks['seed']}; remove it."
    if tasks["kind"] == "rotated" and tasks["count"] > most:
        yield ("tasks", "count"), f"must be at most {most}, four quarter turns per data set, found {tasks['count']}."


def _sizes(study: Study) -> Iterator[Problem]:
    """What needs more images than a task has; where all images are trained on, their number is not known yet."""
    settings = study.settings
    sizes = {"images.training": settings["images"]["training"], "retention.images": settings["retention"]["images"]}
    for name, images in sizes.items():
        for section, key in (("training", "batch_size"), ("importance", "samples")):
            wanted = settings[section][key]
            if images is not None and wanted > images:
                yield (section, key), f"must be at most {name}, {images}, found {wanted}."


def _explanation(study: Study) -> Iterator[Problem]:
    """Images enough to train on and to average over; samples are among those that networks are trained on anew."""
    settings, explanation = study.settings, study.settings.get("explanation")
    if not explanation:
        return
    here = ("explanation",)
    yield from _unknown_names((*here, "estimators"), "estimator", explanation["estimators"], study.estimators)
    images, most = explanation["images"], settings["images"]["training"]
    batch, samples = settings["training"]["batch_size"], explanation["samples"]
    if most is not None and images > most:
        yield (*here, "images"), f"must be at most images.training, {most}, found {images}."
    if images < batch:
        yield (*here, "images"), f"must be at least training.batch_size, {batch}, found {images}."
    if samples > images:
        yield (*here, "samples"), f"must be at most explanation.images, {images}, found {samples}."
    further, count = explanation["trajectories"], settings["tasks"]["count"]
    here = (*here, "trajectories")
    if further["tasks"] > count:
        yield (*here, "tasks"), f"must be at most tasks.count, {count}, found {further['tasks']}."
    for name, least in {"training.batch_size": batch, "explanation.samples": samples}.items():
        if further["images"] < least:
            yield (*here, "images"), f"must be at least {name}, {least}, found {further['images']}."
    for name in further["strengths"]:
        if name not in explanation["estimators"]:
            listed = ", ".join(explanation["estimators"])
            yield (
                (*here, "strengths", name),
                f"not one of explanation.estimators, {listed}; list it there or remove it.",
            )


OF_NETWORKS = ("network", "datasets", "protocol", "tasks", "images", "training")
"""What a study's networks follow from, but for their seeds."""


def _likeness(study: Study) -> Iterator[Problem]:
    """What a study that is like another cannot change without networks of its own, and what it cannot be twice."""
    settings, studies = study.settings, study.studies
    if "like" not in settings:
        return
    model = studies[settings["like"]]
    if settings["protocol"] == "published":
        alike = {"like": settings["like"], "protocol": "published"}.items()
        first = next(name for name, other in studies.items() if isinstance(other, Mapping) and alike <= other.items())
        if study.name != first:
            text = f"'{first}' is like '{settings['like']}' and follows the protocol 'published' already"
            yield ("protocol",), f"{text}; allowed here is held_out."
    same = all(settings[key] == model[key] for key in (*OF_NETWORKS, "first_seed"))
    if settings["pruning"] != model["pruning"] and same:
        text = f"has no effect: the networks are those of '{settings['like']}', which are pruned there; remove it."
        yield ("pruning",), text
    if settings.get("explanation") != model.get("explanation"):
        text = f"has no effect: only '{settings['like']}', which others are like, is explained; remove it."
        yield ("explanation",), text


OPTIONAL = ("like", "explanation")
"""What a complete study may do without."""

CHECKS: Sequence[tuple[tuple[str, ...], Callable[[Study], Iterator[Problem]]]] = (
    (("network",), _network),
    (("datasets",), _datasets),
    (("estimators",), _estimators),
    (("retention.lambdas",), _names_of_strengths),
    (("retention.lambdas", "estimators"), _strengths),
    (("retention.lambdas", "retention.ablations", "like"), _strengths_of_ablations),
    (("retention.lambdas", "retention.ablations", "retention.ablation_lambdas", "estimators"), _ablations),
    (("retention.ablations", "retention.clamp_negative", "retention.unpenalised"), _what_ablations_need),
    (("retention.seeds", "seeds", "shard_size"), _retained_seeds),
    (("retention.penalty", "retention.clamp_negative"), _penalty),
    (("retention.unpenalised", "retention.lambdas", "estimators"), _comparison),
    (("tasks", "datasets"), _tasks),
    (("images.training", "retention.images", "training.batch_size", "importance.samples"), _sizes),
    (("explanation", "images.training", "training.batch_size", "tasks.count"), _explanation),
    (("like", *OF_NETWORKS, "first_seed", "pruning", "explanation"), _likeness),
)
"""Every check of a study with the keys that it reads; one that reads ``like`` reads them of the other study, too."""
