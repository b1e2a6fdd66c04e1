"""The list of planted faults fits the code, and its report names survivors."""

from pathlib import Path

from faults import MODULES, module
from plant import misplaced, report


def test_every_planted_fault_occurs_in_its_file():
    """If a line changes, change its faults in tests/mutations/faults.py as well."""
    assert misplaced() == []


def test_every_module_names_existing_tests():
    assert all((Path(__file__).parents[2] / test).is_file() for each in MODULES for test in each.tests)


def test_a_missing_original_text_is_named(tmp_path):
    (tmp_path / "src/weight_importance").mkdir(parents=True)
    (tmp_path / "src/weight_importance/a.py").write_text("x = 1\ny = 1\n")
    planted = module("a", "a", ("a.py", "x = 1", "x = 2"), ("a.py", "= 1", "= 2"), ("b.py", "x", "y"))
    first, second = misplaced([planted], tmp_path)
    assert "'= 1' occurs 2 times" in first and "b.py: 'x' occurs 0 times" in second


def test_survivors_without_a_reason_or_too_many_are_failures(capsys):
    faults = [("a.py", f"x = {number}", "x = 0") for number in range(39)]
    planted_module = module("a", "a", *faults, ("a.py", "y", "z", "no test can"))
    planted = [(planted_module, fault) for fault in planted_module.faults]
    only_the_last = [False] * 39 + [True]
    assert report(planted, only_the_last) == 0
    assert "a                                      40       39" in capsys.readouterr().out
    assert report(planted, [True, *only_the_last[1:]]) == 1
    assert "x = 0 -> x = 0\n          no reason is known" in capsys.readouterr().out
    assert report(planted, [False] * 40) == 1, "a stale reason"
    assert report(planted[-10:], only_the_last[-10:]) == 1, "nine of ten are too few"
