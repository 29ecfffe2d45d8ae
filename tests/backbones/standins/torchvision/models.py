"""Networks by name, and the address of their weights in `URLS`."""

import torch
from torch import nn
from torch.nn import functional

N_CLASSES = 10
SIZES = {"inception_v3": 80, "efficientnet_b0": 48}
URLS = {}


class Preset:
    """What weights were trained on."""

    def __init__(self, name):
        self.crop_size = [SIZES.get(name, 64)]
        self.mean, self.std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Published:
    def __init__(self, name):
        self.DEFAULT = self
        self.url = URLS.get(name, f"http://127.0.0.1:9/{name}-00000000.pth")
        self.transforms = lambda: Preset(name)


class ConvBN(nn.Module):
    def __init__(self, n_in, n_out, kernel=3, **options):
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, kernel, bias=False, **options)
        self.bn = nn.BatchNorm2d(n_out, eps=0.001)

    def forward(self, x):
        return functional.relu(self.bn(self.conv(x)), inplace=True)


class Residual(nn.Module):
    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.downsample = None
        if stride != 1 or n_in != n_out:
            conv = nn.Conv2d(n_in, n_out, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(n_out))

    def forward(self, x):
        beside = x if self.downsample is None else self.downsample(x)
        return self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))) + beside)


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        for number, (n_in, n_out) in enumerate([(4, 4), (4, 6), (6, 8), (8, 12)], 1):
            stage = nn.Sequential(Residual(n_in, n_out, min(number, 2)), Residual(n_out, n_out, 1))
            self.add_module(f"layer{number}", stage)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(12, N_CLASSES)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class VGG(nn.Module):
    """Numbers are channels, None is a pooling."""

    def __init__(self, layers, hidden, first=()):
        super().__init__()
        features, n_in = [], 3
        for layer in layers:
            if layer is None:
                features.append(nn.MaxPool2d(2, 2))
                continue
            options = first if n_in == 3 and first else (3, 1, 1)
            features += [nn.Conv2d(n_in, layer, *options), nn.ReLU(inplace=True)]
            n_in = layer
        self.features = nn.Sequential(*features)
        self.avgpool = nn.AdaptiveAvgPool2d((3, 3))
        self.classifier = nn.Sequential(*hidden(9 * n_in), nn.Linear(16, N_CLASSES))

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def vgg16():
    def hidden(n_in):
        upper = [nn.Linear(24, 16), nn.ReLU(True), nn.Dropout()]
        return [nn.Linear(n_in, 24), nn.ReLU(True), nn.Dropout(), *upper]

    return VGG([4, 4, None, 6, 6, None, *([8, 8, 8, None] * 3)], hidden)


def alexnet():
    def hidden(n_in):
        lower = [nn.Dropout(), nn.Linear(n_in, 24), nn.ReLU(inplace=True)]
        return [*lower, nn.Dropout(), nn.Linear(24, 16), nn.ReLU(inplace=True)]

    return VGG([6, None, 8, None, 10, 8, 8, None], hidden, first=(11, 4, 2))


