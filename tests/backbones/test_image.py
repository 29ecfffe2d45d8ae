"""Pictures of spectrograms, and torchvision's networks on them."""

import hashlib
import io
import pickle
import sys
import threading
import warnings
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import librosa
import matplotlib
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.base import clone
from torch import nn

from sktl import FineTunedClassifier, PretrainedEmbedding
from sktl.backbones import (
    ImageBackbone,
    ModuleHandle,
    fingerprint,
    input_kind,
    make_backbone,
    save_backbone,
)
from sktl.exceptions import DownloadError, WeightsError

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
INCEPTION = {"transform_input": True, "init_weights": True}


@pytest.fixture(scope="module")
def clip():
    rng = np.random.default_rng(0)
    time = np.arange(40_000) / 16000
    tones = 0.3 * np.sin(2 * np.pi * 440 * time) * (time > 0.3)
    return tones + 0.001 * rng.standard_normal(len(time))


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(0)
    lengths = (12_000, 30_000, 16_000, 16_000)
    return [0.1 * rng.standard_normal(n).astype(np.float32) for n in lengths]


def levels_of(clip):
    """All of a clip, by librosa."""
    power = librosa.feature.melspectrogram(
        **{"y": clip, "sr": 16000, "n_fft": 1024, "win_length": 400, "hop_length": 160},
        **{"n_mels": 128, "pad_mode": "constant"},
    )
    return librosa.power_to_db(power, ref=np.max, top_db=80.0) / 80.0 + 1.0


def picture_of(levels, size, cmap=None):
    """Upright, stretched from the centres of its points, coloured and normalised."""
    stretched = levels[::-1]
    for _ in range(2):
        n = len(stretched)
        places = np.clip((np.arange(size) + 0.5) * n / size - 0.5, 0, n - 1)
        stretched = np.stack([np.interp(places, np.arange(n), row) for row in stretched.T])
    colours = matplotlib.colormaps[cmap](stretched)[..., :3] if cmap else stretched[..., None]
    return ((colours - MEAN) / STD).transpose(2, 0, 1)


def batch_statistics(model):
    """Make batch normalisation do something."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.running_mean, std=0.3)
    return model.eval()


def test_levels_are_librosas(torchvision_models, clip):
    [units] = ImageBackbone(weights=None).front_end([torch.from_numpy(clip)])
    levels = levels_of(clip)
    assert levels.shape == (128, 251)
    assert levels.min() == 0
    expected = np.stack([levels[:, start : start + 100] for start in (0, 50, 100, 150)])
    np.testing.assert_allclose(units.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("n_samples", "n_windows"), [(1, 1), (16_000, 1), (23_839, 1), (23_840, 2), (48_000, 5)]
)
def test_windows_of_one_second_every_half_second(torchvision_models, n_samples, n_windows):
    body = ImageBackbone(weights=None)
    [units] = body.front_end([torch.full((n_samples,), 0.1)])
    assert units.shape == (n_windows, 128, 100)
    assert body.unit_span(units.shape[1:]) == (1.0, 0.5, -0.005)


def test_silence_is_black_and_loudness_does_not_matter(torchvision_models, clip):
    body = ImageBackbone(weights=None)
    clip = torch.from_numpy(clip)
    silent, loud, quiet = body.front_end([torch.zeros(20_000), clip, 0.02 * clip])
    assert torch.equal(silent, torch.zeros(1, 128, 100))
    assert loud.amax() == 1
    torch.testing.assert_close(quiet, loud)


@pytest.mark.parametrize("cmap", [None, "viridis", "tab10"])
def test_pictures_are_matplotlibs(torchvision_models, clip, cmap):
    to_images = ImageBackbone(cmap=cmap, weights=None).double().blocks[0][0]
    levels = levels_of(clip)[:, :100]
    pictures = to_images(torch.from_numpy(levels)[None])
    expected = picture_of(levels, 64, cmap)
    assert pictures.shape == (1, 3, 64, 64)
    assert pictures.is_contiguous()
    # Where a level lies between two colours, rounding may give either.
    other = np.abs(pictures[0].numpy() - expected).max(0) > 1e-6
    assert other.mean() < (0.01 if cmap else 1e-9)


@torch.no_grad()
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("name", ["alexnet", "densenet121", "inception_v3", "resnet18", "vgg16"])
def test_embeddings_are_those_of_the_network_without_its_head(
    torchvision_models, clip, tmp_path, name, dtype, tolerance
):
    options = INCEPTION if name == "inception_v3" else {}
    model = batch_statistics(torchvision_models.get_model(name, **options)).to(dtype)
    save_file(model.state_dict(), tmp_path / "all.safetensors")
    body = make_backbone(
        f"torchvision:{name}", weights=tmp_path / "all.safetensors", dtype=dtype
    ).eval()
    [units] = body.front_end([torch.from_numpy(clip).to(dtype)])
    head = "fc" if hasattr(model, "fc") else "classifier"
    top = getattr(model, head)
    hidden = top[:-1] if isinstance(top, nn.Sequential) else nn.Identity()
    setattr(model, head, hidden)
    expected = model(body.blocks[0][0](units))
    assert expected.std() > 1e-3
    torch.testing.assert_close(body(units), expected, rtol=tolerance, atol=tolerance)


@torch.no_grad()
@pytest.mark.parametrize(
    "name",
    ["convnext_tiny", "densenet121", "inception_v3", "mobilenet_v3_small", "resnet18", "vgg11"],
)
def test_embeddings_of_torchvision_itself(clip, tmp_path, name):
    with warnings.catch_warnings(action="ignore"):
        try:
            from torchvision import models
        except (ImportError, RuntimeError) as error:
            pytest.skip(f"torchvision does not load here: {error}")
    options, size = (INCEPTION, 299) if name == "inception_v3" else ({}, 224)
    model = batch_statistics(models.get_model(name, **options))
    save_file(model.state_dict(), tmp_path / "all.safetensors")
    body = make_backbone(f"torchvision:{name}", weights=tmp_path / "all.safetensors").eval()
    [units] = body.front_end([torch.from_numpy(clip[:16_000]).float()])
    pictures = body.blocks[0][0](units)
    assert pictures.shape == (1, 3, size, size)
    top = getattr(model, "fc", None) or model.classifier
    given = []
    last = top[-1] if isinstance(top, nn.Sequential) else top
    last.register_forward_hook(lambda layer, inputs, output: given.append(inputs[0]))
    model(pictures)
    scale = given[0].abs().max()
    torch.testing.assert_close(body(units) / scale, given[0] / scale, rtol=1e-4, atol=1e-5)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SKTL_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "weights"


@pytest.fixture
def publish(torchvision_models, monkeypatch):
    """Give a network's weights an address on this machine; returns what was asked for."""
    pages, hits = {}, []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            hits.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(pages[self.path])))
            self.end_headers()
            self.wfile.write(pages[self.path])

        def log_message(self, *args):
            pass

    def add(name, state, digits=None):
        file = io.BytesIO()
        # As torchvision's older files are.
        torch.save(state, file, _use_new_zipfile_serialization=False)
        content = file.getvalue()
        digits = digits or hashlib.sha256(content).hexdigest()[:8]
        pages[f"/{name}-{digits}.pth"] = content
        address = f"http://127.0.0.1:{server.server_port}/{name}-{digits}.pth"
        monkeypatch.setitem(torchvision_models.URLS, name, address)
        return hits

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield add
        server.shutdown()
        thread.join()


