"""Networks are drawn from a generator of the test's own; small and stand-in ones of others."""

import importlib
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from sktl._random import torch_seed

# Collected, they would be imported under the names of what they stand for.
collect_ignore = ["standins"]


@pytest.fixture(autouse=True)
def seeded():
    with torch_seed(0):
        yield


@pytest.fixture
def torchvision_models(monkeypatch):
    """Stand-ins in place of ``torchvision.models``."""
    names = [name for name in sys.modules if name.partition(".")[0] == "torchvision"]
    for name in names:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(Path(__file__).parent / "standins")
    yield importlib.import_module("torchvision.models")
    for name in ("torchvision", "torchvision.models"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="session")
def transformers():
    """The package without torchaudio: AST's features are then float64, and nothing has to load."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "torchaudio", None)
        package = pytest.importorskip("transformers", reason="needs the extra [hf]")
        for name in ("is_torchaudio_available", "is_speech_available"):
            getattr(getattr(package.utils.import_utils, name), "cache_clear", lambda: None)()
        for name in ("audio_spectrogram_transformer", "clap"):
            importlib.import_module(f"transformers.models.{name}.feature_extraction_{name}")
    return package


SPEECH = {
    **{"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2},
    **{"intermediate_size": 32, "conv_dim": (16, 16), "conv_kernel": (10, 3)},
    **{"conv_stride": (5, 2), "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2},
}
STABLE = {**SPEECH, "feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
BUCKETS = {"num_buckets": 16, "max_bucket_distance": 40}
WHISPER = {
    **{"d_model": 24, "encoder_layers": 3, "encoder_attention_heads": 2, "encoder_ffn_dim": 32},
    **{"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 32},
    **{"max_source_positions": 50, "num_mel_bins": 20, "vocab_size": 50, "pad_token_id": 0},
    **{"bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1},
}
AST = {
    **{"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2},
    **{"intermediate_size": 32, "max_length": 96, "num_mel_bins": 32},
}
CLAP = {
    **{"patch_embeds_hidden_size": 16, "hidden_size": 32, "depths": [2, 2]},
    **{"num_attention_heads": [2, 4], "num_hidden_layers": 2, "spec_size": 64},
    **{"num_mel_bins": 16, "window_size": 4},
}
CLAP_INPUT = {
    **{"feature_size": 16, "sampling_rate": 16000, "max_length_s": 1, "hop_length": 100},
    **{"fft_window_size": 512, "frequency_max": 7000},
}
FUSED = {"enable_fusion": True, "fusion_type": "aff_2d"}
# Name: model, configuration, feature extractor and its settings.
NETWORKS = {
    "wav2vec2": ("Wav2Vec2", SPEECH, "Wav2Vec2", {}),
    "wav2vec2-stable": ("Wav2Vec2", STABLE, "Wav2Vec2", {"return_attention_mask": True}),
    "hubert": ("Hubert", SPEECH, "Wav2Vec2", {"do_normalize": False}),
    "hubert-stable": ("Hubert", STABLE, "Wav2Vec2", {"return_attention_mask": True}),
    "wavlm": ("WavLM", SPEECH | BUCKETS, "Wav2Vec2", {"do_normalize": False}),
    "wavlm-stable": ("WavLM", STABLE | BUCKETS, "Wav2Vec2", {"return_attention_mask": True}),
    "whisper": ("Whisper", WHISPER, "Whisper", {"feature_size": 20, "chunk_length": 1}),
    "ast": ("AST", AST, "AST", {"num_mel_bins": 32, "max_length": 96}),
    "clap": ("ClapAudio", CLAP, "Clap", {**CLAP_INPUT, "truncation": "rand_trunc"}),
    "clap-fused": ("ClapAudio", CLAP | FUSED, "Clap", CLAP_INPUT),
}


@pytest.fixture(scope="session")
def outputs_of():
    """What every block makes of one clip."""

    @torch.no_grad()
    def run(body, clip):
        [values] = body.front_end([torch.from_numpy(clip)])
        return [values := block(values) for block in body.blocks]

    return run


class Saved(NamedTuple):
    """A network of transformers, in a folder as ``save_pretrained`` writes it."""

    folder: Any
    model: torch.nn.Module
    extractor: Any

    @property
    def name(self):
        return f"hf:{self.folder}"

    @property
    def is_whisper(self):
        return self.model.config.model_type == "whisper"

    def inputs(self, clip, **options):
        """What the feature extractor makes of clips; CLAP's draws from numpy's generator."""
        state = np.random.get_state()  # noqa: NPY002 (put back)
        rate = {"sampling_rate": self.extractor.sampling_rate, "return_tensors": "pt"}
        made = self.extractor(clip, **rate, **options)
        np.random.set_state(state)  # noqa: NPY002
        return {k: v.float() if v.is_floating_point() else v for k, v in made.items()}

    @torch.no_grad()
    def run(self, clip):
        """Output of the encoder for one clip alone, by hand."""
        inputs = self.inputs(clip)
        inputs.pop("attention_mask", None)
        encoder = self.model.encoder if self.is_whisper else self.model
        return encoder(**inputs, output_hidden_states=True)


def save_network(transformers, name, folder, **changes):
    """Make the network `name` with weights that matter, and save it."""
    model, settings, extractor, options = NETWORKS[name]
    config = getattr(transformers, f"{model}Config")(**settings | changes)
    with torch_seed(0), torch.no_grad():
        made = getattr(transformers, f"{model}Model")(config).eval()
        for key, value in made.state_dict().items():
            if value.is_floating_point() and not key.endswith(("embed_positions", "running_var")):
                value += 0.05 * torch.randn(value.shape)
        prepare = getattr(transformers, f"{extractor}FeatureExtractor")(**options)
        made.save_pretrained(folder)
        prepare.save_pretrained(folder)
    return Saved(folder, made, prepare)


@pytest.fixture(scope="session")
def saved_networks(transformers, tmp_path_factory):
    """One small network of each kind."""
    return {
        name: save_network(transformers, name, tmp_path_factory.mktemp(name)) for name in NETWORKS
    }


@pytest.fixture
def saved(saved_networks, request):
    """The network that the parameter names."""
    return saved_networks[request.param]


@pytest.fixture
def save(transformers, tmp_path):
    """Save a network of changed configuration."""
    return lambda name, **changes: save_network(transformers, name, tmp_path / name, **changes)
