__version__: str

from . import (
    adaptation,
    audio,
    backbones,
    classifiers,
    datasets,
    embedding,
    exceptions,
    features,
    losses,
    model_selection,
    plotting,
)
from .adaptation import CORALTransformer
from .classifiers import (
    DANNClassifier,
    DistilledClassifier,
    DomainAdaptiveClassifier,
    FineTunedClassifier,
    MMDAligner,
    MultiTaskClassifier,
)
from .embedding import PretrainedEmbedding
from .features import LPC, MFCC, FeatureFusion, MelSpectrogram

__all__ = [
    "LPC",
    "MFCC",
    "CORALTransformer",
    "DANNClassifier",
    "DistilledClassifier",
    "DomainAdaptiveClassifier",
    "FeatureFusion",
    "FineTunedClassifier",
    "MMDAligner",
    "MelSpectrogram",
    "MultiTaskClassifier",
    "PretrainedEmbedding",
    "adaptation",
    "audio",
    "backbones",
    "classifiers",
    "datasets",
    "embedding",
    "exceptions",
    "features",
    "losses",
    "model_selection",
    "plotting",
]
