#!/usr/bin/env python3
"""Writes CIFAR-10 out as a folder of pictures, train/CLASS/NUMBER.png and test/CLASS/NUMBER.png.

usage: write_cifar_pictures.py CIFAR_FOLDER OUT [png|jpg]       (needs pillow; JPEG of quality 95)

CIFAR_FOLDER: cifar-10-batches-bin, as the official archive unpacks.
"""
import sys
from pathlib import Path

from PIL import Image


def main():
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    ending = sys.argv[3] if len(sys.argv) > 3 else "png"
    names = (source / "batches.meta.txt").read_text().split()
    for part, files in (("train", [f"data_batch_{i}.bin" for i in range(1, 6)]), ("test", ["test_batch.bin"])):
        for name in names:
            (out / part / name).mkdir(parents=True, exist_ok=True)
        number = 0
        for file in files:
            records = (source / file).read_bytes()
            for at in range(0, len(records), 3073):
                planes = [Image.frombytes("L", (32, 32), records[at + 1 + c * 1024 : at + 1 + (c + 1) * 1024]) for c in range(3)]
                options = {"quality": 95} if ending == "jpg" else {}
                Image.merge("RGB", planes).save(out / part / names[records[at]] / f"{number:05d}.{ending}", **options)
                number += 1


if __name__ == "__main__":
    main()
