"""Settings: immutable models of what is computed, with every limit and cross-field check on its field or model."""

from weight_importance.settings.configuration import Configuration, Correlation, stand_in
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
    L2,
    UNPENALISED,
    Duration,
    Importance,
    LaterTasks,
    Protocol,
    Pruning,
    Retention,
    Training,
)
from weight_importance.settings.networks import FullyConnected, Network, described
from weight_importance.settings.studies import Study
from weight_importance.settings.tasks import FirstTask, Images, Inputs, PermutedTasks, RotatedTasks, SplitTasks, Tasks

__all__ = [
    "KUTALEV_LAPINA",
    "L2",
    "UNPENALISED",
    "ConfidenceJob",
    "Configuration",
    "Correlation",
    "CorrelationJob",
    "DecompositionJob",
    "Duration",
    "EvaluationJob",
    "Explanation",
    "FirstTask",
    "FullyConnected",
    "Images",
    "Importance",
    "ImportanceJob",
    "Inputs",
    "LaterTasks",
    "Network",
    "OnAllTasks",
    "Optimisation",
    "PermutedTasks",
    "Protocol",
    "Pruning",
    "PruningJob",
    "Retention",
    "RetentionJob",
    "RotatedTasks",
    "SplitTasks",
    "Study",
    "Tasks",
    "Training",
    "TrainingJob",
    "Trajectories",
    "TrajectoriesJob",
    "described",
    "stand_in",
]