def test_published_weights_are_downloaded_once(torchvision_models, publish, home):
    model = batch_statistics(torchvision_models.get_model("resnet18"))
    hits = publish("resnet18", model.state_dict())
    with pytest.warns(UserWarning, match="is kept in .* and checked from now on"):
        body = make_backbone("torchvision:resnet18")
    assert torch.equal(body.blocks[4][1].conv2.weight, model.layer4[1].conv2.weight)
    assert torch.equal(body.blocks[0][1][1].running_mean, model.bn1.running_mean)
    assert body.fixed_statistics
    assert fingerprint(ImageBackbone()) == fingerprint(body)
    assert len(hits) == 1
    [path] = home.glob("resnet18-*.pth")
    path.write_bytes(b"other" + path.read_bytes())
    with pytest.raises(WeightsError, match="it is damaged or another file"):
        make_backbone("torchvision:resnet18")


def test_another_file_than_its_name_says_is_not_kept(torchvision_models, publish, home):
    publish("resnet18", torchvision_models.get_model("resnet18").state_dict(), digits="00c0ffee")
    with pytest.raises(DownloadError, match="expected SHA-256 00c0ffee, received"):
        make_backbone("torchvision:resnet18")
    assert list(home.glob("*")) == []


def test_old_names_and_heads_of_other_sizes_are_understood(torchvision_models, tmp_path):
    model = batch_statistics(torchvision_models.get_model("densenet121"))
    state = model.state_dict()
    for key in list(state):
        if "denselayer" in key:
            *start, layer, value = key.split(".")
            state[".".join([*start, layer[:-1], layer[-1], value])] = state.pop(key)
    assert "features.denseblock1.denselayer1.norm.2.weight" in state
    state |= {"classifier.weight": torch.zeros(3, 9), "classifier.bias": torch.zeros(3)}
    save_file(state, tmp_path / "old.safetensors")
    body = make_backbone("torchvision:densenet121", weights=tmp_path / "old.safetensors")
    layer = model.features.denseblock2.denselayer1
    assert torch.equal(body.blocks[3].denselayer1.norm2.weight, layer.norm2.weight)


