"""mfi's model files (docs/file-formats.md), read without any library."""
import json
import struct
from dataclasses import dataclass
from pathlib import Path

from errors import PeersError

LARGEST_HEADER = 100_000_000  # bytes; safetensors' own limit


@dataclass(frozen=True)
class Tensor:
    shape: tuple
    data: bytes  # float32, little endian


@dataclass(frozen=True)
class ModelFile:
    arch: dict  # mfi.arch: the network
    info: dict  # mfi.info: what it was trained on
    tensors: dict  # name -> Tensor


def read_model_file(path):
    """Raises PeersError naming the file when it is none of mfi's models."""
    path = Path(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise PeersError(f"{path}: cannot be read: {error.strerror}")
    try:
        length = struct.unpack("<Q", raw[:8])[0]
        if length > min(LARGEST_HEADER, len(raw) - 8):
            raise ValueError("its header is cut off")
        header = json.loads(raw[8:8 + length])
        facts = header.pop("__metadata__")
        if not facts["mfi.format"].startswith("model-"):
            raise ValueError(f"it is a {facts['mfi.format']}")
        arch, info = json.loads(facts["mfi.arch"]), json.loads(facts["mfi.info"])
        tensors = {name: _tensor(entry, raw, 8 + length) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise PeersError(f"{path}: expected a model that mfi wrote: {error!r}")
    return ModelFile(arch, info, tensors)


def _tensor(entry, raw, start):
    first, end = entry["data_offsets"]
    values = 1
    for size in entry["shape"]:
        values *= size
    if entry["dtype"] != "F32" or end - first != 4 * values or start + end > len(raw):
        raise ValueError(f"a tensor of type {entry['dtype']} and shape {entry['shape']} in {end - first} bytes")
    return Tensor(tuple(entry["shape"]), raw[start + first:start + end])
