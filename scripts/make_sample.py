#!/usr/bin/env python3
"""Makes sample/: a small part of CIFAR-10, so that the demo and the tests need no download.

usage: make_sample.py CIFAR_FOLDER [OUT]     (OUT: sample/ of this checkout)

CIFAR_FOLDER is cifar-10-batches-bin, CIFAR-10's binary version unpacked. Of each class the first 500
training and the first 100 test images are taken, in the order of the files, and laid out as
32x32 tiles, 100 a row, classes one after another, in the sheets train.png and test.png.
The same input gives the same bytes with the same zlib. Standard library only.
"""
import math
import struct
import sys
import zlib
from collections import Counter
from pathlib import Path

SIDE = 32
PLANE = SIDE * SIDE
RECORD = 1 + 3 * PLANE  # label, then the red, green and blue planes
TILES_PER_ROW = 100
CLASSES = 10


def first_of_each_class(files, wanted):
    """The first `wanted` images of each class: a list of classes, each a list of 3072 bytes."""
    images = [[] for _ in range(CLASSES)]
    for file in files:
        data = file.read_bytes()
        if not data or len(data) % RECORD:
            sys.exit(f"{file}: {len(data)} bytes, expected a multiple of {RECORD}")
        for start in range(0, len(data), RECORD):
            label = data[start]
            if label >= CLASSES:
                sys.exit(f"{file}: label {label} at byte {start}, expected at most {CLASSES - 1}")
            if len(images[label]) < wanted:
                images[label].append(data[start + 1:start + RECORD])
        if all(len(of_class) == wanted for of_class in images):
            return images
    sys.exit(f"{files[0].parent}: fewer than {wanted} images in some class")


def sheet_rows(images):
    """The pixel rows of the sheet, top to bottom, as RGB bytes."""
    tiles = [image for of_class in images for image in of_class]
    for start in range(0, len(tiles), TILES_PER_ROW):
        for y in range(SIDE):
            row = bytearray(TILES_PER_ROW * SIDE * 3)
            for i, tile in enumerate(tiles[start:start + TILES_PER_ROW]):
                left, right = i * SIDE * 3, (i + 1) * SIDE * 3
                for channel in range(3):
                    at = channel * PLANE + y * SIDE
                    row[left + channel:right:3] = tile[at:at + SIDE]
            yield bytes(row)


def paeth(a, b, c):
    pa, pb, pc = abs(b - c), abs(a - c), abs(a + b - 2 * c)
    return a if pa <= pb and pa <= pc else b if pb <= pc else c


def bits(data):
    """What an ideal order-0 coder would need; a better guide here than the usual sum of magnitudes."""
    n = len(data)
    return sum(k * math.log2(n / k) for k in Counter(data).values())


def filtered(rows):
    """PNG scanlines: each row with the one of the five filters that codes shortest."""
    above = None
    for row in rows:
        above = above or bytes(len(row))
        left = bytes(3) + row[:-3]
        corner = bytes(3) + above[:-3]
        choices = [
            row,
            bytes((x - a) & 255 for x, a in zip(row, left)),
            bytes((x - b) & 255 for x, b in zip(row, above)),
            bytes((x - (a + b) // 2) & 255 for x, a, b in zip(row, left, above)),
            bytes((x - paeth(a, b, c)) & 255 for x, a, b, c in zip(row, left, above, corner)),
        ]
        best = min(range(5), key=lambda i: bits(choices[i]))
        yield bytes([best]) + choices[best]
        above = row


def write_png(path, rows):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = list(rows)
    header = struct.pack(">IIBBBBB", len(rows[0]) // 3, len(rows), 8, 2, 0, 0, 0)
    lines = b"".join(filtered(rows))
    # Filtered photographs hold few repeats, many skewed byte counts: of zlib's strategies the
    # smallest result is kept.
    packed = min((pack.compress(lines) + pack.flush() for pack in
                  (zlib.compressobj(9, zlib.DEFLATED, 15, 9, strategy)
                   for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED))), key=len)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b""))
    print(f"{path}: {len(rows[0]) // 3}x{len(rows)}, {path.stat().st_size} bytes")


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    source = Path(sys.argv[1])
    out = Path(sys.argv[2]) if len(sys.argv) == 3 else Path(__file__).resolve().parent.parent / "sample"
    out.mkdir(parents=True, exist_ok=True)

    names = source.joinpath("batches.meta.txt").read_text().split()
    if len(names) != CLASSES:
        sys.exit(f"{source}/batches.meta.txt: {len(names)} names, expected {CLASSES}")
    out.joinpath("classes.txt").write_text("\n".join(names) + "\n")
    train = [source / f"data_batch_{i}.bin" for i in range(1, 6)]
    write_png(out / "train.png", sheet_rows(first_of_each_class(train, 500)))
    write_png(out / "test.png", sheet_rows(first_of_each_class([source / "test_batch.bin"], 100)))


main()
