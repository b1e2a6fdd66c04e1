"""Settings: what is computed, as immutable models with every limit and cross-field check on the field or the model."""

from weight_importance.settings.configuration import Configuration, Correlation
from weight_importance.settings.explanation import Explanation, Trajectories
from weight_importance.settings.explanation_jobs import ConfidenceJob, DecompositionJob, TrajectoriesJob
from weight_importance.settings.jobs import (
    CorrelationJob,
    EvaluationJob,
    ImportanceJob,
    OnAllTasks,
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
    "ConfidenceJob",
    "Configuration",
    "Correlation",
    "CorrelationJob",
    "DecompositionJob",
    "EvaluationJob",
    "Explanation",
    "FirstTask",
    "Images",
    "Importance",
    "ImportanceJob",
    "LaterTasks",
    "OnAllTasks",
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
    "TrajectoriesJob",
]
