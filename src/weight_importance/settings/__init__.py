"""Settings: immutable models of what is computed, with every limit and cross-field check on its field or model."""

from weight_importance.settings.configuration import Configuration, Correlation, stand_in
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
from weight_importance.settings.tasks import Images, Inputs, PermutedTasks, RotatedTasks, SplitTasks
