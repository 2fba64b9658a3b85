#!/usr/bin/env python3
"""Writes mfi/exchange/testdata: small networks as other programs save them, and the logits that PyTorch gives for them.

usage: make_import_testdata.py FOLDER       (needs torch and safetensors; the files in the source tree came from torch 2.11)

Each file is a ResNet of two to eight channels with random weights, named, wrapped, typed and laid out in a way that is in
use. expected.safetensors holds images and logits for each, by the file's name.
"""
import re
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn


class Padded(nn.Module):
    """Option A: every second pixel, and channels of zeros."""

    def __init__(self, inputs, outputs, stride, before):
        super().__init__()
        zeros = outputs - inputs
        self.stride, self.before = stride, zeros // 2 if before else 0
        self.behind = zeros - self.before

    def forward(self, x):
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.behind))


class Block(nn.Module):
    """Basic or bottleneck, with torchvision's names."""

    def __init__(self, inputs, width, outputs, stride, bottleneck, shortcut, bias):
        super().__init__()
        kernels = [(inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1)]
        if not bottleneck:
            kernels = [(inputs, width, 3, stride), (width, outputs, 3, 1)]
        self.layers = len(kernels)
        for i, (a, b, kernel, step) in enumerate(kernels, 1):
            self.add_module(f"conv{i}", nn.Conv2d(a, b, kernel, step, kernel // 2, bias=bias))
            self.add_module(f"bn{i}", nn.BatchNorm2d(b))
        self.downsample = None
        if stride != 1 or inputs != outputs:
            if shortcut == "projection":
                self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=bias), nn.BatchNorm2d(outputs))
            else:
                self.downsample = Padded(inputs, outputs, stride, before=shortcut == "padded")

    def forward(self, x):
        y = x
        for i in range(1, self.layers + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            y = y.relu() if i < self.layers else y
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


class ResNet(nn.Module):
    def __init__(self, counts, width, classes, *, imagenet=False, bottleneck=False, wide=1, shortcut="projection", bias=False):
        super().__init__()
        self.imagenet = imagenet
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=bias) if imagenet else nn.Conv2d(3, width, 3, 1, 1, bias=bias)
        self.bn1 = nn.BatchNorm2d(width)
        inputs = width
        for stage, count in enumerate(counts):
            inner = (width << stage) * wide
            outputs = (width << stage) * (4 if bottleneck else 1)
            blocks = []
            for block in range(count):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(Block(inputs, inner, outputs, stride, bottleneck, shortcut, bias))
                inputs = outputs
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.stages = len(counts)
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = self.bn1(self.conv1(x)).relu()
        if self.imagenet:
            x = F.max_pool2d(x, 3, 2, 1)
        for stage in range(1, self.stages + 1):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(x.mean((2, 3)))


def network(seed, *arguments, **keywords):
    """With weights and statistics such that signs, scales and means all matter."""
    torch.manual_seed(seed)
    net = ResNet(*arguments, **keywords).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.5, 0.5)
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
    return net


def renamed(net, *rules):
    """The state dict with each key rewritten by the first rule (pattern, replacement) that fits it."""
    out = {}
    for key, value in net.state_dict().items():
        for pattern, replacement in rules:
            new, count = re.subn(pattern, replacement, key)
            if count:
                key = new
                break
        out[key] = value
    return out


def in_a_row(match):
    """layer1.0.conv2 -> conv2_x.0.residual_function.3"""
    stage, block, kind, number, field = match.groups()
    place = 3 * (int(number) - 1) + (kind == "bn")
    return f"conv{int(stage) + 1}_x.{block}.residual_function.{place}.{field}"


def hugging_face(match):
    stage, block, kind, number, field = match.groups()
    layer = "convolution" if kind == "conv" else "normalization"
    return f"resnet.encoder.stages.{int(stage) - 1}.layers.{block}.layer.{int(number) - 1}.{layer}.{field}"


