"""CIFAR's binary files, cut down and split as mfi does it, byte for byte; the run's fingerprint proves it."""
import hashlib
import tarfile
from array import array
from dataclasses import dataclass
from pathlib import Path

from errors import PeersError

SIDE = 32
PIXELS = 3 * SIDE * SIDE
HOLD_OUT, FEW_LABELS = 0x686F6C64, 0x6C61626C  # as in mfi/data/splits.cpp
MASK, GOLDEN = 2**64 - 1, 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Layout:
    folder: str
    archive: str
    train_files: tuple
    test_file: str
    label_bytes: int  # the last one is the label
    classes: int


LAYOUTS = {
    "cifar-10": Layout("cifar-10-batches-bin", "cifar-10-binary.tar.gz", tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
                       "test_batch.bin", 1, 10),
    "cifar-100": Layout("cifar-100-binary", "cifar-100-binary.tar.gz", ("train.bin",), "test.bin", 2, 100),
}


@dataclass(frozen=True)
class Images:
    pixels: bytes  # [N, 3, 32, 32]
    labels: bytes  # [N]

    def __len__(self):
        return len(self.labels)

    def pick(self, indices):
        return Images(b"".join(self.pixels[i * PIXELS:(i + 1) * PIXELS] for i in indices),
                      bytes(self.labels[i] for i in indices))


@dataclass(frozen=True)
class Splits:
    train: Images  # without those held out
    labelled: list  # indices of those among them whose labels are seen after the teacher's training
    test: Images
    fingerprint: str


def open_cifar(dataset, place, limit, validation, seed, labelled=1.0):
    """`place`: what `mfi --data` takes: the files' folder, one that holds it or the archive, or the archive.
    Raises PeersError where it is not found or not sound."""
    layout = LAYOUTS[dataset]
    read = _reader(layout, dataset, Path(place))
    train = _parse(layout, [(name, read(name)) for name in layout.train_files])
    test = _parse(layout, [(layout.test_file, read(layout.test_file))])
    if limit > 0:
        train, test = (images.pick(first_of_each_class(images.labels, layout.classes, limit)) for images in (train, test))
    mark = fingerprint(train, test)
    if validation > 0:
        train = train.pick(not_held_out(train.labels, layout.classes, validation, seed))
    return Splits(train, keep_labels(train.labels, layout.classes, labelled, seed), test, mark)


def _reader(layout, dataset, place):
    for folder in (place, place / layout.folder):
        if (folder / layout.test_file).is_file():
            return lambda name: _read(folder / name)
    archive = place if place.is_file() else place / layout.archive
    if not archive.is_file():
        raise PeersError(f"{place}: {dataset} not found; `mfi data get {dataset} --into {place}` downloads it")
    wanted = set(layout.train_files) | {layout.test_file}
    try:
        with tarfile.open(archive) as tar:
            found = {Path(m.name).name: tar.extractfile(m).read() for m in tar if Path(m.name).name in wanted and m.isfile()}
    except (OSError, EOFError, tarfile.TarError) as error:
        raise PeersError(f"{archive}: cannot be read: {error}")
    if missing := wanted - set(found):
        raise PeersError(f"{archive}: holds no {', '.join(sorted(missing))}")
    return found.__getitem__


def _read(file):
    try:
        return file.read_bytes()
    except OSError as error:
        raise PeersError(f"{file}: cannot be read: {error.strerror}")


def _parse(layout, files):
    record = layout.label_bytes + PIXELS
    labels, pixels = bytearray(), []
    for name, raw in files:
        if not raw or len(raw) % record:
            raise PeersError(f"{name}: {len(raw)} bytes, expected records of {record}")
        labels += raw[layout.label_bytes - 1::record]
        pixels += [raw[at + layout.label_bytes:at + record] for at in range(0, len(raw), record)]
    if max(labels) >= layout.classes:
        raise PeersError(f"{files[0][0]}: holds the label {max(labels)}, expected less than {layout.classes}")
    return Images(b"".join(pixels), bytes(labels))


def _by_class(labels, classes):
    members = [[] for _ in range(classes)]
    for index, label in enumerate(labels):
        members[label].append(index)
    return members


def _smallest(ranked, count):
    """ranked: (rank, index), class by class; ties go to the smaller class, as the sort is stable."""
    return sorted(index for _, index in sorted(ranked, key=lambda item: item[0])[:count])


def first_of_each_class(labels, classes, limit):
    ranked = [(rank, index) for members in _by_class(labels, classes) for rank, index in enumerate(members)]
    return _smallest(ranked, limit)


def held_out(labels, classes, share, seed):
    ranked = []
    for number, members in enumerate(_by_class(labels, classes)):
        stream = RandomStream(seed, HOLD_OUT, number)
        for i in range(len(members), 1, -1):
            j = stream.below(i)
            members[i - 1], members[j] = members[j], members[i - 1]
        ranked += [((rank + 0.5) / len(members), index) for rank, index in enumerate(members)]
    return _smallest(ranked, int(share * len(labels) + 0.5))


def not_held_out(labels, classes, share, seed):
    held = set(held_out(labels, classes, share, seed))
    return [index for index in range(len(labels)) if index not in held]


def keep_labels(labels, classes, share, seed):
    """Of data.labelled: indices of the images that keep their labels, one at least."""
    if share >= 1:
        return list(range(len(labels)))
    return held_out(labels, classes, max(share, 1 / len(labels)), seed ^ FEW_LABELS)


class RandomStream:
    """mfi/core/random.h: splitmix64, its start value a mix of three words."""

    def __init__(self, seed, a, b):
        self.state = _mix(_mix(_mix(seed + GOLDEN) + a + GOLDEN) + b + GOLDEN)

    def below(self, bound):
        self.state = (self.state + GOLDEN) & MASK
        return (_mix(self.state) * bound) >> 64


def _mix(x):
    x &= MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def fingerprint(train, test):
    """results.json's data_fingerprint."""
    digest = hashlib.sha256()
    for images in (train, test):
        digest.update(_int64(len(images), 3, SIDE, SIDE))
        digest.update(images.pixels)
        digest.update(_int64(*images.labels))
    return digest.hexdigest()


def _int64(*values):
    return array("q", values).tobytes()
