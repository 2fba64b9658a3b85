#!/usr/bin/env python3
"""Writes mfi/formats/testdata: small pictures of every kind, and the pixels that Pillow reads and resizes them to.

usage: make_picture_testdata.py FOLDER       (needs pillow, numpy and safetensors)

expected.safetensors holds for each file its pixels, uint8 [height, width, 3]; and for some sizes what Pillow's resize makes
of the file photo.png: "resize FILTER LEFT,TOP,RIGHT,BOTTOM WIDTHxHEIGHT".
"""
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from safetensors.numpy import save_file


def scene(width, height):
    """Smooth colours with edges and noise, so that every step of a decoder matters."""
    random = np.random.default_rng(width * 1000 + height)
    y, x = np.mgrid[0:height, 0:width]
    planes = [128 + 100 * np.sin(x / 5 + c) * np.cos(y / 7 - c) + 25 * ((x + y + c) % 9 < 2) for c in range(3)]
    noisy = np.stack(planes, 2) + random.normal(0, 6, (height, width, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    expected = {}

    def record(name, pixels=None):
        if pixels is None:
            pixels = np.asarray(ImageOps.exif_transpose(Image.open(folder / name)).convert("RGB"))
        expected[name] = np.ascontiguousarray(pixels)

    rgb = Image.fromarray(scene(37, 29))
    alpha = Image.fromarray((np.arange(37 * 29).reshape(29, 37) % 256).astype(np.uint8))
    with_alpha = rgb.copy()
    with_alpha.putalpha(alpha)
    few = rgb.quantize(13)

    pngs = {"rgb.png": rgb, "grey.png": rgb.convert("L"), "alpha.png": with_alpha, "grey-alpha.png": with_alpha.convert("LA"),
            "palette.png": few, "one-bit.png": rgb.convert("1")}
    for name, picture in pngs.items():
        picture.save(folder / name)
        record(name)
    few.save(folder / "palette-transparent.png", transparency=3)
    record("palette-transparent.png", np.asarray(few.convert("RGB")))
    wide = (np.asarray(rgb.convert("L")).astype(np.uint16) * 257 - 100).clip(0)
    Image.fromarray(wide).save(folder / "grey-16.png")
    record("grey-16.png", np.repeat((wide >> 8).astype(np.uint8)[:, :, None], 3, 2))

    rgb.save(folder / "photo.jpg", quality=90)
    rgb.save(folder / "no-subsampling.jpg", quality=85, subsampling=0)
    rgb.save(folder / "progressive.jpg", quality=85, progressive=True)
    rgb.convert("L").save(folder / "grey.jpg", quality=90)
    rgb.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    rgb.save(folder / "lossy.webp", quality=80)
    with_alpha.save(folder / "lossless-alpha.webp", lossless=True)
    for name in ("photo.jpg", "no-subsampling.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg", "lossy.webp", "lossless-alpha.webp"):
        record(name)
    small = Image.fromarray(scene(9, 6))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        for ending in ("jpg", "webp", "png"):
            name = f"turned-{orientation}.{ending}"
            small.save(folder / name, exif=exif, **({"lossless": True} if ending == "webp" else {}))
            record(name)

    photo = Image.fromarray(scene(61, 47))
    photo.save(folder / "photo.png")
    record("photo.png")
    for filter_name, kind in (("bilinear", Image.BILINEAR), ("bicubic", Image.BICUBIC)):
        for box, size in (((0, 0, 61, 47), (32, 32)), ((0, 0, 61, 47), (122, 90)), ((5, 7, 44, 31), (32, 32)), ((5, 7, 44, 31), (39, 12)),
                          ((0, 0, 61, 47), (61, 20)), ((10, 0, 11, 47), (4, 4)), ((0, 0, 61, 47), (1, 1))):
            made = photo.crop(box).resize(size, kind)
            expected[f"resize {filter_name} {','.join(map(str, box))} {size[0]}x{size[1]}"] = np.asarray(made)
    save_file(expected, folder / "expected.safetensors")


if __name__ == "__main__":
    main()
