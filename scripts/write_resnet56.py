#!/usr/bin/env python3
"""A CIFAR ResNet-56 with option A shortcuts that mfi trained, as PyTorch repositories hand it out; and its accuracy there.

usage: write_resnet56.py MODEL.safetensors CIFAR_FOLDER OUT_FOLDER       (needs torch, numpy and safetensors)

MODEL: of a recipe with network.arch = "resnet56" and network.shortcut = "padded". CIFAR_FOLDER: cifar-10-batches-bin. Writes
resnet56-legacy.th (a checkpoint of the layout before PyTorch 1.6, {"state_dict", "best_prec1"}, keys behind "module.") and
resnet56-zip.pth (a bare state dict), and prints the top-1 accuracy on the 10,000 test images as PyTorch computes it.
"""
import json
import re
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import nn


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.zeros = stride, (outputs - inputs) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.zeros, self.zeros))).relu()


class ResNet56(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        inputs = 16
        for stage, outputs in enumerate((16, 32, 64), 1):
            blocks = [Block(inputs if i == 0 else outputs, outputs, 2 if i == 0 and stage > 1 else 1) for i in range(9)]
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
            inputs = outputs
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = self.bn1(self.conv1(x)).relu()
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


def their_name(name):
    """mfi's names of tensors as the repositories have them: stage1.block0.conv2.norm.bias is layer1.0.bn2.bias."""
    name = re.sub(r"^stem\.conv\.", "conv1.", name)
    name = re.sub(r"^stage(\d)\.block(\d)\.", r"layer\1.\2.", name)
    name = re.sub(r"conv(\d)\.conv\.", r"conv\1.", name)
    name = re.sub(r"conv(\d)\.norm\.", r"bn\1.", name)
    return re.sub(r"^head\.", "linear.", name)


def main():
    model, cifar, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    out.mkdir(parents=True, exist_ok=True)
    with safe_open(model, "pt") as file:
        info = json.loads(file.metadata()["mfi.info"])
        state = {their_name(name): file.get_tensor(name) for name in file.keys()}
    network = ResNet56()
    missing, unexpected = network.load_state_dict(state, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        sys.exit(f"{model}: not a ResNet-56 with option A: missing {missing[:3]}, not expected {list(unexpected)[:3]}")
    network.eval()
    torch.save({"state_dict": {f"module.{key}": value for key, value in network.state_dict().items()}, "best_prec1": 0.0},
               out / "resnet56-legacy.th", _use_new_zipfile_serialization=False)
    torch.save(network.state_dict(), out / "resnet56-zip.pth")

    records = np.frombuffer((cifar / "test_batch.bin").read_bytes(), np.uint8).reshape(-1, 3073)
    labels = torch.from_numpy(records[:, 0].astype(np.int64))
    mean, stddev = (torch.tensor(info[key]).view(1, 3, 1, 1) for key in ("mean", "stddev"))
    images = torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32).copy())
    right = 0
    with torch.no_grad():
        for first in range(0, len(labels), 500):
            batch = (images[first : first + 500].float() / 255 - mean) / stddev
            right += (network(batch).argmax(1) == labels[first : first + 500]).sum().item()
    print(f"PyTorch: {right} of {len(labels)} right, {100 * right / len(labels):.2f} %")


if __name__ == "__main__":
    main()
