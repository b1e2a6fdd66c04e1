"""What one value demands of another, and which names are known; the configuration's shape is taken for granted."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from configuration.known import datasets, estimator_file, estimators, label, networks
from configuration.wording import KeyPath, Problem, unknown
from weight_importance.control_names import is_control, parse
from weight_importance.errors import UserError


def cross_checks(config: Mapping[str, Any], own: Mapping[str, str]) -> Iterator[Problem]:
    """All that is wrong with a configuration in which every key holds what the schema allows.

    Args:
        config: with every study complete.
        own: the user's own estimators, name → file.
    """
    known = [*estimators(), *own]
    yield from _unknown_names(("estimators",), "estimator", config["estimators"], known)
    yield from _label_checks(config, own)
    for study, settings in config["studies"].items():
        path = ("studies", study)
        if settings["network"] not in networks():
            yield (*path, "network"), unknown("network", settings["network"], networks())
        yield from _unknown_names((*path, "datasets"), "dataset", settings["datasets"], datasets())
        yield from _unknown_names((*path, "estimators"), "estimator", settings["estimators"], known)
        yield from _retention_checks((*path, "retention"), settings, known)
        yield from _task_checks((*path, "tasks"), settings["tasks"], len(settings["datasets"]))
        yield from _size_checks(path, settings)
        if settings.get("explanation"):
            yield from _explanation_checks((*path, "explanation"), settings, known)
        if "like" in settings:
            yield from _likeness_checks(path, settings, config["studies"])


def _unknown_names(path: KeyPath, kind: str, names: Sequence[str], known: Sequence[str]) -> Iterator[Problem]:
    for position, name in enumerate(names):
        if name not in known:
            yield (*path, position), unknown(kind, name, known)


def _label_checks(config: Mapping[str, Any], own: Mapping[str, str]) -> Iterator[Problem]:
    """Figures and tables tell estimators by their labels: each needs one of its own."""
    owners: dict[str, str] = {}
    for position, name in enumerate(config["estimators"]):
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


def _retention_checks(path: KeyPath, settings: Mapping[str, Any], known: Sequence[str]) -> Iterator[Problem]:
    retention = settings["retention"]
    for name in retention["lambdas"]:
        if is_control(name):
            yield from _control_name_checks((*path, "lambdas", name), name, known)
        elif name not in known:
            yield (*path, "lambdas", name), unknown("estimator", name, known)
    yield from _control_checks(path, settings, known)
    for name in settings["estimators"]:
        if name in known and name not in retention["lambdas"]:
            text = f"missing: '{name}' is listed under estimators and needs a list of strengths."
            yield (*path, "lambdas", name), text
    most, size, total = retention["seeds"], settings["shard_size"], settings["seeds"]
    if most is not None and (most > total or (most % size and most != total)):
        text = f"must be at most seeds, {total}, and a multiple of shard_size, {size}, found {most}."
        yield (*path, "seeds"), text
    if retention["penalty"] == "stabilised" and not retention["clamp_negative"]:
        text = "must be true with penalty 'stabilised', whose denominator a negative importance can bring to zero."
        yield (*path, "clamp_negative"), text
    if "like" not in settings:
        if not retention["unpenalised"]:
            yield (*path, "unpenalised"), "must be true, found false: every estimator is compared with it."
        if not any(retention["lambdas"].get(name) for name in settings["estimators"]):
            yield (*path, "lambdas"), "needs strengths for one of the study's estimators at least, found none."


def _control_checks(path: KeyPath, settings: Mapping[str, Any], known: Sequence[str]) -> Iterator[Problem]:
    """A control needs what it is made from and what it is compared with: its estimators, retained, and no penalty."""
    retention, of_study = settings["retention"], settings["estimators"]
    controls = retention.get("controls", [])
    for position, name in enumerate(controls):
        here = (*path, "controls", position)
        wrong = list(_control_name_checks(here, name, known))
        yield from wrong
        for estimator in () if wrong else parse(name).estimators:
            if estimator not in of_study:
                yield here, f"'{estimator}' is not among the estimators of the study: {', '.join(of_study)}."
            elif not retention["lambdas"].get(estimator):
                yield here, f"'{name}' is compared with '{estimator}', which needs strengths under lambdas."
        if not retention["lambdas"].get(name, retention.get("control_lambdas")):
            yield here, f"needs strengths for '{name}': under lambdas, or for all controls under control_lambdas."
    if controls and not retention["clamp_negative"]:
        yield (*path, "clamp_negative"), "must be true with controls, which are made of importances of zero or more."
    if controls and not retention["unpenalised"]:
        yield (*path, "unpenalised"), "must be true with controls, found false: they are compared with it."


def _control_name_checks(path: KeyPath, name: str, known: Sequence[str]) -> Iterator[Problem]:
    try:
        of = parse(name).estimators
    except UserError as error:
        yield path, str(error)
    else:
        yield from ((path, unknown("estimator", estimator, known)) for estimator in of if estimator not in known)


def _task_checks(path: KeyPath, tasks: Mapping[str, Any], datasets: int) -> Iterator[Problem]:
    if tasks["kind"] == "permuted" and "seed" not in tasks:
        yield (*path, "seed"), "missing. Seed of the permutations; the same for every network."
    if tasks["kind"] == "rotated" and "seed" in tasks:
        yield (*path, "seed"), "not used by kind 'rotated', which draws nothing; remove it."
    if tasks["kind"] == "rotated" and tasks["count"] > 4 * datasets:
        yield (
            (*path, "count"),
            f"must be at most {4 * datasets}, four quarter turns per data set, found {tasks['count']}.",
        )


def _size_checks(path: KeyPath, settings: Mapping[str, Any]) -> Iterator[Problem]:
    """What needs more images than a task has; where all images are trained on, their number is not known yet."""
    sizes = {"images.training": settings["images"]["training"], "retention.images": settings["retention"]["images"]}
    for name, images in sizes.items():
        for section, key in (("training", "batch_size"), ("importance", "samples")):
            wanted = settings[section][key]
            if images is not None and wanted > images:
                yield (*path, section, key), f"must be at most {name}, {images}, found {wanted}."


def _explanation_checks(path: KeyPath, settings: Mapping[str, Any], known: Sequence[str]) -> Iterator[Problem]:
    """Images enough to train on and to average over; samples are among those that networks are trained on anew."""
    explanation = settings["explanation"]
    yield from _unknown_names((*path, "estimators"), "estimator", explanation["estimators"], known)
    images, most = explanation["images"], settings["images"]["training"]
    if most is not None and images > most:
        yield (*path, "images"), f"must be at most images.training, {most}, found {images}."
    if images < settings["training"]["batch_size"]:
        yield (
            (*path, "images"),
            f"must be at least training.batch_size, {settings['training']['batch_size']}, found {images}.",
        )
    if explanation["samples"] > images:
        yield (*path, "samples"), f"must be at most explanation.images, {images}, found {explanation['samples']}."
    further, count = explanation["trajectories"], settings["tasks"]["count"]
    path = (*path, "trajectories")
    if further["tasks"] > count:
        yield (*path, "tasks"), f"must be at most tasks.count, {count}, found {further['tasks']}."
    needed = {"training.batch_size": settings["training"]["batch_size"], "explanation.samples": explanation["samples"]}
    for name, least in needed.items():
        if further["images"] < least:
            yield (*path, "images"), f"must be at least {name}, {least}, found {further['images']}."
    for name in further["strengths"]:
        if name not in explanation["estimators"]:
            yield (*path, "strengths", name), "not one of explanation.estimators; list it there or remove it."


OF_NETWORKS = ("network", "datasets", "protocol", "tasks", "images", "training")


def _likeness_checks(path: KeyPath, settings: Mapping[str, Any], studies: Mapping[str, Any]) -> Iterator[Problem]:
    """What a study that is like another cannot change without networks of its own, and what it cannot be twice."""
    model = studies[settings["like"]]
    if settings["protocol"] == "published":
        others = [name for name, other in studies.items() if other.get("like") == settings["like"]]
        first = next(name for name in others if studies[name]["protocol"] == "published")
        if path[1] != first:
            yield (
                (*path, "protocol"),
                f"'{first}' is like '{settings['like']}' and follows the published protocol already.",
            )
    same = all(settings[key] == model[key] for key in (*OF_NETWORKS, "first_seed"))
    if settings["pruning"] != model["pruning"] and same:
        text = f"has no effect: the networks are those of '{settings['like']}', which are pruned there; remove it."
        yield (*path, "pruning"), text
    if settings.get("explanation") != model.get("explanation"):
        text = f"has no effect: only '{settings['like']}', which others are like, is explained; remove it."
        yield (*path, "explanation"), text
