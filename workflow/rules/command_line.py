"""What Snakemake's command line asks for, as Snakemake itself reads it: short options in one word, values, profiles.

As a program: ends with status 0 if Snakemake, started with the same arguments, would run jobs.
"""

import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO

from snakemake.cli import parse_args

LOCAL = "local"
"""The executor whose jobs are processes of this machine, and do not outlive their run."""

PLANS = ("dryrun", "dag", "rulegraph", "filegraph", "d3dag", "summary", "detailed_summary")
"""Snakemake's options, as its parser names them, with which it tells what would be run, and runs nothing."""

TELLS = (
    *PLANS,
    *("lint", "list_target_rules", "list_rules", "print_compilation", "containerize", "generate_unit_tests", "unlock"),
    *("cleanup_metadata", "conda_cleanup_envs", "conda_create_envs_only", "list_conda_envs", "cleanup_shadow"),
    *("container_cleanup_images", "list_changes", "list_input_changes", "list_params_changes", "list_untracked"),
    *("archive", "delete_all_output", "delete_temp_output", "touch"),
)
"""All with which nothing is run; but for a report, which may also be made after a run."""


@dataclass(frozen=True)
class Asked:
    """What is asked of Snakemake: whether it runs jobs, or else tells what would be run; and what is to run jobs."""

    runs: bool
    plans: bool
    executor: str


def asked(arguments: Sequence[str]) -> Asked:
    """What Snakemake does with these arguments; nothing is said to run where it would not take them."""
    try:
        with redirect_stderr(StringIO()):  # it says there which profiles it reads, a second time
            options = vars(parse_args([*arguments])[1])
    except SystemExit:  # these are not its own: its library was called by another program
        return Asked(runs=False, plans=False, executor=LOCAL)
    executor = options["executor"] or LOCAL
    reports = (options["report"] or options["reporter"]) and not options["report_after_run"]
    tells = reports or executor in ("dryrun", "touch") or any(options[name] for name in TELLS)
    plans = executor == "dryrun" or any(options[name] for name in PLANS)
    return Asked(runs=not tells, plans=bool(plans), executor=executor)


if __name__ == "__main__":
    sys.exit(not asked(sys.argv[1:]).runs)
