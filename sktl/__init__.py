"""Transfer learning for audio with scikit-learn's contract.

Public names are imported on first use: ``import sktl`` alone loads none of torch, skorch,
librosa and scikit-learn.
"""

import lazy_loader

__version__ = "0.1.0.dev0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
