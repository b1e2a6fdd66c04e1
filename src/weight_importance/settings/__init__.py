"""Settings: what is computed, as immutable models with every limit and cross-field check on the field or the model."""

from weight_importance.settings.configuration import Configuration, Correlation
from weight_importance.settings.explanation import Explanation, Trajectories
from weight_importance.settings.jobs import (
    CorrelationJob,
    EvaluationJob,
    ExplanationJob,
    ImportanceJob,
    Optimisation,
    PruningJob,
    RetentionJob,
    TrainingJob,
)
from weight_importance.settings.learning import (
    KUTALEV_LAPINA,
    Importance,
    LaterTasks,
    Protocol,
    Pruning,
    Retention,
    Training,
)
from weight_importance.settings.studies import Study
from weight_importance.settings.tasks import FirstTask, Images, PermutedTasks, RotatedTasks, Tasks

__all__ = [
    "KUTALEV_LAPINA",
    "Configuration",
    "Correlation",
    "CorrelationJob",
    "EvaluationJob",
    "Explanation",
    "ExplanationJob",
    "FirstTask",
    "Images",
    "Importance",
    "ImportanceJob",
    "LaterTasks",
    "Optimisation",
    "PermutedTasks",
    "Protocol",
    "Pruning",
    "PruningJob",
    "Retention",
    "RetentionJob",
    "RotatedTasks",
    "Study",
    "Tasks",
    "Training",
    "TrainingJob",
    "Trajectories",
]
