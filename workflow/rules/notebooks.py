"""The registry of notebooks: inputs and outputs of each, and the studies that it is executed for.

Reads ``notebooks/registry.yaml``, the only list of notebooks, figures, captions and tables. Independent of
Snakemake.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

import grid
import places
from weight_importance.settings import Configuration, stand_in

REGISTRY = Path(places.source("notebooks/registry.yaml"))
PUBLISHED = Path(places.source("workflow/resources/published"))

OWN_ONLY = ("retention", "pruning", "correlation")
"""Analyses without notebooks for a companion; the notebooks of the study that it accompanies show its tables."""

Text = Annotated[str, StringConstraints(min_length=1)]


class Entry(BaseModel):
    """A part of the registry; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Figure(Entry):
    """A figure: its title and its caption in the report."""

    title: Text
    caption: Text


class Notebook(Entry):
    """A notebook: the analysis that it belongs to, its inputs and outputs."""

    analysis: Text
    title: Text
    summaries: list[Text] = Field(description="tables of the summary that it reads, where the study has them")
    runs: bool = Field(False, description="whether it reads importances of single weights")
    companions: bool = Field(False, description="whether it reads the tables of the study's companions")
    stand_in: bool = Field(
        False, description="whether it reads those of the study that follows the published protocol only"
    )
    published: bool = Field(False, description="whether it reads published results")
    estimators: list[Text] = Field([], description="estimators that it shows even if no study uses them")
    figures: dict[Text, Figure]
    tables: list[Text]


Registry = Mapping[str, Notebook]


def read(file: Path = REGISTRY) -> Registry:
    """The notebooks by name."""
    entries = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {name: Notebook.model_validate(entry) for name, entry in entries.items()}


def studies(configuration: Configuration, notebook: Notebook) -> list[str]:
    """The studies that a notebook is executed for: those that list its analysis."""
    return [
        name
        for name, study in configuration.studies.items()
        if notebook.analysis in study.analyses and not (study.companion_of and notebook.analysis in OWN_ONLY)
    ]


def figures(notebook: Notebook) -> list[str]:
    """The files of a notebook's figures; ``{study}`` is a placeholder."""
    return [f"results/figures/{name}-{{study}}.pdf" for name in notebook.figures]


def tables(notebook: Notebook) -> list[str]:
    """The files of a notebook's LaTeX tables; ``{study}`` is a placeholder."""
    return [f"results/tables/{name}-{{study}}.tex" for name in notebook.tables]


def of_all_studies(
    configuration: Configuration, registry: Registry, files: Callable[[Notebook], list[str]]
) -> list[str]:
    """The figures or the LaTeX tables (``files``) of all notebooks and studies."""
    return [
        file.format(study=study)
        for notebook in registry.values()
        for file in files(notebook)
        for study in studies(configuration, notebook)
    ]


def pages(configuration: Configuration, registry: Registry) -> list[str]:
    """The executed notebooks as pages."""
    return [
        f"results/notebooks/{name}-{study}.html"
        for name, notebook in registry.items()
        for study in studies(configuration, notebook)
    ]


def shown(configuration: Configuration, notebook: Notebook, study: str) -> list[str]:
    """The studies that a notebook shows together with a study, which comes first."""
    return [study, *(configuration.companions(study) if notebook.companions else ())]


def estimators(configuration: Configuration, notebook: Notebook, study: str) -> list[str]:
    """The estimators whose names a notebook shows for a study."""
    used = (grid.used(configuration.studies[name]) for name in shown(configuration, notebook, study))
    return sorted(set(notebook.estimators).union(*used))


def summaries(configuration: Configuration, notebook: Notebook, study: str) -> list[str]:
    """The tables that a notebook reads for a study."""
    together = shown(configuration, notebook, study)
    read = [
        (name, table)
        for table in notebook.summaries
        for name in ([stand_in(study, configuration.studies, table)] if notebook.stand_in else together)
    ]
    return [f"{grid.SUMMARY}/{name}/{table}.csv" for name, table in read if grid.has_table(configuration, name, table)]


def importances(configuration: Configuration, notebook: Notebook, study: str) -> list[str]:
    """The importances of single weights that a notebook reads for a study."""
    return [
        file
        for name in (shown(configuration, notebook, study) if notebook.runs else ())
        if configuration.studies[name].analyses
        for shard in grid.shards(configuration.studies[name])
        for file in grid.importances(configuration, name, shard)
    ]


def published(notebook: Notebook) -> list[str]:
    """The published results that a notebook reads."""
    return published_files() if notebook.published else []


def published_files() -> list[str]:
    """All published results."""
    return sorted(map(str, PUBLISHED.glob("*.csv")))


def write_captions(registry: Registry, folder: Path) -> None:
    """Write the caption of every figure into a file, as required by Snakemake's report."""
    folder.mkdir(parents=True, exist_ok=True)
    for notebook in registry.values():
        for name, figure in notebook.figures.items():
            file = folder / f"{name}.rst"
            if not file.is_file() or file.read_text(encoding="utf-8") != figure.caption:
                file.write_text(figure.caption, encoding="utf-8")
