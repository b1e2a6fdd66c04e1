"""The list of planted faults fits the code, and its report names what survives."""

from pathlib import Path

from faults import MODULES, module
from plant import misplaced, report


def test_every_planted_fault_is_found_in_its_file():
    """If a line changes, change its faults in tests/mutations/faults.py as well."""
    assert misplaced() == []


def test_every_module_names_tests_that_exist():
    assert all((Path(__file__).parents[2] / test).is_file() for each in MODULES for test in each.tests)


def test_a_fault_whose_original_text_is_gone_is_named(tmp_path):
    (tmp_path / "src/weight_importance").mkdir(parents=True)
    (tmp_path / "src/weight_importance/a.py").write_text("x = 1\ny = 1\n")
    planted = module("a", "a", ("a.py", "x = 1", "x = 2"), ("a.py", "= 1", "= 2"), ("b.py", "x", "y"))
    first, second = misplaced([planted], tmp_path)
    assert "'= 1' occurs 2 times" in first and "b.py: 'x' occurs 0 times" in second


def test_survivors_without_a_reason_and_too_many_of_them_are_failures(capsys):
    faults = [("a.py", f"x = {number}", "x = 0") for number in range(39)]
    of = module("a", "a", *faults, ("a.py", "y", "z", "no test can"))
    planted = [(of, fault) for fault in of.faults]
    only_the_last = [False] * 39 + [True]
    assert report(planted, only_the_last) == 0
    assert "a                                      40       39" in capsys.readouterr().out
    assert report(planted, [True, *only_the_last[1:]]) == 1
    assert "x = 0 -> x = 0\n          no reason is known" in capsys.readouterr().out
    assert report(planted, [False] * 40) == 1, "a reason that is none"
    assert report(planted[-10:], only_the_last[-10:]) == 1, "nine of ten are too few"
