#!/usr/bin/env python3
"""Record the logits that PyTorch computes for each ResNet, for mfi/nn/network_test.cpp.

usage: record_resnet_logits.py > mfi/nn/testdata/resnet_logits.txt      (needs: pip install torch numpy)

The networks are written down here with torch.nn alone, independently of mfi. Weights, statistics and
images are filled by a formula of tensor name and element number that the test repeats, so that no
weights need to be stored.
"""
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

NETWORKS = {"resnet18": ("basic", (2, 2, 2, 2)), "resnet34": ("basic", (3, 4, 6, 3)),
            "resnet50": ("bottleneck", (3, 4, 6, 3)), "resnet101": ("bottleneck", (3, 4, 23, 3)),
            "resnet152": ("bottleneck", (3, 8, 36, 3)), "resnet20": ("basic", (3, 3, 3)),
            "resnet32": ("basic", (5, 5, 5)), "resnet44": ("basic", (7, 7, 7)),
            "resnet56": ("basic", (9, 9, 9)), "resnet110": ("basic", (18, 18, 18))}
WIDTH, CLASSES = 8, 10


class ConvNorm(nn.Module):
    def __init__(self, cin, cout, kernel, stride):
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(cout)

    def forward(self, x):
        return self.norm(self.conv(x))


class Block(nn.Module):
    def __init__(self, kind, cin, width, stride):
        super().__init__()
        out = width if kind == "basic" else 4 * width
        if kind == "basic":
            self.conv1, self.conv2 = ConvNorm(cin, width, 3, stride), ConvNorm(width, width, 3, 1)
            self.body = [self.conv1, self.conv2]
        else:
            self.conv1, self.conv2 = ConvNorm(cin, width, 1, 1), ConvNorm(width, width, 3, stride)
            self.conv3 = ConvNorm(width, out, 1, 1)
            self.body = [self.conv1, self.conv2, self.conv3]
        self.shortcut = ConvNorm(cin, out, 1, stride) if stride != 1 or cin != out else None

    def forward(self, x):
        y = x
        for conv in self.body[:-1]:
            y = F.relu(conv(y))
        return F.relu(self.body[-1](y) + (x if self.shortcut is None else self.shortcut(x)))


class ResNet(nn.Module):
    def __init__(self, kind, counts):
        super().__init__()
        self.stem = nn.Module()
        self.stem.conv = ConvNorm(3, WIDTH, 3, 1)
        cin = WIDTH
        self.stages = []
        for k, count in enumerate(counts):
            stage = nn.Module()
            blocks = []
            for i in range(count):
                block = Block(kind, cin, WIDTH << k, 2 if i == 0 and k else 1)
                setattr(stage, f"block{i}", block)
                blocks.append(block)
                cin = (WIDTH << k) * (1 if kind == "basic" else 4)
            setattr(self, f"stage{k + 1}", stage)
            self.stages.append(blocks)
        self.head = nn.Linear(cin, CLASSES)

    def forward(self, x):
        x = F.relu(self.stem.conv(x))
        for blocks in self.stages:
            for block in blocks:
                x = block(x)
        return self.head(x.mean((2, 3)))


def filled(name, shape):
    """Numbers in [-0.5, 0.5) that depend on the name and the element's number only."""
    hash_ = 0xCBF29CE484222325
    for byte in name.encode():
        hash_ = ((hash_ ^ byte) * 0x100000001B3) % 2**64
    i = np.arange(int(np.prod(shape)), dtype=np.uint64)
    bits = (i * np.uint64(2654435761) + np.uint64(hash_ % 2**32)) % np.uint64(2**32)
    bits = (bits ^ (bits >> np.uint64(15))) * np.uint64(2246822519) % np.uint64(2**32)
    return torch.from_numpy(bits.astype(np.float64) / 2**32 - 0.5).reshape(shape)


def fill(net):
    for name, tensor in net.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        value = filled(name, tuple(tensor.shape))
        if name.endswith("running_var") or name.endswith("norm.weight"):
            value = 1 + value  # in [0.5, 1.5)
        elif tensor.dim() == 4:
            value = value * (12 / np.prod(tensor.shape[1:])) ** 0.5  # keeps the features' size
        tensor.copy_(value)


def main():
    torch.set_num_threads(2)
    for name, (kind, counts) in NETWORKS.items():
        net = ResNet(kind, counts).double().eval()
        with torch.no_grad():
            fill(net)
            logits = net(filled("images", (2, 3, 32, 32)))
        print(name, " ".join(f"{v:.12g}" for v in logits.flatten().tolist()))


main()
