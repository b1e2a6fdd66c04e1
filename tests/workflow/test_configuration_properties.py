"""A changed configuration is valid or refused by name, without any other error."""

import math
from datetime import date

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configurations import DEFAULT, combined, default
from weight_importance.settings import files, reading
from weight_importance.settings.known import REPOSITORY
from weight_importance.settings.messages import shown

TINY = REPOSITORY / "presets/tiny.yaml"
# the same examples in every run, so that failures come from changes
settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
settings.load_profile("fixed")

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**40, -(10**400), 0, 1, 3])
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["mas", "mnist", "cnn", "rotated", "test", "1e-3", "yes", "uniform(mas)", "gone.py"])
    | st.dates(date(1900, 1, 1))
)
NAMES = ["like", "networks_of", "companion_of", "analyses", "seeds", "studies"]
KEYS = st.text(max_size=6) | st.booleans() | st.integers(0, 9) | st.none() | st.sampled_from(NAMES)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)


def paths(content, path=()):
    """The paths of all values of a configuration."""
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in inner:
        yield (*path, key)
        yield from paths(value, (*path, key))


@st.composite
def mutations(draw):
    """A changed configuration, and the path of the change."""
    config = default()
    path = draw(st.sampled_from(sorted(paths(config), key=str)))
    place = config
    for key in path[:-1]:
        place = place[key]
    match draw(st.sampled_from(["replace", "remove", "rename", "insert"])):
        case "replace":
            place[path[-1]] = draw(VALUES)
        case "remove":
            del place[path[-1]]
        case "rename" if isinstance(place, dict):
            renamed = draw(KEYS)
            place[renamed] = place.pop(path[-1])
            path = (*path, renamed if isinstance(renamed, str) else shown(renamed))
        case _ if isinstance(place, dict):
            key = draw(KEYS)
            place[key] = draw(VALUES)
            path = (*path[:-1], key)
        case _:
            place.insert(0, draw(VALUES))
    return config, path


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(mutations())
def test_a_changed_configuration_is_valid_or_refused_by_name(mutation):
    config, path = mutation
    problems = reading.configuration_problems(config)
    names = [str(key) for key in path[-3:] if key != "studies" and type(key) is not int]
    assert not problems or not names or any(name in problem for problem in problems for name in names), (path, problems)
    assert all("Fix it in" in problem for problem in problems)
    if not problems:  # a valid configuration can be read
        studies = reading.read(config, []).studies.values()
        assert all(math.isfinite(study.training.learning_rate) and study.seeds > 0 for study in studies)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, 2500), length=st.integers(0, 40), text=st.text(max_size=12))
def test_a_changed_file_is_checked_or_refused(start, length, text, tmp_path):
    file = tmp_path / "mine.yaml"
    content = TINY.read_text(encoding="utf-8")
    file.write_text(content[:start] + text + content[start + length :], encoding="utf-8", newline="")
    problem = files.unusable(file)
    if problem is None:
        config = combined(default(), yaml.safe_load(file.read_text(encoding="utf-8")))
        assert all(
            "mine.yaml" in problem or "Fix it in" in problem
            for problem in reading.configuration_problems(config, [DEFAULT, file])
        )
    else:
        assert problem.endswith(".") and "\n" not in problem


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60))
def test_any_bytes_are_a_configuration_or_refused(content, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    assert files.unusable(file) or isinstance(yaml.safe_load(file.read_text(encoding="utf-8")), dict)