def test_weights_of_another_network_are_refused(torchvision_models, tmp_path):
    save_file(torchvision_models.get_model("alexnet").state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(
        WeightsError, match=r"another network \(100 missing.* 10 unexpected: features\.0"
    ):
        make_backbone("torchvision:resnet18", weights=tmp_path / "w.safetensors")


def test_names_that_are_not_known(torchvision_models):
    for name, hint in (
        ("resnet81", "did you mean 'resnet18'"),
        ("fcn", r".*list_models\(\) gives"),
    ):
        with pytest.raises(ValueError, match=f"no classification model '{name}'; {hint}"):
            make_backbone(f"torchvision:{name}", weights=None)
    with pytest.raises(ValueError, match=r"cmap='virids' is no colour map .*mean 'viridis'"):
        ImageBackbone(cmap="virids", weights=None)
    with pytest.raises(
        ValueError, match=r"torchvision:vit_b_16' is none of .* give one of the fam"
    ):
        make_backbone("torchvision:vit_b_16", weights=None)
    with pytest.raises(ValueError, match="weights='pretraned' is not understood"):
        ImageBackbone(weights="pretraned")


@pytest.mark.parametrize("error", ["ImportError('none')", "RuntimeError('operator nms')"])
def test_without_torchvision_the_extra_is_named(monkeypatch, tmp_path, error):
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "torchvision.py").write_text(f"raise {error}")
    monkeypatch.syspath_prepend(tmp_path)
    assert input_kind("torchvision:resnet18") == "waveform"
    message = r"backbone='torchvision:resnet18' needs 'torchvision'.*pip install 'sktl\[image\]'"
    with pytest.raises(ImportError, match=message):
        make_backbone("torchvision:resnet18")


def test_without_matplotlib_the_extra_is_named(torchvision_models, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert make_backbone("torchvision:resnet18", weights=None).embedding_size == 12
    with pytest.raises(ImportError, match=r"cmap='magma' needs .*pip install 'sktl\[plot\]'"):
        make_backbone("torchvision:resnet18?cmap=magma", weights=None)


def test_colours_are_part_of_the_network(torchvision_models):
    torch.manual_seed(0)
    bodies = [ImageBackbone(weights=None)]
    for cmap in ("viridis", "magma", None):
        torch.manual_seed(0)
        bodies.append(ImageBackbone(cmap=cmap, weights=None))
    grey, *others = map(fingerprint, bodies)
    assert others[2] == grey
    assert len({*others}) == 3


def test_a_network_is_saved_with_its_colours(torchvision_models, tmp_path):
    body = ImageBackbone("vgg16", cmap="magma", weights=None)
    save_backbone(body, tmp_path / "mine.safetensors")
    assert input_kind(tmp_path / "mine.safetensors") == "waveform"
    assert fingerprint(make_backbone(tmp_path / "mine.safetensors")) == fingerprint(body)


@pytest.mark.parametrize("local", [False, True])
def test_embeddings_of_stages(torchvision_models, clips, local):
    name = "torchvision:vgg16"
    options = {"weights": None, "local": local, "random_state": 0}
    embedding = PretrainedEmbedding(name, layers=[1, 4, -1], **options).fit(clips)
    rows = embedding.transform(clips)
    widths = [6 * 16, 8 * 2, 16] if local else [6, 8, 16]
    assert rows.shape == (4, sum(widths))
    first, *_, last = embedding.get_feature_names_out()
    assert (first, last) == ("vgg16_b01_0000", "vgg16_b06_0015")
    np.testing.assert_array_equal(embedding.transform(clips[1:2]), rows[1:2])
    images = embedding.backbone_.front_end([torch.from_numpy(clips[1])])[0]
    images = embedding.backbone_.run_blocks(images, stop=2)
    assert images.shape == (2, 6, 16, 16)
    expected = images.mean((0, 3)).flatten() if local else images.mean((0, 2, 3))
    [row] = PretrainedEmbedding(name, layers=1, **options).fit_transform(clips[1:2])
    np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-6)


def image_backbone():
    return ImageBackbone("resnet18", "viridis", weights=None)


@pytest.mark.parametrize(
    "backbone",
    [
        "torchvision:resnet18?cmap=viridis",
        image_backbone,
        ModuleHandle(partial(ImageBackbone, "resnet18", cmap="viridis", weights=None)),
        None,
    ],
    ids=["name", "function", "handle", "module"],
)
@pytest.mark.parametrize("frozen_layers", [0, 3, "all"])
def test_classifiers_train_and_are_pickled(torchvision_models, clips, backbone, frozen_layers):
    weights = None if isinstance(backbone, str) else "pretrained"
    classifier = FineTunedClassifier(
        backbone or image_backbone(),
        weights=weights,
        frozen_layers=frozen_layers,
        max_epochs=1,
        random_state=0,
    )
    classifier = clone(classifier).fit(clips, ["a", "b", "a", "b"])
    probabilities = classifier.predict_proba(clips)
    assert probabilities.shape == (4, 2)
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.predict_proba(clips), probabilities)
    assert type(again.backbone_) is ImageBackbone
