"""Findings of one study, each computed once on first use, for macros and claims."""

import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

import pandas as pd

from weight_importance.files.tables import COLUMNS, TEXT
from weight_importance.findings import ablations, atlas, correlation, explanation, explanation_factors
from weight_importance.findings.baselines import with_baselines
from weight_importance.findings.retention import Ranking, ranking
from weight_importance.findings.selection import Curve, curves
from weight_importance.findings.tensors import weight_tensors
from weight_importance.settings import Study


def studies(settings: Mapping[str, Mapping]) -> dict[str, Study]:
    """Parse the settings of studies from their JSON form (the parameter of a notebook)."""
    return {name: Study.model_validate_json(json.dumps(study)) for name, study in settings.items()}


class Findings:
    """Tables of one study and the findings computed from them.

    Args:
        tables: rows of this study, by table name.
    """

    def __init__(self, tables: Mapping[str, pd.DataFrame]) -> None:
        self.tables = tables

    def has(self, name: str) -> bool:
        """Return whether the study has rows in a table."""
        return name in self.tables and not self.tables[name].empty

    @cached_property
    def correlation(self) -> pd.DataFrame:
        """See :func:`weight_importance.findings.correlation.beyond_null`."""
        return correlation.beyond_null(self.tables["correlation"], self.tables["correlation_null"])

    @cached_property
    def similarity(self) -> pd.DataFrame:
        """See :func:`weight_importance.findings.atlas.similarity`."""
        return atlas.similarity(self.tables["correlation"])

    @cached_property
    def ranking(self) -> Ranking:
        """See :func:`weight_importance.findings.retention.ranking`; without ablations."""
        return ranking(self.tables["retention"], self.tables["selected_lambda"])

    @cached_property
    def curves(self) -> dict[str, Curve]:
        """See :func:`weight_importance.findings.baselines.with_baselines`."""
        criterion = self.tables["selected_lambda"]["criterion"].iloc[0]
        return with_baselines(curves(self.tables["retention"], criterion))

    @cached_property
    def recovery(self) -> pd.DataFrame:
        """See :func:`weight_importance.findings.ablations.recovery`, by ``estimator`` and ``ablation``."""
        table = ablations.recovery(self.tables["retention"], self.tables["selected_lambda"])
        return table.set_index(["estimator", "ablation"], drop=False)

    @cached_property
    def weights(self) -> list[str]:
        """Weight tensors covered by the stage ``explanation``."""
        return weight_tensors(self.tables["explanation_factors"]["tensor"])

    @cached_property
    def confidence(self) -> pd.DataFrame:
        """See :func:`weight_importance.findings.explanation.along_confidence`, means over weight tensors."""
        return explanation.along_confidence(
            self.tables["explanation_agreement"], self.tables["explanation_confidence"], self.weights
        )

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """See :func:`weight_importance.findings.explanation.predictions`."""
        return explanation.predictions(
            self.tables["explanation_agreement"], self.tables["explanation_confidence"], self.weights
        )

    @cached_property
    def signal(self) -> pd.DataFrame:
        """See :func:`weight_importance.findings.explanation_factors.signal_signs`."""
        return explanation_factors.signal_signs(self.tables["explanation_signal"])


def by_study(tables: Mapping[str, pd.DataFrame], studies: Iterable[str] | None = None) -> dict[str, Findings]:
    """Findings by study.

    Args:
        tables: tables of all studies, by name.
        studies: names of studies; by default those in the tables, sorted.
    """
    names = (
        sorted({name for table in tables.values() for name in table["study"].unique()}) if studies is None else studies
    )
    return {
        study: Findings({name: table[table["study"] == study] for name, table in tables.items()}) for study in names
    }


def stored(folder: Path) -> dict[str, Findings]:
    """Findings by study of a run stored in a folder as ``NAME.csv`` or ``NAME.csv.gz``."""
    files = {file.name.partition(".")[0]: file for file in folder.glob("*.csv*")}
    kinds = dict.fromkeys(TEXT, str)
    tables = {
        name: pd.read_csv(file, dtype=kinds, keep_default_na=False, na_values=["nan"])
        for name, file in files.items()
        if name in COLUMNS
    }
    return by_study(tables)
