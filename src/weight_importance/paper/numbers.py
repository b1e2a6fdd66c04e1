r"""Every number that the text of the paper quotes, by key, and the checked claims, as LaTeX macros.

A key is a path, ``mlp_permuted_mnist/retention/mas/selected/test/mean``; the text writes ``\result{key}``. An unknown
key stops LaTeX. Keys are derived from the tables, so that new rows add keys. Accuracies are in per cent. Every value
records its source rows (:mod:`weight_importance.files.derivation`).
"""

from collections.abc import Callable, Mapping

import pandas as pd

from weight_importance.files.derivation import completed
from weight_importance.findings.ablations import ablations_of
from weight_importance.findings.study import Findings, by_study
from weight_importance.paper.ablations import ablations
from weight_importance.paper.atlas import atlas
from weight_importance.paper.baselines import baselines
from weight_importance.paper.benchmarks import benchmarks
from weight_importance.paper.configuration import configuration, constants, layers, scale, versions
from weight_importance.paper.correlation import correlation
from weight_importance.paper.explanation import explanation
from weight_importance.paper.macros import Results
from weight_importance.paper.pruning import pruning
from weight_importance.paper.reproduction import reproduction
from weight_importance.paper.retention import accuracies, baseline, ranking
from weight_importance.paper.variants import variation
from weight_importance.settings import Configuration, Study

MACROS = r"""% Generated; every number of the text by its key.
\makeatletter
\newcommand\defineresult[2]{\expandafter\gdef\csname result@#1\endcsname{#2}}
\newcommand\result[1]{\ifcsname result@#1\endcsname\csname result@#1\endcsname\else
  \PackageError{results}{Unknown result '#1'}{The keys are listed in numbers.tex.}\fi}
\newcommand\ifresult[3]{\ifcsname result@#1\endcsname#2\else#3\fi}
\makeatother
"""


def render(results: Results) -> str:
    r"""Render the macros ``\result{key}`` and ``\ifresult{key}{then}{else}``, and all keys."""
    lines = [rf"\defineresult{{{key}}}{{{value}}}" for key, value in sorted(results.items())]
    return MACROS + "\n".join(lines) + "\n"


def collect(
    config: Configuration,
    tables: Mapping[str, pd.DataFrame],
    published: tuple[pd.DataFrame, ...],
    findings: Mapping[str, Findings] | None = None,
) -> Results:
    """Collect all results.

    Args:
        config: the whole configuration.
        tables: summary tables by name, as in :data:`weight_importance.files.tables.COLUMNS`.
        published: tables of retention and pruning from :mod:`weight_importance.findings.published`, and the table from
            :mod:`weight_importance.findings.publications`.
        findings: findings of every study of the configuration, if already computed.
    """
    module = f"{__package__}.configuration"
    results = completed(configuration(config.model_dump(mode="json")), f"{module}.configuration")
    results |= completed(versions(), f"{module}.versions") | completed(constants(), f"{module}.constants")
    for study, of_study in (findings or by_study(tables, config.studies)).items():
        values = _of_study(study, config.studies[study], of_study) | _compared(config, study, tables, published)
        results |= {f"{study}/{key}": value for key, value in values.items()}
    return results


def _of_study(study: str, settings: Study, findings: Findings) -> Results:
    results = _made(scale, study, study, settings) | _made(layers, study, study, settings)
    own = settings.companion_of is None  # a companion appears in the comparisons of another study
    topics: dict[Callable[[Findings], Results], bool] = {
        baseline: findings.has("baseline"),
        accuracies: findings.has("retention"),
        correlation: own and findings.has("correlation") and "correlation" in settings.analyses,
        atlas: findings.has("correlation") and "atlas" in settings.analyses,
        pruning: findings.has("pruning"),
        explanation: findings.has("explanation_agreement"),
        ablations: bool(ablations_of(findings.tables["retention"])),
        ranking: own and findings.has("retention") and "none" in settings.retained(),
        baselines: own and findings.has("retention") and "none" in settings.retained(),
    }
    for topic, has in topics.items():
        if has:
            results |= _made(topic, study, findings)
    return results


def _compared(
    config: Configuration,
    study: str,
    tables: Mapping[str, pd.DataFrame],
    published: tuple[pd.DataFrame, ...],
) -> Results:
    """Comparisons of a study with its companions, and with published results."""
    results: Results = {}
    analyses = config.studies[study].analyses
    family = {name: config.studies[name] for name in (study, *config.companions(study))}
    if "variants" in analyses:
        results |= _made(variation, study, study, family, tables["retention"])
    if "reproduction" in analyses:
        observed = tables["retention"], tables["pruning"]
        results |= _made(reproduction, study, study, family, observed, published[:2])
    if "benchmarks" in analyses:
        results |= _made(benchmarks, study, study, family, tables["retention"], published[2])
    return results


def _made(make: Callable[..., Results], study: str, *arguments: object) -> Results:
    """Results of a function; rows without another condition are restricted to the study."""
    return completed(make(*arguments), f"{make.__module__}.{make.__name__}", study=study)