class Mixed(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.branch1x1 = ConvBN(n_in, n_out // 2, 1)
        self.branch_pool = ConvBN(n_in, n_out - n_out // 2, 1)

    def forward(self, x):
        pooled = functional.avg_pool2d(x, 3, 1, 1)
        return torch.cat([self.branch1x1(x), self.branch_pool(pooled)], 1)


class Auxiliary(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(10, N_CLASSES)

    def forward(self, x):
        return self.fc(x.mean((2, 3)))


class Inception3(nn.Module):
    def __init__(self, transform_input=False, aux_logits=True, init_weights=None):
        super().__init__()
        assert init_weights is not None, "torchvision warns"
        self.transform_input = transform_input
        self.Conv2d_1a_3x3 = ConvBN(3, 4, stride=2)
        self.Conv2d_2a_3x3 = ConvBN(4, 4)
        self.Conv2d_2b_3x3 = ConvBN(4, 6, padding=1)
        self.maxpool1 = nn.MaxPool2d(3, 2)
        self.Conv2d_3b_1x1 = ConvBN(6, 6, 1)
        self.Conv2d_4a_3x3 = ConvBN(6, 8)
        self.maxpool2 = nn.MaxPool2d(3, 2)
        self.Mixed_5b, self.Mixed_6e = Mixed(8, 9), Mixed(9, 10)
        self.AuxLogits = Auxiliary() if aux_logits else None
        self.Mixed_7c = Mixed(10, 12)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout()
        self.fc = nn.Linear(12, N_CLASSES)

    def forward(self, x):
        if self.transform_input:
            mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
            pixels = x * std.to(x).reshape(3, 1, 1) + mean.to(x).reshape(3, 1, 1)
            x = 2 * pixels - 1
        x = self.maxpool1(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))))
        x = self.maxpool2(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        x = self.Mixed_6e(self.Mixed_5b(x))
        beside = self.AuxLogits(x) if self.training and self.AuxLogits is not None else None
        x = self.fc(torch.flatten(self.dropout(self.avgpool(self.Mixed_7c(x))), 1))
        return x if beside is None else (x, beside)


class DenseLayer(nn.Module):
    def __init__(self, n_in, growth):
        super().__init__()
        self.norm1, self.relu1 = nn.BatchNorm2d(n_in), nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(n_in, 8, 1, bias=False)
        self.norm2, self.relu2 = nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(8, growth, 3, padding=1, bias=False)

    def forward(self, x):
        return torch.cat(
            [x, self.conv2(self.relu2(self.norm2(self.conv1(self.relu1(self.norm1(x))))))], 1
        )


class DenseNet(nn.Module):
    def __init__(self):
        super().__init__()
        stem = nn.Conv2d(3, 6, 7, 2, 3, bias=False), nn.BatchNorm2d(6)
        features = {"conv0": stem[0], "norm0": stem[1], "relu0": nn.ReLU(inplace=True)}
        features["pool0"] = nn.MaxPool2d(3, 2, 1)
        first, second = nn.Sequential(), nn.Sequential()
        first.add_module("denselayer1", DenseLayer(6, 4))
        second.add_module("denselayer1", DenseLayer(5, 4))
        half = [nn.BatchNorm2d(10), nn.ReLU(inplace=True), nn.Conv2d(10, 5, 1, bias=False)]
        features["denseblock1"] = first
        features["transition1"] = nn.Sequential(*half, nn.AvgPool2d(2, 2))
        features["denseblock2"], features["norm5"] = second, nn.BatchNorm2d(9)
        self.features = nn.Sequential()
        for name, layer in features.items():
            self.features.add_module(name, layer)
        self.classifier = nn.Linear(9, N_CLASSES)

    def forward(self, x):
        x = functional.relu(self.features(x), inplace=True)
        return self.classifier(torch.flatten(functional.adaptive_avg_pool2d(x, (1, 1)), 1))


class LayerNorm2d(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class FeatureNetwork(nn.Module):
    """EfficientNet, MobileNet v3, ConvNeXt: stages, a mean, and what `head` puts above it."""

    def __init__(self, head, flat=True):
        super().__init__()
        stages = [ConvBN(3, 4, stride=4), nn.Sequential(ConvBN(4, 6), ConvBN(6, 6)), ConvBN(6, 8)]
        self.features = nn.Sequential(*stages)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(*head, nn.Linear(8, N_CLASSES))
        self.flat = flat

    def forward(self, x):
        x = self.avgpool(self.features(x))
        return self.classifier(torch.flatten(x, 1) if self.flat else x)


class SqueezeNet(nn.Module):
    def __init__(self):
        super().__init__()
        stem = nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)
        self.features = nn.Sequential(*stem, Mixed(4, 8), Mixed(8, 8))
        head = nn.Conv2d(8, N_CLASSES, 1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1))
        self.classifier = nn.Sequential(nn.Dropout(), *head)

    def forward(self, x):
        return torch.flatten(self.classifier(self.features(x)), 1)


class Transformer(nn.Module):
    """Of no family with stages."""

    def __init__(self):
        super().__init__()
        self.conv_proj, self.encoder = nn.Conv2d(3, 8, 8, 8), nn.TransformerEncoderLayer(8, 2)
        self.heads = nn.Linear(8, N_CLASSES)

    def forward(self, x):
        return self.heads(self.encoder(self.conv_proj(x).flatten(2).movedim(2, 0))[0])


class Weighted(FeatureNetwork):
    """Its children are those of a family, but it computes something else."""

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x) + x.mean()), 1))


BUILDERS = {
    "alexnet": alexnet,
    "convnext_tiny": lambda: FeatureNetwork([LayerNorm2d(8), nn.Flatten(1)], flat=False),
    "densenet121": DenseNet,
    "efficientnet_b0": lambda: FeatureNetwork([nn.Dropout(0.2, inplace=True)]),
    "inception_v3": Inception3,
    "mobilenet_v3_small": lambda: FeatureNetwork(
        [nn.Linear(8, 8), nn.Hardswish(inplace=True), nn.Dropout(0.2, inplace=True)]
    ),
    "resnet18": ResNet,
    "squeezenet1_0": SqueezeNet,
    "vgg16": vgg16,
    "vit_b_16": Transformer,
    "weighted": lambda: Weighted([nn.Dropout()]),
}


def list_models(module=None):
    assert module.__name__ == "torchvision.models", "else those of segmentation are listed too"
    return sorted(BUILDERS)


def get_model_weights(name):
    return Published(name)


def get_model(name, weights=None, **options):
    assert weights is None, "torch.hub would download them"
    return BUILDERS[name](**options)
