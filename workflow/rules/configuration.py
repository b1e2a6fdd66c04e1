"""Checking the configuration before anything is planned, with errors that name key, value, remedy and place.

The schema says what a key may hold; what depends on the code (names of estimators, networks and data sets) is read off
the source files without importing them, since parsing the workflow must not load PyTorch.
"""

import ast
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

# On import jsonschema compiles grammars of web addresses, for a second of every command, if this optional package is
# there (Jupyter brings it); our schema has no such formats
sys.modules.setdefault("rfc3987_syntax", None)

from jsonschema import Draft202012Validator  # noqa: E402
from jsonschema.exceptions import ValidationError  # noqa: E402
from jsonschema.validators import extend  # noqa: E402

from weight_importance.control_names import is_control, parse  # noqa: E402
from weight_importance.errors import UserError  # noqa: E402

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "workflow/scripts/weight_importance"
SCHEMA = REPOSITORY / "workflow/schemas/config.schema.yaml"

TYPES = {
    "object": "a mapping (key: value)",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
LIMITS = {"minimum": "at least", "exclusiveMinimum": "greater than", "maximum": "at most"}

KeyPath = tuple[str | int, ...]


def validate(config: Mapping[str, Any], files: Sequence[str | Path]) -> None:
    """End the program with one readable message unless the configuration is sound.

    Args:
        config: the configuration as merged from all files.
        files: where it comes from, later ones overriding earlier ones.
    """
    found = problems(config, files)
    if found:
        sys.exit("\n".join(["error: the configuration cannot be used", *(f"  - {problem}" for problem in found)]))


def problems(config: Mapping[str, Any], files: Sequence[str | Path] = ()) -> list[str]:
    """Everything that is wrong with a configuration, one sentence or two each; empty when it is sound."""
    places = Places(config, files)
    described = [*_misspelt_studies(config), *_likenesses(config), *_own_file_checks(config)]
    if not described:
        whole = resolved(config)
        errors = sorted(VALIDATOR.iter_errors(whole), key=lambda error: [str(key) for key in error.absolute_path])
        described = [problem for error in errors for problem in _describe(error)]
        if not errors:  # cross-checks may take the shape for granted
            described = list(_cross_checks(whole, own_estimators(config)))
        described = [problem for problem in described if not _inherited(problem, described, whole)]
    return places.repeated + [f"{_dotted(path)}: {text} Mend it in {places.of(path)}." for path, text in described]


def resolved(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with every study complete: what it does not say is that of the study it is like, or of all.

    The lists of strengths are taken over as a whole, not estimator by estimator, where a study gives its own. Controls
    are those of the study that lists them, and no other's. The user's own estimators go by the names of their files.
    """
    config = dict(config)
    if "estimators" in config:
        config["estimators"] = _by_name(config["estimators"])
    if not isinstance(config.get("studies"), Mapping):
        return config
    common = {key: config[key] for key in OF_ALL_STUDIES if key in config}
    studies = {}
    for name, settings in config["studies"].items():
        if isinstance(settings, Mapping):
            model = config["studies"].get(settings.get("like"), {})
            settings = common | _merged(_without_controls(model), settings)
            if "estimators" in settings:
                settings["estimators"] = _by_name(settings["estimators"])
        studies[name] = settings
    return config | {"studies": studies}


def _by_name(listed: Any) -> Any:
    """A list of estimators with the names of the user's own files in place of their paths."""
    if not isinstance(listed, list):
        return listed
    return [Path(entry).stem if isinstance(entry, str) and entry.endswith(".py") else entry for entry in listed]


OF_ALL_STUDIES = ("seeds", "first_seed", "shard_size", "estimators")


def _without_controls(model: Any) -> Any:
    if not isinstance(model, Mapping) or not isinstance(model.get("retention"), Mapping):
        return model
    return {**model} | {"retention": {key: value for key, value in model["retention"].items() if key != "controls"}}


def _merged(model: Any, changes: Any, key: str = "") -> Any:
    if not isinstance(model, Mapping) or not isinstance(changes, Mapping) or key == "lambdas":
        return changes
    return {**model} | {name: _merged(model.get(name), value, name) for name, value in changes.items()}


def _misspelt_studies(config: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Studies that could not stand alone and whose name is nearly that of another: meant to change that one."""
    studies = config.get("studies")
    for name, settings in studies.items() if isinstance(studies, Mapping) else ():
        if isinstance(settings, Mapping) and not {"network", "like"} & set(settings):
            near = _nearest(name, [other for other in studies if other != name])
            if near:
                yield ("studies", name), f"unknown study. {near}A new one needs 'like', or settings of its own."


def _likenesses(config: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """What is wrong with the names of the studies that others are like; the rest waits until these are known."""
    studies = config.get("studies")
    for name, settings in studies.items() if isinstance(studies, Mapping) else ():
        model = settings.get("like") if isinstance(settings, Mapping) else None
        if model is None:
            continue
        path = ("studies", name, "like")
        others = [other for other in studies if other != name]
        if model not in others:
            yield path, _unknown("study", model, others)
        elif isinstance(studies[model], Mapping) and "like" in studies[model]:
            yield path, f"'{model}' is itself like '{studies[model]['like']}'; name that one and repeat what differs."


def _inherited(
    problem: tuple[KeyPath, str], all_problems: list[tuple[KeyPath, str]], config: Mapping[str, Any]
) -> bool:
    """Whether a study's problem is that of a study it is like, or of the defaults, and so told already."""
    path, text = problem
    if len(path) < 3 or path[0] != "studies" or not isinstance(config["studies"].get(path[1]), Mapping):
        return False
    model = config["studies"][path[1]].get("like")
    return ((path[2:], text) in all_problems and path[2] in OF_ALL_STUDIES) or (
        model is not None and (("studies", model, *path[2:]), text) in all_problems
    )


def estimators() -> list[str]:
    """The estimators of the catalogue: its modules."""
    return sorted(file.stem for file in (PACKAGE / "estimators/catalogue").glob("*.py") if file.stem != "__init__")


def own_estimators(config: Mapping[str, Any]) -> dict[str, str]:
    """The user's own estimators, by the names of their files, as listed: ``{"mine": "folder/mine.py"}``."""
    return {Path(entry).stem: entry for _, entry in _listed_files(config)}


def _listed_files(config: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Every Python file that stands in a list of estimators, and where."""
    studies = config.get("studies")
    lists = {("estimators",): config.get("estimators")} | {
        ("studies", name, "estimators"): settings.get("estimators")
        for name, settings in (studies.items() if isinstance(studies, Mapping) else ())
        if isinstance(settings, Mapping)
    }
    for path, entries in lists.items():
        for position, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, str) and entry.endswith(".py"):
                yield (*path, position), entry


def estimator_file(name: str, own: Mapping[str, str]) -> str:
    """The file that defines an estimator: the user's own, or its module in the catalogue, relative to the checkout."""
    return own.get(name, f"workflow/scripts/weight_importance/estimators/catalogue/{name}.py")


def label(name: str, own: Mapping[str, str]) -> str | None:
    """The label that an estimator's file gives in its ``ESTIMATOR``; ``None`` where it gives none."""
    return _definition(_readable(name, own)).get("label")


def records(name: str, own: Mapping[str, str]) -> list[str]:
    """What training must record for an estimator: nothing but for path estimators."""
    return list(_definition(_readable(name, own)).get("records", ()))


def _readable(name: str, own: Mapping[str, str]) -> Path:
    """The same file from wherever the program runs; the user's own are relative to the working directory."""
    return Path(own[name]) if name in own else PACKAGE / f"estimators/catalogue/{name}.py"


def _definition(file: str | Path) -> dict[str, Any]:
    """What a file gives for its ``ESTIMATOR`` in so many words: its class as ``class``, and literal arguments."""
    found: dict[str, Any] = {}
    for node in ast.parse(Path(file).read_text(encoding="utf-8")).body:
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)):
            continue
        if any(isinstance(target, ast.Name) and target.id == "ESTIMATOR" for target in node.targets):
            called = node.value.func
            found["class"] = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", None)
            for keyword in node.value.keywords:
                try:
                    found[keyword.arg] = ast.literal_eval(keyword.value)
                except ValueError:  # an expression
                    continue
    return found


def _own_file_checks(config: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """What is wrong with the user's own estimators, as far as their files tell without being run."""
    files: dict[str, str] = {}
    for path, file in _listed_files(config):
        name = Path(file).stem
        if files.setdefault(name, file) != file:
            yield path, f"'{file}' and '{files[name]}' would have the same name, '{name}'; rename one."
        elif name in estimators() or name in ("none", "random"):
            yield path, f"'{file}' would be called '{name}', as an estimator that is there; rename the file."
        elif not re.fullmatch("[a-z][a-z0-9_]*", name):
            yield path, f"'{name}', of '{file}', is no usable name: use lower-case letters, digits and underscores."
        elif not Path(file).is_file():
            yield path, f"there is no file '{file}' (in {Path.cwd()})."
        else:
            yield from ((path, f"{file} {text}") for text in _definition_problems(file))


def _definition_problems(file: str) -> Iterator[str]:
    try:
        found = _definition(file)
    except (SyntaxError, UnicodeDecodeError) as error:
        yield f"is not valid Python: {error}."
        return
    kinds = [name for name in _classes(PACKAGE / "estimators/kinds.py") if name.endswith("Estimator")]
    if found.get("class") not in kinds:
        yield f"must define ESTIMATOR = one of {', '.join(f'{kind}(...)' for kind in kinds)} at its top level."
        return
    for key in ("label", "formula", "source"):
        if not isinstance(found.get(key), str) or not found[key]:
            yield f"must give ESTIMATOR a {key}, a text in quotes."
    source = found.get("source")
    if isinstance(source, str) and f"{{{source}," not in (REPOSITORY / "paper/references.bib").read_text("utf-8"):
        yield f"has the source '{source}', which paper/references.bib does not hold; add it there."
    if found["class"] == "PathEstimator":
        known = [*_keys(PACKAGE / "estimators/path.py", "RECORDS"), "displacement"]
        named, replaced = found.get("records"), found.get("published", {})
        if not isinstance(named, tuple):
            yield f"must give ESTIMATOR its records, a tuple of texts of: {', '.join(known)}."
        elif not isinstance(replaced, dict) or not replaced.keys() <= set(named):
            yield "must give ESTIMATOR published, if at all, as {one of its records: the one that takes its place}."
        else:
            named = (*named, *replaced.values())
            yield from (f"has records: {_unknown('record', name, known)}" for name in named if name not in known)


def _classes(file: Path) -> list[str]:
    return [node.name for node in ast.parse(file.read_text("utf-8")).body if isinstance(node, ast.ClassDef)]


def networks() -> list[str]:
    """The known networks: the keys of ``NETWORKS`` in networks.py."""
    return _keys(PACKAGE / "networks.py", "NETWORKS")


def datasets() -> list[str]:
    """The known data sets: the keys of ``DATASETS`` in datasets.py."""
    return _keys(PACKAGE / "datasets.py", "DATASETS")


def _keys(file: Path, name: str) -> list[str]:
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return sorted(ast.literal_eval(key) for key in node.value.keys)
    raise ValueError(f"{file} does not define {name} as a dict literal")


def _whole(checker: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _finite(checker: Any, value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


# JSON schema takes 4.0 for an integer and knows no infinity; ranges of seeds and sorted JSON need better
CHECKER = Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": _whole, "number": _finite})
VALIDATOR = extend(Draft202012Validator, type_checker=CHECKER)(yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))


def _describe(error: ValidationError) -> Iterator[tuple[KeyPath, str]]:
    """The key path and the description of each problem that one schema error stands for."""
    path, value, allowed = tuple(error.absolute_path), error.instance, error.validator_value
    match error.validator:
        case "additionalProperties":
            known = list(error.schema["properties"])
            for key in value:
                if key not in known:
                    yield (*path, key), f"unknown key. {_nearest(key, known)}Allowed here: {', '.join(known)}."
        case "required":
            for key in allowed:
                if key not in value:
                    yield (*path, key), "missing. " + error.schema["properties"][key]["description"]
        case "type":
            kinds = [allowed] if isinstance(allowed, str) else allowed
            expected = " or ".join(TYPES[kind] for kind in kinds)
            yield path, f"expected {expected}, found {_shown(value)}.{_number_hint(value, kinds)}"
        case "enum":
            yield path, f"unknown value {_shown(value)}. {_nearest(value, allowed)}Allowed: {', '.join(allowed)}."
        case "minimum" | "exclusiveMinimum" | "maximum":
            yield path, f"must be {LIMITS[error.validator]} {allowed}, found {_shown(value)}."
        case "uniqueItems":
            twice = sorted({repr(item) for item in value if value.count(item) > 1})
            yield path, f"lists {', '.join(twice)} more than once."
        case "minItems" | "minProperties":
            yield path, f"needs at least {allowed} {'entries' if allowed > 1 else 'entry'}, found {len(value)}."
        case "pattern":
            yield (*path, value), "not a usable name: use lower-case letters, digits and underscores."
        case _:
            yield path, f"{error.message}."


def _cross_checks(config: Mapping[str, Any], own: Mapping[str, str]) -> Iterator[tuple[KeyPath, str]]:
    known = [*estimators(), *own]
    yield from _unknown_names(("estimators",), "estimator", config["estimators"], known)
    yield from _label_checks(config, own)
    for study, settings in config["studies"].items():
        path = ("studies", study)
        if settings["network"] not in networks():
            yield (*path, "network"), _unknown("network", settings["network"], networks())
        yield from _unknown_names((*path, "datasets"), "dataset", settings["datasets"], datasets())
        yield from _unknown_names((*path, "estimators"), "estimator", settings["estimators"], known)
        yield from _retention_checks((*path, "retention"), settings, known)
        yield from _task_checks((*path, "tasks"), settings["tasks"], len(settings["datasets"]))
        yield from _size_checks(path, settings)
        if settings.get("explanation"):
            yield from _explanation_checks((*path, "explanation"), settings, known)
        if "like" in settings:
            yield from _likeness_checks(path, settings, config["studies"])


def _unknown_names(
    path: KeyPath, kind: str, names: Sequence[str], known: Sequence[str]
) -> Iterator[tuple[KeyPath, str]]:
    for position, name in enumerate(names):
        if name not in known:
            yield (*path, position), _unknown(kind, name, known)


def _label_checks(config: Mapping[str, Any], own: Mapping[str, str]) -> Iterator[tuple[KeyPath, str]]:
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


def _retention_checks(
    path: KeyPath, settings: Mapping[str, Any], known: Sequence[str]
) -> Iterator[tuple[KeyPath, str]]:
    retention = settings["retention"]
    for name in retention["lambdas"]:
        if is_control(name):
            yield from _control_name_checks((*path, "lambdas", name), name, known)
        elif name not in known:
            yield (*path, "lambdas", name), _unknown("estimator", name, known)
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


def _control_checks(path: KeyPath, settings: Mapping[str, Any], known: Sequence[str]) -> Iterator[tuple[KeyPath, str]]:
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


def _control_name_checks(path: KeyPath, name: str, known: Sequence[str]) -> Iterator[tuple[KeyPath, str]]:
    try:
        of = parse(name).estimators
    except UserError as error:
        yield path, str(error)
    else:
        yield from ((path, _unknown("estimator", estimator, known)) for estimator in of if estimator not in known)


def _task_checks(path: KeyPath, tasks: Mapping[str, Any], datasets: int) -> Iterator[tuple[KeyPath, str]]:
    if tasks["kind"] == "permuted" and "seed" not in tasks:
        yield (*path, "seed"), "missing. Seed of the permutations; the same for every network."
    if tasks["kind"] == "rotated" and "seed" in tasks:
        yield (*path, "seed"), "not used by kind 'rotated', which draws nothing; remove it."
    if tasks["kind"] == "rotated" and tasks["count"] > 4 * datasets:
        yield (
            (*path, "count"),
            f"must be at most {4 * datasets}, four quarter turns per data set, found {tasks['count']}.",
        )


def _explanation_checks(
    path: KeyPath, settings: Mapping[str, Any], known: Sequence[str]
) -> Iterator[tuple[KeyPath, str]]:
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


def _likeness_checks(
    path: KeyPath, settings: Mapping[str, Any], studies: Mapping[str, Any]
) -> Iterator[tuple[KeyPath, str]]:
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


OF_NETWORKS = ("network", "datasets", "protocol", "tasks", "images", "training")


def _size_checks(path: KeyPath, settings: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """What needs more images than a task has; where all images are trained on, their number is not known yet."""
    sizes = {"images.training": settings["images"]["training"], "retention.images": settings["retention"]["images"]}
    for name, images in sizes.items():
        for section, key in (("training", "batch_size"), ("importance", "samples")):
            wanted = settings[section][key]
            if images is not None and wanted > images:
                yield (*path, section, key), f"must be at most {name}, {images}, found {wanted}."


def _unknown(kind: str, name: str, known: Sequence[str]) -> str:
    return f"unknown {kind} '{name}'. {_nearest(name, known)}Known: {', '.join(known)}."


def _nearest(name: Any, known: Sequence[str]) -> str:
    near = get_close_matches(str(name), known, n=1)
    return f"Did you mean '{near[0]}'? " if near else ""


def _number_hint(value: Any, kinds: Sequence[str]) -> str:
    """YAML reads ``1e-3`` as text, Snakemake reads nested values of ``--config`` so: puzzling enough to be told."""
    if not isinstance(value, str) or not {"number", "integer"} & set(kinds):
        return ""
    try:
        number = float(value)
    except ValueError:
        return ""
    return f" It was read as text; write {number!r} in a configuration file." if math.isfinite(number) else ""


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return repr(value)
    return yaml.safe_dump(value, default_flow_style=True, width=math.inf).removesuffix("\n").removesuffix("\n...")


def _dotted(path: KeyPath) -> str:
    """A key path such as ``studies.mlp.pruning.fractions[3]``."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".") or "the whole file"


class Places:
    """Where the keys of a merged configuration stand: file and line, or else the command line."""

    def __init__(self, config: Mapping[str, Any], files: Sequence[str | Path]) -> None:
        self._config = config
        texts = {os.path.relpath(file): Path(file).read_text(encoding="utf-8") for file in files}
        self._files = [(name, yaml.safe_load(text), yaml.compose(text)) for name, text in texts.items()]
        self.repeated = [f"{name}, {text}" for name, _, root in self._files for text in _repeated(root)]

    def of(self, path: KeyPath) -> str:
        """Where to mend the value at ``path``; if there is none, where its nearest parent begins."""
        while path and not _holds(self._config, path):
            path = path[:-1]
        if not path:
            return self._files[0][0] if self._files else "the configuration"
        for name, content, root in reversed(self._files):
            if _holds(content, path) and (
                isinstance(_at(content, path), Mapping) or _at(content, path) == _at(self._config, path)
            ):
                return f"{name}, line {_line(root, path)}"
        return "the --config option on the command line"


def _at(content: Any, path: KeyPath) -> Any:
    for key in path:
        content = content[key]
    return content


def _holds(content: Any, path: KeyPath) -> bool:
    try:
        _at(content, path)
    except (KeyError, IndexError, TypeError):
        return False
    return True


def _line(node: yaml.Node, path: KeyPath) -> int:
    """The line, counted from 1, on which the key (or the list's element) at ``path`` stands."""
    for key in path:
        if isinstance(node, yaml.MappingNode):
            mark, node = next((name.start_mark, value) for name, value in node.value if name.value == str(key))
        else:
            mark, node = node.value[key].start_mark, node.value[key]
    return mark.line + 1


def _repeated(node: yaml.Node, path: KeyPath = ()) -> Iterator[str]:
    """Keys that a mapping holds twice: YAML readers keep the last one and say nothing."""
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for name, value in node.value:
            here, line = (*path, name.value), name.start_mark.line + 1
            if name.value in lines:
                yield f"line {line}: {_dotted(here)} is there twice, first on line {lines[name.value]}; remove one."
            lines[name.value] = line
            yield from _repeated(value, here)
