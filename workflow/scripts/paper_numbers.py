r"""Write LaTeX macros: the numbers in the paper's text (``\result{key}``), which claims hold, the table of estimators.

Not named ``numbers.py``: a program's folder comes first on Python's path, and would hide the standard ``numbers``.
"""

import argparse
from functools import partial
from pathlib import Path

from weight_importance.files.storage import read_table, write_text
from weight_importance.files.tables import COLUMNS, EXPLANATION
from weight_importance.findings import publications, published
from weight_importance.findings.study import by_study
from weight_importance.paper import catalogue, claims
from weight_importance.paper.numbers import collect, render
from weight_importance.runtime.errors import run_program
from weight_importance.settings import Configuration
from weight_importance.settings.jobs import parse


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings", type=partial(parse, Configuration), required=True, help="the whole configuration as JSON"
    )
    parser.add_argument("--summary", type=Path, required=True, help="folder of the summary tables")
    parser.add_argument("--published", type=Path, required=True, help="folder of the published results")
    parser.add_argument("--output", type=Path, required=True, help="output: macros (.tex)")
    arguments = parser.parse_args()
    explained = any("explanation" in study.analyses for study in arguments.settings.studies.values())
    names = [name for name in COLUMNS if explained or name not in EXPLANATION]
    readers = published.retention, published.pruning, publications.published
    literature = tuple(read(arguments.published) for read in readers)
    tables = {name: read_table(arguments.summary / f"{name}.csv", COLUMNS[name]) for name in names}
    findings = by_study(tables, arguments.settings.studies)
    results = collect(arguments.settings, tables, literature, findings)
    failed = claims.unsupported(findings, results)
    text = render(results) + claims.render(failed, arguments.settings.claims) + catalogue.render()
    write_text(arguments.output, text)


if __name__ == "__main__":
    run_program(main)
