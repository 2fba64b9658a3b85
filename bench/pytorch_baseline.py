#!/usr/bin/env python3
"""The work of 'mfi bench' in PyTorch, the way its users write it; needs 'pip install torch==2.11.0 numpy'.

usage: pytorch_baseline.py train|eval|map [--width 16] [--batch 128] [--precision bf16|fp32] [--threads 2]
                           [--seconds 10] [--mode eager|compile]

A CIFAR ResNet-34 on random images: channels-last memory, autocast for bf16, fused AdamW, torch.func.jvp for the
derivative in MeanFlow's target. Warms up, measures and prints one JSON line as 'mfi bench' does.
"""
import argparse
import json
import resource
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

BLOCKS = (3, 4, 6, 3)
HIDDEN_SHARE = (1, 50 / 64, 200 / 256, 416 / 512)  # as in mfi/cli/bench.cpp


def conv_norm(channels_in, channels_out, kernel, stride):
    conv = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out))


class Block(nn.Module):
    def __init__(self, channels_in, channels, stride):
        super().__init__()
        self.first = conv_norm(channels_in, channels, 3, stride)
        self.second = conv_norm(channels, channels, 3, 1)
        same = stride == 1 and channels_in == channels
        self.shortcut = nn.Identity() if same else conv_norm(channels_in, channels, 1, stride)

    def forward(self, x):
        y = self.second(F.relu(self.first(x), inplace=True))
        return F.relu(y + self.shortcut(x), inplace=True)


class ResNet(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.stem = nn.Sequential(conv_norm(3, width, 3, 1), nn.ReLU(inplace=True))
        self.stages, channels_in = nn.ModuleList(), width
        for stage, count in enumerate(BLOCKS):
            channels, blocks = width * 2**stage, []
            for block in range(count):
                blocks.append(Block(channels_in, channels, 2 if block == 0 and stage > 0 else 1))
                channels_in = channels
            self.stages.append(nn.Sequential(*blocks))
        self.head = nn.Linear(channels_in, 10)

    def features(self, images):
        out = [self.stem(images)]
        for stage in self.stages:
            out.append(stage(out[-1]))
        return out

    def forward(self, images):
        return self.head(self.features(images)[-1].float().mean((2, 3)))


class VelocityNetwork(nn.Module):
    def __init__(self, channels, hidden):
        super().__init__()
        self.enter = nn.Conv2d(channels, hidden, 1, bias=False)
        self.middle = nn.Conv2d(hidden, hidden, 3, padding=1, bias=False)
        self.leave = nn.Conv2d(hidden, channels, 1)
        self.time = nn.Linear(2, 2 * hidden)
        nn.init.zeros_(self.leave.weight)

    def forward(self, z, r, t):
        biases = self.time(torch.stack((r, t - r), 1))[:, :, None, None]
        first, second = biases.chunk(2, 1)
        return self.leave(F.relu(self.middle(F.relu(self.enter(z) + first)) + second))


class FlowStage(nn.Module):
    def __init__(self, channels_in, channels, stride, hidden, modules):
        super().__init__()
        self.alignment = nn.Sequential(conv_norm(channels_in, channels, 1, stride), nn.ReLU())
        self.velocities = nn.ModuleList(VelocityNetwork(channels, hidden) for _ in range(modules))

    def loss(self, x, z0):
        z1 = self.alignment(x)
        v, samples, modules, total = z1 - z0, len(x), len(self.velocities), 0
        distinct = samples // 4
        for index, u in enumerate(self.velocities):
            drawn = torch.sigmoid(torch.randn(2, samples) - 0.4)
            drawn = 1 - (index + 1) / modules + drawn / modules
            t, r = drawn.max(0).values, drawn.min(0).values
            r[distinct:] = t[distinct:]
            z = z0 + t[:, None, None, None].to(v.dtype) * v
            target = v.detach().clone()
            with torch.no_grad():
                point = (z[:distinct].detach(), r[:distinct], t[:distinct])
                along = (target[:distinct], torch.zeros(distinct), torch.ones(distinct))
                slope = torch.func.jvp(u, point, along)[1].to(v.dtype)
                target[:distinct] -= (t - r)[:distinct, None, None, None].to(v.dtype) * slope
            total = total + (u(z, r, t) - target).float().square().mean()
        return total


def adamw(module):
    return torch.optim.AdamW(module.parameters(), lr=1e-3, weight_decay=0.01, fused=True)


def make_work(args):
    compiled = torch.compile if args.mode == "compile" else lambda f: f
    precision = torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16")
    network = ResNet(args.width).to(memory_format=torch.channels_last)
    images = torch.randn(args.batch, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(10, (args.batch,))

    if args.work == "eval":
        forward = compiled(network.eval())

        def evaluate():
            with torch.no_grad(), precision:
                forward(images)

        return evaluate

    if args.work == "train":
        forward, optimiser = compiled(network), adamw(network)

        def train():
            with precision:
                loss = F.cross_entropy(forward(images), labels, label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

        return train

    features = compiled(network.eval().features)
    widths = [args.width] + [args.width * 2**stage for stage in range(4)]
    stages = [
        FlowStage(widths[k], widths[k + 1], 2 if k > 0 else 1, max(8, int(HIDDEN_SHARE[k] * widths[k + 1])), 1 + k // 3)
        .to(memory_format=torch.channels_last)
        for k in range(4)
    ]
    optimisers = [adamw(stage) for stage in stages]

    def map_stages():
        with precision:
            with torch.no_grad():
                found = features(images)
            losses = [stage.loss(found[k], found[k + 1]) for k, stage in enumerate(stages)]
        for loss, optimiser in zip(losses, optimisers):
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    return map_stages


def main():
    parser = argparse.ArgumentParser(description="the work of 'mfi bench' in PyTorch")
    parser.add_argument("work", choices=("train", "eval", "map"))
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--mode", choices=("eager", "compile"), default="eager")
    args = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(args.threads)
    work = make_work(args)

    begin, warm = time.perf_counter(), 0
    while warm < 2 or (warm < 3 and time.perf_counter() - begin < args.seconds):
        work()
        warm += 1
    times, faults = [], resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    end = time.perf_counter() + args.seconds
    while time.perf_counter() < end or len(times) < 2:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    used = resource.getrusage(resource.RUSAGE_SELF)
    names = ("work", "width", "batch", "mode", "precision", "threads")
    line = {name: getattr(args, name) for name in names} | {"steps": len(times)}
    line["images_per_s"] = round(args.batch / statistics.median(times), 1)
    line["peak_memory_bytes"] = 1024 * used.ru_maxrss
    line["minor_faults_per_step"] = round((used.ru_minflt - faults) / len(times), 1)
    line["torch"] = torch.__version__
    print(json.dumps(line))


if __name__ == "__main__":
    main()
