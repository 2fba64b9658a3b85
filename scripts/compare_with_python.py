#!/usr/bin/env python3
"""Imports ResNets as torchvision and timm save them, evaluates and exports them, and compares logits with Python's.

usage: compare_with_python.py MFI CIFAR_PNG_FOLDER [FOLDER]     (needs torch, torchvision, timm, onnxruntime, safetensors)

MFI is the program; CIFAR_PNG_FOLDER what scripts/write_cifar_pictures.py wrote. Of its test pictures some are enlarged to
320 x 240 and go through everything at 224 pixels: torchvision's Resize and CenterCrop and the network in Python on one
side, `mfi import`, `mfi eval` and `mfi export` on the other. Weights are random, with statistics of batch norms that
matter. Prints a table in Markdown.
"""
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file
from torchvision import transforms

CLASSES = 10
NETWORKS = [
    ("torchvision", "resnet18", lambda: torchvision.models.resnet18(weights=None, num_classes=CLASSES)),
    ("torchvision", "resnet34", lambda: torchvision.models.resnet34(weights=None, num_classes=CLASSES)),
    ("torchvision", "resnet50", lambda: torchvision.models.resnet50(weights=None, num_classes=CLASSES)),
    ("torchvision", "wide_resnet50_2", lambda: torchvision.models.wide_resnet50_2(weights=None, num_classes=CLASSES)),
    ("timm", "resnet18", lambda: timm.create_model("resnet18", num_classes=CLASSES)),
    ("timm", "resnet50", lambda: timm.create_model("resnet50", num_classes=CLASSES)),
]


def stir(network):
    """Batch norms that do something, and logits of usual size."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.0)
            module.bias.data.uniform_(-0.2, 0.2)
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


def write_pictures(source, folder, a_class=6):
    """A few of each class, enlarged, so that resizing and cropping have something to do; the path of the test part."""
    for part, count in (("train", 1), ("test", a_class)):
        for place in sorted((source / part).iterdir()):
            target = folder / part / place.name
            target.mkdir(parents=True)
            for file in sorted(place.iterdir())[:count]:
                Image.open(file).convert("RGB").resize((320, 240), Image.BICUBIC).save(target / (file.stem + ".png"))
    return folder / "test"


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def main():
    mfi, source = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    folder = Path(sys.argv[3] if len(sys.argv) > 3 else tempfile.mkdtemp())
    pictures = folder / "pictures"
    test = write_pictures(source, pictures)
    prepare = transforms.Compose([
        transforms.Resize(256, transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(224), transforms.ToTensor(),
        transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])
    images = torch.stack([prepare(image) for image, _ in torchvision.datasets.ImageFolder(str(test))])

    print("| network | parameters | largest logit | import and `mfi eval` | ONNX, ONNX Runtime | `.py`, PyTorch | same class |")
    print("|---|---|---|---|---|---|---|")
    for library, name, make in NETWORKS:
        torch.manual_seed(0)
        network = stir(make())
        with torch.no_grad():
            expected = torch.cat([network(part) for part in images.split(10)])
        stem = folder / f"{library}-{name}"
        torch.save(network.state_dict(), f"{stem}.pth")
        run(mfi, "import", f"{stem}.pth", "--out", f"{stem}.safetensors", "--resize", "bicubic")
        run(mfi, "eval", f"{stem}.safetensors", "--dataset", "pictures", "--data", pictures, "--logits", f"{stem}.logits")
        run(mfi, "export", f"{stem}.safetensors", "--out", f"{stem}.onnx")
        run(mfi, "export", f"{stem}.safetensors", "--out", f"{stem}_exported.py")
        own = load_file(f"{stem}.logits")["logits"]
        session = onnxruntime.InferenceSession(f"{stem}.onnx", providers=["CPUExecutionProvider"])
        onnx = torch.cat([torch.from_numpy(session.run(None, {"images": part.numpy()})[0]) for part in images.split(10)])
        spec = importlib.util.spec_from_file_location("exported", f"{stem}_exported.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        exported = module.load()
        with torch.no_grad():
            python = torch.cat([exported(part) for part in images.split(10)])
        difference = lambda logits: f"{(logits - expected).abs().max().item():.1e}"
        agree = torch.stack([logits.argmax(1) == expected.argmax(1) for logits in (own, onnx, python)]).all(0).sum().item()
        parameters = sum(p.numel() for p in network.parameters())
        print(f"| {library} {name} | {parameters / 1e6:.2f} M | {expected.abs().max().item():.1f} | {difference(own)} | "
              f"{difference(onnx)} | {difference(python)} | {agree} of {len(expected)} |", flush=True)


if __name__ == "__main__":
    np.seterr(all="raise")
    main()
