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
    plotting,
)
from .adaptation import CORALTransformer
from .classifiers import (
    DANNClassifier,
    DomainAdaptiveClassifier,
    FineTunedClassifier,
    MMDAligner,
)
from .embedding import PretrainedEmbedding
from .features import LPC, MFCC, FeatureFusion, MelSpectrogram

__all__ = [
    "LPC",
    "MFCC",
    "CORALTransformer",
    "DANNClassifier",
    "DomainAdaptiveClassifier",
    "FeatureFusion",
    "FineTunedClassifier",
    "MMDAligner",
    "MelSpectrogram",
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
    "plotting",
]
