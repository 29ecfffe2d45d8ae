"""VGGish against a plain construction with the published names."""

import numpy as np
import pytest
import torch
from torch import nn

from sktl.backbones import VGGish, make_backbone
from sktl.exceptions import WeightsError


def published(seed=0):
    """The network as its checkpoint names it: `features` and `embeddings`."""
    torch.manual_seed(seed)
    layers, n_in = [], 1
    for width in (64, "M", 128, "M", 256, 256, "M", 512, 512, "M"):
        if width == "M":
            layers.append(nn.MaxPool2d(2, 2))
            continue
        layers += [nn.Conv2d(n_in, width, 3, padding=1), nn.ReLU()]
        n_in = width
    linear = [
        *(nn.Linear(512 * 4 * 6, 4096), nn.ReLU()),
        *(nn.Linear(4096, 4096), nn.ReLU()),
        *(nn.Linear(4096, 128), nn.ReLU()),
    ]
    return nn.ModuleDict(
        {"features": nn.Sequential(*layers), "embeddings": nn.Sequential(*linear)}
    ).eval()


def embed(network, patches):
    images = network["features"](patches.unsqueeze(1))
    # TensorFlow flattens (rows, columns, channels), torch (channels, rows, columns).
    flat = images.permute(0, 2, 3, 1).reshape(len(images), -1)
    return network["embeddings"](flat)


def components(seed=0):
    rng = np.random.default_rng(seed)
    vectors, _ = np.linalg.qr(rng.standard_normal((128, 128)))
    return {
        "pca_eigen_vectors": torch.tensor(vectors, dtype=torch.float32),
        "pca_means": torch.tensor(rng.standard_normal((128, 1)) * 0.1, dtype=torch.float32),
    }


@pytest.fixture(scope="module")
def network():
    return published()


@pytest.fixture(scope="module")
def patches():
    return torch.randn(3, 96, 64, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_published_files_load_and_give_the_published_embedding(network, patches, tmp_path):
    torch.save(network.state_dict(), tmp_path / "vggish.pth")
    body = make_backbone("vggish", weights=tmp_path / "vggish.pth").eval()
    expected = embed(network, patches)
    assert expected.std() > 0
    torch.testing.assert_close(body(patches), expected)


@torch.no_grad()
@pytest.mark.parametrize("prefix", ["", "pproc."])
def test_postprocessing_is_the_published_one(network, patches, tmp_path, prefix):
    pca = components()
    state = network.state_dict() | {prefix + key: value for key, value in pca.items()}
    torch.save(state, tmp_path / "both.pth")
    body = make_backbone("vggish-pca", weights=tmp_path / "both.pth").eval()
    vectors, means = (pca[key].double().numpy() for key in ("pca_eigen_vectors", "pca_means"))
    rotated = (vectors @ (embed(network, patches).double().numpy().T - means)).T
    expected = np.round((np.clip(rotated, -2.0, 2.0) + 2.0) * 255.0 / 4.0)
    assert len(np.unique(expected)) > 20
    # A value half-way between two integers may fall to either.
    assert np.abs(body(patches).numpy() - expected).max() <= 1
    assert np.mean(body(patches).numpy() == expected) > 0.99
    plain = make_backbone("vggish", weights=tmp_path / "both.pth").eval()
    torch.testing.assert_close(plain(patches), embed(network, patches))


def test_postprocessing_without_components_is_refused(network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "vggish.pth")
    with pytest.raises(WeightsError, match="2 missing: pca_eigen_vectors, pca_means"):
        make_backbone("vggish-pca", weights=tmp_path / "vggish.pth")


def test_integers_are_those_of_the_largest_and_smallest_component():
    body = VGGish(postprocess=True).eval()
    values = torch.tensor([-9.0, -2.0, 0.0, 2.0, 9.0]).repeat(26)[:128][None]
    assert body.pool(values)[0, :5].tolist() == [0.0, 0.0, 128.0, 255.0, 255.0]


def test_patches_follow_one_another_and_a_short_clip_is_one():
    body = VGGish()
    long, short = body.front_end([torch.zeros(16000 * 10), torch.ones(1)])
    assert long.shape == (10, 96, 64)
    assert short.shape == (1, 96, 64)
    assert long.min() == pytest.approx(np.log(0.01))


def test_our_names_load_too(tmp_path):
    body = VGGish()
    torch.save(body.state_dict(), tmp_path / "ours.pth")
    again = make_backbone("vggish", weights=tmp_path / "ours.pth")
    assert torch.equal(again.blocks[4][0].weight, body.blocks[4][0].weight)
