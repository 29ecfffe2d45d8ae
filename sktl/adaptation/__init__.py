"""Domain adaptation of features, without a network."""

from ._augmentation import FeatureAugmentation
from ._bands import BandStatisticsTransformer
from ._coral import CORALTransformer, coral_map
from ._reweighting import ImportanceWeightedClassifier
from ._scaling import DomainStandardScaler
from ._self_training import SelfTrainedClassifier
from ._shift import DomainShift
from ._subspace import SubspaceAlignmentTransformer
from ._tca import TCATransformer

__all__ = [
    "BandStatisticsTransformer",
    "CORALTransformer",
    "DomainShift",
    "DomainStandardScaler",
    "FeatureAugmentation",
    "ImportanceWeightedClassifier",
    "SelfTrainedClassifier",
    "SubspaceAlignmentTransformer",
    "TCATransformer",
    "coral_map",
]
