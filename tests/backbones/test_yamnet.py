"""YAMNet against the published model's scores and the arithmetic of its layers."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from sktl.backbones import YAMNet, make_backbone
from sktl.backbones._yamnet import _SamePadConv2d


@pytest.fixture(scope="module")
def weights(sktl_home):
    path = sktl_home / "weights" / "yamnet.safetensors"
    if not path.is_file():
        pytest.skip(f"no YAMNet weights at {path}")
    return path


@pytest.fixture(scope="module")
def reference(sktl_home):
    path = sktl_home / "weights" / "yamnet_reference.npz"
    if not path.is_file():
        pytest.skip(f"no reference scores at {path}")
    with np.load(path) as arrays:
        return arrays["patches"], arrays["scores"]


def test_scores_are_those_of_the_published_model(weights, reference):
    patches, expected = reference
    network = make_backbone("yamnet", weights=weights).eval()
    with torch.no_grad():
        scores = network.scores(torch.from_numpy(patches)).numpy()
    # The reference is an 8-bit model: its steps, not ours, make the difference.
    assert np.abs(scores - expected).max() <= 0.021
    assert (scores.argmax(1) == expected.argmax(1)).all()


def test_pretrained_weights_are_found_in_the_home_folder(weights):
    network = make_backbone("yamnet")
    expected = load_file(weights)["layer1.fused.conv.weight"]
    assert torch.equal(network.blocks[0].fused.conv.weight, expected)


def test_the_published_file_round_trips(weights, tmp_path):
    network = make_backbone("yamnet", weights=weights)
    state = network.export_state_dict(network.state_dict())
    published = load_file(weights)
    assert {key for key in state if not key.endswith("num_batches_tracked")} == set(published)
    assert all(torch.equal(state[key], value) for key, value in published.items())
    save_file(network.state_dict(), tmp_path / "ours.safetensors")
    again = make_backbone("yamnet", weights=tmp_path / "ours.safetensors")
    assert torch.equal(again.classifier.weight, network.classifier.weight)


def test_a_published_pickle_with_counters_loads(tmp_path):
    network = YAMNet()
    torch.save(network.export_state_dict(network.state_dict()), tmp_path / "yamnet.pth")
    again = make_backbone("yamnet", weights=tmp_path / "yamnet.pth")
    assert torch.equal(again.classifier.weight, network.classifier.weight)


def test_loaded_statistics_are_kept_in_training_and_random_ones_are_not(weights):
    patches = torch.zeros(2, 96, 64)
    pretrained = make_backbone("yamnet", weights=weights).train()
    norm = pretrained.blocks[0].fused.bn
    before = norm.running_var.clone()
    pretrained(patches)
    assert torch.equal(norm.running_var, before)
    assert norm.weight.requires_grad
    assert make_backbone("yamnet", weights=None).blocks[0].fused.bn.training


def test_layers_halve_the_image_five_times():
    network = YAMNet().eval()
    shapes = []
    values = torch.zeros(1, 96, 64)
    with torch.no_grad():
        for block in network.blocks:
            values = block(values)
            shapes.append(tuple(values.shape[1:]))
    assert len(shapes) == 14
    assert shapes[0] == (32, 48, 32)
    assert shapes[-1] == (1024, 3, 2)


@pytest.mark.parametrize(
    ("size", "stride", "before", "after"), [(6, 2, 0, 1), (7, 2, 1, 1), (6, 1, 1, 1), (1, 2, 1, 1)]
)
def test_same_padding_puts_the_odd_pixel_last(size, stride, before, after):
    layer = _SamePadConv2d(1, 1, 3, stride, bias=False)
    image = torch.randn(1, 1, size, size, generator=torch.Generator().manual_seed(0))
    padded = nn.functional.pad(image, (before, after, before, after))
    expected = nn.functional.conv2d(padded, layer.weight, stride=stride)
    torch.testing.assert_close(layer(image), expected)


def test_a_clip_of_one_sample_is_one_patch():
    [units] = YAMNet().front_end([torch.ones(1)])
    assert units.shape == (1, 96, 64)


def test_gradients_are_those_of_zeros_after_the_images():
    conv = YAMNet().blocks[2].depthwise_conv.conv
    images = torch.randn(2, 64, 8, 6, requires_grad=True)
    made = conv(images)
    with torch.no_grad():
        torch.testing.assert_close(conv(images), made)
    padded = nn.functional.pad(images, (0, 1, 0, 1))
    plain = nn.functional.conv2d(padded, conv.weight, None, 2, 0, 1, 64)
    learning = [images, conv.weight]
    found = torch.autograd.grad(made.square().sum(), learning)
    torch.testing.assert_close(found, torch.autograd.grad(plain.square().sum(), learning))


@pytest.mark.parametrize(("start", "stop"), [(0, None), (0, 3), (2, -1), (5, 7), (6, None), (3, 3)])
def test_a_few_patches_at_a_time_give_the_numbers_of_all_at_once(start, stop):
    torch.manual_seed(0)
    network = YAMNet().eval()
    patches = torch.randn(96, 96, 64)
    with torch.no_grad():
        begun = network.run_blocks(patches, stop=start)
        made = network.run_blocks(begun, start, stop)
        expected = begun
        for block in list(network.blocks)[start:stop]:
            expected = block(expected)
    assert made.shape == expected.shape
    assert torch.allclose(made, expected, rtol=1e-4, atol=1e-5)
    learned = network.run_blocks(begun, start, stop)
    assert learned.requires_grad == (start != stop)
