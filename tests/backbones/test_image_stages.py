"""Networks cut into stages compute what they compute up to their heads."""

import re

import pytest
import torch
from torch import nn

from sktl.backbones._image_stages import cut_stages

N_BLOCKS = {
    "alexnet": 5,
    "convnext_tiny": 4,
    "densenet121": 5,
    "efficientnet_b0": 3,
    "inception_v3": 8,
    "mobilenet_v3_small": 4,
    "resnet18": 5,
    "squeezenet1_0": 3,
    "vgg16": 7,
}
OPTIONS = {"inception_v3": {"transform_input": True, "init_weights": True}}


def make(models, name):
    """A network whose batch normalisation does something."""
    model = models.get_model(name, **OPTIONS.get(name, {}))
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            for values in (layer.bias, layer.running_mean):
                nn.init.normal_(values, std=0.3)
    return model


def beheaded(model, name):
    """The same with nothing in the place of its last layer."""
    if name == "squeezenet1_0":
        return lambda images: model.features(images).mean((2, 3))
    if hasattr(model, "fc"):
        model.fc = nn.Identity()
    elif isinstance(model.classifier, nn.Sequential):
        model.classifier[-1] = nn.Identity()
    else:
        model.classifier = nn.Identity()
    return model


@torch.no_grad()
@pytest.mark.parametrize("size", [80, 131])
@pytest.mark.parametrize("name", N_BLOCKS)
def test_stages_are_the_network_without_its_head(torchvision_models, name, size):
    model = make(torchvision_models, name)
    blocks, pool, embedding_size = cut_stages(model, name)
    assert len(blocks) == N_BLOCKS[name]
    images = torch.randn(3, 3, size, size)
    expected = beheaded(model.eval(), name)(images.clone())
    assert expected.std() > 1e-3
    embedding = pool(nn.Sequential(*blocks).eval()(images))
    assert embedding.shape == (3, embedding_size)
    torch.testing.assert_close(embedding, expected, rtol=1e-5, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("name", N_BLOCKS)
def test_no_block_changes_what_it_is_given(torchvision_models, name):
    blocks, pool, _ = cut_stages(make(torchvision_models, name), name)
    values = torch.randn(2, 3, 96, 96)
    for layers in (*blocks, pool):
        before = values.clone()
        result = layers(values)
        if list(layers.parameters()):
            assert torch.equal(values, before)
        values = result


@torch.no_grad()
@pytest.mark.parametrize("name", sorted(set(N_BLOCKS) - {"squeezenet1_0"}))
def test_dropout_is_where_the_network_has_it(torchvision_models, name):
    model = make(torchvision_models, name)
    blocks, pool, _ = cut_stages(model, name)
    whole = nn.Sequential(*blocks, pool)
    images = torch.randn(4, 3, 96, 96)
    model.AuxLogits = None
    outputs = []
    for network in (beheaded(model, name), whole):
        torch.manual_seed(0)
        for layer in network.modules():
            layer.train(isinstance(layer, nn.Dropout))
        outputs.append(network(images.clone()))
    torch.testing.assert_close(*outputs, rtol=1e-5, atol=1e-6)


def test_where_networks_are_cut(torchvision_models):
    def layers(name, block):
        stages = cut_stages(make(torchvision_models, name), name).blocks
        return [type(layer).__name__ for layer in stages[block]]

    assert layers("resnet18", 0) == ["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d"]
    assert layers("resnet18", 4) == ["Residual", "Residual"]
    assert layers("vgg16", 1) == ["Conv2d", "ReLU", "Conv2d", "ReLU", "MaxPool2d"]
    hidden = ["AdaptiveAvgPool2d", "Flatten", "Linear", "ReLU", "Dropout"]
    assert layers("vgg16", 5) == hidden
    assert layers("vgg16", 6) == ["Linear", "ReLU", "Dropout"]
    assert layers("alexnet", 3) == [*hidden[:2], "Dropout", *hidden[2:]]
    assert layers("densenet121", 0) == layers("resnet18", 0)
    assert layers("inception_v3", 2) == ["ConvBN", "MaxPool2d"]


def test_auxiliary_heads_are_left_out(torchvision_models):
    model = make(torchvision_models, "inception_v3")
    kept = {id(p) for block in cut_stages(model, "inception_v3").blocks for p in block.parameters()}
    dropped = [name for name, p in model.named_parameters() if id(p) not in kept]
    assert {name.split(".")[0] for name in dropped} == {"AuxLogits", "fc"}


class Broken(nn.Module):
    def __init__(self, **children):
        super().__init__()
        for name, child in children.items():
            self.add_module(name, child)

    def forward(self, images):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "children",
    [
        {},
        {"fc": nn.Linear(3, 2)},
        {"classifier": nn.Sequential(nn.ReLU())},
        {"features": nn.Flatten(), "classifier": nn.Linear(3, 2)},
        {"features": nn.Conv2d(3, 2, 1), "classifier": nn.Linear(2, 2)},
    ],
)
def test_networks_without_stages_or_head_are_refused(children):
    families = "AlexNet, ConvNeXt, .* VGG or Wide ResNet"
    with pytest.raises(ValueError, match=f"^'mine' is none of the networks.*families {families}"):
        cut_stages(Broken(**children), "'mine'")


@pytest.mark.parametrize("name", ["vit_b_16", "weighted"])
def test_networks_of_another_family_are_refused(torchvision_models, name):
    with pytest.raises(ValueError, match=re.escape(f"{name} is none of the networks that can be")):
        cut_stages(torchvision_models.get_model(name), name)
