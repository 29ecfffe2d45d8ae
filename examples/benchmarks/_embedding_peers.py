"""The loops that users write today to embed clips with a pretrained network, one by one."""

import sys
import tempfile
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

Run = Callable[[], np.ndarray]


class NotInstalled(Exception):
    """Which package or data a comparison lacks."""


@dataclass(frozen=True)
class Case:
    """The same network on the same clips, by the peer's loop and by ours."""

    title: str
    peer: str
    remark: str
    clips: list[np.ndarray]
    run_peer: Run
    run_ours: Run
    body: torch.nn.Module
    adapt: Callable[[np.ndarray], np.ndarray] = np.asarray
    """What is done to our rows before they are compared."""


def audioset_case(name: str, clips: list[np.ndarray], device: str) -> Case:
    """YAMNet or VGGish as the package torch_vggish_yamnet runs them."""
    converter, net, sr = _audioset_peer(name)
    ours = _embedding(name, clips, device, weights=_weights_of(name, net))
    net = net.to(device).eval()

    @torch.no_grad()
    def embed(clip: np.ndarray) -> np.ndarray:
        # Its frames of 512 samples hold the window of 400 in the middle.
        padded = torch.nn.functional.pad(torch.from_numpy(clip)[None], (56, 56))
        patches = converter(padded, sr).to(device)
        found = net(patches)
        found = found[0] if isinstance(found, tuple) else found
        return found.reshape(len(patches), -1).mean(0).cpu().numpy()

    return Case(
        f"{name}, ESC-10",
        "torch_vggish_yamnet",
        "Its front end is told to cut frames and patches, and to weigh bands, as the published "
        "networks do.",
        clips,
        lambda: np.stack([embed(clip) for clip in clips]),
        lambda: ours.transform(clips),
        ours.backbone_,
    )


def _audioset_peer(name: str) -> tuple[Callable[..., torch.Tensor], torch.nn.Module, int]:
    try:
        from torch_vggish_yamnet import vggish, yamnet
        from torch_vggish_yamnet.input_proc import WaveformToInput
        from torch_vggish_yamnet.params import CommonParams, YAMNetParams
    except Exception as error:  # torchaudio, which it imports, may not load
        raise NotInstalled(f"torch_vggish_yamnet: {error}") from error
    from sktl.backbones import LogMelPatches
    from sktl.backbones._front_ends import mel_weights

    converter = WaveformToInput()
    front_end = converter.mel_trans_ope
    front_end.spectrogram.center = False
    ours = LogMelPatches()
    bands = mel_weights(ours.sr, ours.n_fft, ours.n_mels, ours.fmin, ours.fmax)
    front_end.mel_scale.fb = torch.as_tensor(bands, dtype=torch.float32)
    if name == "vggish":
        with torch.random.fork_rng():
            torch.manual_seed(0)
            net = vggish.get_vggish(with_classifier=False, pretrained=False)

        def convert(clip: torch.Tensor, sr: int) -> torch.Tensor:
            CommonParams.LOG_OFFSET = 0.01
            return converter(clip, sr)

        return convert, net, CommonParams.TARGET_SAMPLE_RATE

    def convert_overlapping(clip: torch.Tensor, sr: int) -> torch.Tensor:
        CommonParams.LOG_OFFSET, YAMNetParams.PATCH_HOP_SECONDS = 0.001, 0.48
        return converter.wavform_to_log_mel(clip, sr)[0]

    net = yamnet.yamnet(pretrained=False)
    net.load_state_dict(_published_yamnet())
    return convert_overlapping, net, CommonParams.TARGET_SAMPLE_RATE


def _published_yamnet() -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    from sktl._download import home

    path = home() / "weights" / "yamnet.safetensors"
    if not path.is_file():
        raise NotInstalled(f"no {path.name} in $SKTL_HOME/weights")
    return load_file(path)


def _weights_of(name: str, net: torch.nn.Module) -> Any:
    """The weights that the peer runs; VGGish's are random, which takes as long."""
    if name == "yamnet":
        return "pretrained"
    path = Path(tempfile.mkdtemp()) / "vggish.pth"
    torch.save(net.state_dict(), path)
    return path


def ge2e_case(clips: list[np.ndarray], device: str) -> Case:
    """Resemblyzer's ``embed_utterance``."""
    try:
        # Needed to shorten silences only, and to be compiled.
        sys.modules.setdefault("webrtcvad", types.ModuleType("webrtcvad"))
        from resemblyzer import VoiceEncoder, normalize_volume
    except ImportError as error:
        raise NotInstalled(f"Resemblyzer: {error}") from error
    encoder = VoiceEncoder(device, verbose=False)
    ours = _embedding("ge2e", clips, device)

    def embed(clip: np.ndarray) -> np.ndarray:
        return encoder.embed_utterance(normalize_volume(clip, -30, increase_only=True))

    return Case(
        "ge2e, FSDD",
        "Resemblyzer",
        "`normalize_volume` and `embed_utterance`.",
        clips,
        lambda: np.stack([embed(clip) for clip in clips]),
        lambda: ours.transform(clips),
        ours.backbone_,
        lambda rows: rows / np.linalg.norm(rows, axis=1, keepdims=True),
    )


def wav2vec2_case(clips: list[np.ndarray], device: str, title: str) -> Case:
    """Feature extractor, network and mean over time by transformers."""
    try:
        import transformers
    except ImportError as error:
        raise NotInstalled(f"transformers: {error}") from error
    folder = Path(tempfile.mkdtemp())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config()).eval()
    net.save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    net = transformers.AutoModel.from_pretrained(folder).to(device).eval()
    ours = _embedding(f"hf:{folder}", clips, device)

    @torch.no_grad()
    def embed(clip: np.ndarray) -> np.ndarray:
        values = extractor(clip, sampling_rate=16000, return_tensors="pt").to(device)
        return net(**values).last_hidden_state.mean(1)[0].cpu().numpy()

    return Case(
        title,
        "transformers",
        "`AutoFeatureExtractor` and `AutoModel`; wav2vec2-base with random weights, which take "
        "as long as trained ones.",
        clips,
        lambda: np.stack([embed(clip) for clip in clips]),
        lambda: ours.transform(clips),
        ours.backbone_,
    )


def _embedding(backbone: str, clips: list[np.ndarray], device: str, **options: Any) -> Any:
    from sktl import PretrainedEmbedding

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return PretrainedEmbedding(backbone, device=device, **options).fit(clips[:1])
