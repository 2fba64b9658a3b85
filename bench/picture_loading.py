#!/usr/bin/env python3
"""How fast folders of pictures become batches: mfi beside torchvision's loader and beside Pillow alone.

usage: picture_loading.py MFI CIFAR_PICTURES_PNG CIFAR_PICTURES_JPG [--rounds N] [--threads N]

Needs torch, torchvision and pillow. Three folders: CIFAR-10 as PNG and as JPEG files (scripts/write_cifar_pictures.py), and
600 photographs of 500 x 375, made here of enlarged CIFAR pictures. The sides, in turn in each round, each with so many
threads or processes:

  mfi          mfi bench load: reads, decodes, resizes, normalises; nothing is kept
  torchvision  ImageFolder, Resize and CenterCrop (or RandomResizedCrop and flip), ToTensor, Normalize in a DataLoader
  pillow       the same without tensors: open, convert, resize, crop, numpy's bytes, in a pool of processes

Prints a table of medians and ratios in Markdown.
"""
import argparse
import json
import statistics
import subprocess
import tempfile
import time
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

SECONDS = 5
BATCH = 128


def write_photographs(source, folder):
    """Enlarged CIFAR pictures side by side, with noise as cameras have it, so that files and edges are of usual size."""
    random = np.random.default_rng(0)
    files = sorted(source.glob("test/*/*"))
    for number in range(600):
        tiles = [Image.open(files[random.integers(len(files))]).convert("RGB").resize((250, 188), Image.BICUBIC) for _ in range(4)]
        photo = Image.new("RGB", (500, 375))
        for place, tile in enumerate(tiles):
            photo.paste(tile, (place % 2 * 250, place // 2 * 187))
        noisy = np.asarray(photo).astype(np.int16) + random.normal(0, 4, (375, 500, 3)).astype(np.int16)
        target = folder / "train" / f"class{number % 2}"
        target.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(target / f"{number}.jpg", quality=90)
    for name in ("class0", "class1"):
        (folder / "test" / name).mkdir(parents=True)
        (folder / "test" / name / "0.jpg").write_bytes((folder / "train" / name / f"{name[-1]}.jpg").read_bytes())


def mfi(program, folder, size, augment, threads):
    command = [program, "bench", "load", "--data", folder, "--image-size", size, "--threads", threads, "--seconds", SECONDS,
               "--precision", "fp32", "--batch", BATCH] + (["--augment"] if augment else [])
    out = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout
    return json.loads(out)["images_per_s"]


def speed_of(batches):
    """Images a second after the first batch, which also starts the workers."""
    images, start = 0, None
    for batch in batches:
        if start is None:
            start = time.perf_counter()
            continue
        images += len(batch)
        if time.perf_counter() - start > SECONDS:
            break
    return images / (time.perf_counter() - start)


def torchvision(folder, size, augment, threads):
    small = size <= 64
    if small:
        steps = []
    elif augment:
        steps = [transforms.RandomResizedCrop(size, interpolation=transforms.InterpolationMode.BICUBIC),
                 transforms.RandomHorizontalFlip()]
    else:
        steps = [transforms.Resize(size, transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(size)]
    prepare = transforms.Compose(steps + [transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.25,) * 3)])
    data = ImageFolder(str(folder / "train"), prepare)
    loader = DataLoader(data, BATCH, num_workers=threads, shuffle=augment, persistent_workers=True)

    def endless():
        while True:
            for images, _ in loader:
                yield images

    return speed_of(endless())


def with_pillow(work):
    file, size, augment = work
    picture = Image.open(file).convert("RGB")
    if picture.size != (size, size):
        if augment:
            random = np.random.default_rng()
            side = int(min(picture.size) * random.uniform(0.3, 1))
            left, top = (int(random.integers(whole - side + 1)) for whole in picture.size)
            picture = picture.resize((size, size), Image.BICUBIC, box=(left, top, left + side, top + side))
        else:
            shorter = min(picture.size)
            picture = picture.resize((picture.width * size // shorter, picture.height * size // shorter), Image.BICUBIC)
            left, top = (picture.width - size) // 2, (picture.height - size) // 2
            picture = picture.crop((left, top, left + size, top + size))
    return np.asarray(picture)


def pillow(folder, size, augment, threads):
    files = sorted((folder / "train").glob("*/*"))
    with Pool(threads) as pool:

        def endless():
            while True:
                yield from (work for work in ((file, size, augment) for file in files))

        def batches():
            results = pool.imap(with_pillow, endless(), chunksize=32)
            while True:
                yield [next(results) for _ in range(BATCH)]

        speed = speed_of(batches())
        pool.terminate()
    return speed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mfi", type=Path)
    parser.add_argument("png", type=Path)
    parser.add_argument("jpg", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    a = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        photographs = Path(temporary)
        write_photographs(a.png, photographs)
        cases = [("CIFAR-10, PNG, as they are", a.png, 32, False), ("CIFAR-10, JPEG, as they are", a.jpg, 32, False),
                 ("500 x 375 JPEG, middle, 224", photographs, 224, False),
                 ("500 x 375 JPEG, random part, 224", photographs, 224, True)]
        speeds = {}
        for _ in range(a.rounds):
            for name, folder, size, augment in cases:
                sides = {"mfi": lambda: mfi(a.mfi, folder, size, augment, a.threads),
                         "torchvision": lambda: torchvision(folder, size, augment, a.threads),
                         "pillow": lambda: pillow(folder, size, augment, a.threads)}
                for side, measure in sides.items():
                    speeds.setdefault((name, side), []).append(measure())
    print(f"| pictures | mfi | torchvision | ratio | Pillow | ratio |\n|---|---|---|---|---|---|")
    for name, *_ in cases:
        median = {side: statistics.median(speeds[name, side]) for side in ("mfi", "torchvision", "pillow")}
        print(f"| {name} | {median['mfi']:,.0f} | {median['torchvision']:,.0f} | {median['mfi'] / median['torchvision']:.2f} | "
              f"{median['pillow']:,.0f} | {median['mfi'] / median['pillow']:.2f} |")


if __name__ == "__main__":
    main()