LAYER = r"^layer(\d)\.(\d+)\.(conv|bn)(\d)\.(.*)$"


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    expected = {}

    def record(name, net, size):
        generator = torch.Generator().manual_seed(len(expected))
        images = torch.randn(2, 3, size, size, generator=generator)
        with torch.no_grad():
            logits = net(images.to(next(net.parameters()).dtype))
        expected[f"{name}.images"], expected[f"{name}.logits"] = images, logits.float()

    def rounded(net, dtype):
        """The network with weights as they are after rounding, in float32."""
        return net.to(dtype).float()

    # torchvision and timm: the plain state dict.
    net = network(1, [2, 2, 2, 2], 4, 7, imagenet=True)
    torch.save(net.state_dict(), folder / "torchvision-resnet18.pth")
    record("torchvision-resnet18.pth", net, 32)

    # A training checkpoint of DataParallel and torch.compile, in half precision, with an optimiser and arguments of a class
    # of the training program.
    net = rounded(network(2, [3, 4, 6, 3], 2, 5, imagenet=True, bottleneck=True), torch.float16)
    wrapped = {"module._orig_mod." + key: value.half() if value.is_floating_point() else value
               for key, value in net.state_dict().items()}
    optimiser = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    import argparse
    torch.save({"epoch": 90, "arch": "resnet50", "state_dict": wrapped, "best_acc1": 76.13, "optimizer": optimiser.state_dict(),
                "args": argparse.Namespace(lr=0.1)}, folder / "checkpoint-resnet50.tar")
    record("checkpoint-resnet50.tar", net, 32)

    # A CIFAR repository: shortcut and linear, under "net".
    net = network(3, [2, 2, 2, 2], 4, 10)
    torch.save({"net": renamed(net, (r"downsample", "shortcut"), (r"^fc", "linear")), "acc": 95.47, "epoch": 199},
               folder / "cifar-shortcut-linear.pth")
    record("cifar-shortcut-linear.pth", net, 16)

    # Option A with zeros on both sides, in the layout before PyTorch 1.6.
    net = network(4, [3, 3, 3], 4, 10, shortcut="padded")
    torch.save({"state_dict": renamed(net, (r"^fc", "module.linear"), (r"^", "module.")), "best_prec1": 91.73},
               folder / "cifar-option-a-legacy.th", _use_new_zipfile_serialization=False)
    record("cifar-option-a-legacy.th", net, 16)

    # Option A with all zeros behind, lettered layers.
    net = network(5, [2, 2, 2], 4, 10, shortcut="padded-end")
    letters = {"1": "a", "2": "b"}
    torch.save(renamed(net, (LAYER, lambda m: f"stage_{m[1]}.{m[2]}.{m[3]}_{letters[m[4]]}.{m[5]}"),
                       (r"^conv1", "conv_1_3x3"), (r"^bn1", "bn_1"), (r"^fc", "classifier")),
               folder / "cifar-option-a-end.pt")
    record("cifar-option-a-end.pt", net, 16)

    # Rows of layers in a Sequential.
    net = network(6, [3, 4, 6, 3], 2, 20, bottleneck=True)
    torch.save(renamed(net, (LAYER, in_a_row), (r"^layer(\d)\.(\d+)\.downsample", lambda m: f"conv{int(m[1]) + 1}_x.{m[2]}.shortcut"),
                       (r"^conv1", "conv1.0"), (r"^bn1", "conv1.1")), folder / "cifar-sequential.pth")
    record("cifar-sequential.pth", net, 16)

    # Hugging Face: safetensors in bfloat16.
    net = rounded(network(7, [2, 2, 2, 2], 4, 6, imagenet=True), torch.bfloat16)
    names = renamed(net, (LAYER, hugging_face),
                    (r"^layer(\d)\.(\d+)\.downsample\.0", lambda m: f"resnet.encoder.stages.{int(m[1]) - 1}.layers.{m[2]}.shortcut.convolution"),
                    (r"^layer(\d)\.(\d+)\.downsample\.1", lambda m: f"resnet.encoder.stages.{int(m[1]) - 1}.layers.{m[2]}.shortcut.normalization"),
                    (r"^conv1", "resnet.embedder.embedder.convolution"), (r"^bn1", "resnet.embedder.embedder.normalization"),
                    (r"^fc", "classifier.1"))
    save_file({key: value.bfloat16() if value.is_floating_point() else value for key, value in names.items()},
              folder / "hugging-face.safetensors", metadata={"format": "pt"})
    record("hugging-face.safetensors", net, 32)

    # Named blocks, float64.
    net = network(8, [1, 2, 1], 4, 10).double()
    torch.save(renamed(net, (LAYER, lambda m: f"stage{m[1]}.block{int(m[2]) + 1}.{m[3]}{m[4]}.{m[5]}"),
                       (r"^layer(\d)\.(\d+)\.downsample\.0", lambda m: f"stage{m[1]}.block{int(m[2]) + 1}.shortcut.conv"),
                       (r"^layer(\d)\.(\d+)\.downsample\.1", lambda m: f"stage{m[1]}.block{int(m[2]) + 1}.shortcut.bn"),
                       (r"^conv1", "conv"), (r"^bn1", "bn")), folder / "cifar-named-float64.pth")
    record("cifar-named-float64.pth", net, 16)

    # A wide ResNet, the whole module pickled with its class.
    net = network(9, [3, 4, 6, 3], 2, 4, imagenet=True, bottleneck=True, wide=2)
    torch.save(net, folder / "whole-module-wide.pt")
    record("whole-module-wide.pt", net, 32)

    # Convolutions with biases; a moving average beside the weights; storages that are shared and not contiguous.
    net, average = (network(seed, [1, 1, 1], 4, 10, bias=True) for seed in (10, 11))
    shared = torch.cat([value.flatten() for value in net.state_dict().values()])
    views, at = {}, 0
    for key, value in net.state_dict().items():
        views[key] = shared[at : at + value.numel()].view(value.shape)
        at += value.numel()
    turned = {key: value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value
              for key, value in average.state_dict().items()}
    torch.save({"state_dict_ema": turned, "state_dict": views}, folder / "ema-biases-shared.bin")
    record("ema-biases-shared.bin", net, 16)
    record("ema-biases-shared.bin:state_dict_ema", average, 16)

    save_file(expected, folder / "expected.safetensors")


if __name__ == "__main__":
    main()
