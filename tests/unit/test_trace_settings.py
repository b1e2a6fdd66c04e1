"""Names of the configuration keys that a stage's settings come from."""

import json

import pytest

from configurations import DEFAULT, STUDY, default
from formatting import configuration_keys
from weight_importance.settings import ImportanceJob, RetentionJob, TrainingJob, reading
from weight_importance.settings.explanation_jobs import DecompositionJob


@pytest.mark.parametrize(
    ("job", "others", "expected"),
    [
        (ImportanceJob, [], {"importance.samples"}),
        (TrainingJob, [["loss"]], {"training", "protocol.carry_adam", "protocol.reused_adam"}),
        (RetentionJob, ["mas"], {"importance.samples", "retention", "retention.lambdas", "training"}),
        (DecompositionJob, [], {"explanation.samples", "explanation.estimators"}),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_settings_are_named_by_the_section_that_they_come_from(job, others, expected):
    config = reading.read(default(), [DEFAULT])
    settings = json.loads(job.of(STUDY, config.studies[STUDY], (0,), *others).model_dump_json())
    study, _, keys = configuration_keys(settings, config.model_dump(mode="json")).partition(": ")
    assert study == f"studies.{STUDY}"
    assert expected <= set(keys.split("; ")[0].split(", ")), keys
