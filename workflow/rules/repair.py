"""Looking over existing results before anything is planned: a damaged one is set aside, and so made anew."""

import re
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from weight_importance.integrity import damage

# Snakemake's options with which nothing is run: then nothing is renamed either
ONLY_TELLS = re.compile(
    "--(dry-?run|lint|report|dag|rulegraph|filegraph|d3dag|list.*|l[tcipu]|summary|detailed-summary|unlock|touch|archive|"
    "generate-unit-tests|containerize|export-cwl|cleanup-.*|cm|conda-.*|delete-.*|print-compilation)(=.*)?|"
    "-[a-zA-Z]*n[a-zA-Z]*|-[lSDt]"
)


# Those of them that tell what would be run
PLANS = re.compile(
    "--(dry-?run|dag|rulegraph|filegraph|d3dag|summary|detailed-summary)(=.*)?|-[a-zA-Z]*n[a-zA-Z]*|-[SD]"
)


def set_damaged_aside(results: str | Path, arguments: Sequence[str]) -> None:
    """Name every damaged file on standard error and rename it to ``NAME.altered``, in case a person wrote into it.

    Where Snakemake will run nothing it is only named, and where it plans (a dry run) counted as absent, as in the run
    itself.

    Args:
        results: the folder of results.
        arguments: Snakemake's command line.
    """
    only_tells = any(ONLY_TELLS.fullmatch(argument) for argument in arguments)
    gone: set[Path] = set()
    for file, problem in damaged(results):
        aside = file.with_name(f"{file.name}.altered")
        told = "would be renamed" if only_tells else "renamed"
        print(f"{file}: {problem}: {told} to {aside.name}; made anew when needed", file=sys.stderr)
        gone.add(file)
        page = file.with_suffix(".html")
        if file.suffix == ".ipynb":  # an executed notebook is a log: it is its page that is made anew
            gone.add(page)
        if not only_tells:
            file.replace(aside)
            if page in gone:
                page.unlink(missing_ok=True)
    if gone and any(PLANS.fullmatch(argument) for argument in arguments):
        count_as_absent(gone)


def count_as_absent(files: Collection[Path]) -> None:
    """Have Snakemake, in this process, plan as if ``files`` were not there; it has no option for that."""
    from snakemake.io import _IOFile

    names, exists = {str(file) for file in files}, _IOFile.exists_local

    async def exists_local(file: _IOFile) -> bool:
        return str(file) not in names and await exists(file)

    _IOFile.exists_local = exists_local


def damaged(results: str | Path) -> Iterator[tuple[Path, str]]:
    """Results that are not what was written, with what is wrong with each; files without a seal are not ours."""
    for seal in sorted(Path(results).rglob(".*.sha256")):
        file = seal.with_name(seal.name.removeprefix(".").removesuffix(".sha256"))
        problem = damage(file) if file.is_file() else None
        if problem:
            yield file, problem
