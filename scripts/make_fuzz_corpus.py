#!/usr/bin/env python3
"""Writes fuzz/corpus: seeds for the fuzz targets, small files of every kind that mfi reads.

usage: make_fuzz_corpus.py FOLDER      (needs torch; from the repository, whose pictures and recipes it takes)

A seed shows a fuzzer the features of a format, one or few at a time, for it finds none of them quickly by chance.
"""
import bz2
import collections
import gzip
import io
import json
import lzma
import pickle
import struct
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import torch

repository = Path(__file__).resolve().parent.parent
out = Path(sys.argv[1])


def seed(target, name, data):
    path = out / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


# ---- safetensors ----

def safetensors(header, data=b''):
    text = json.dumps(header, separators=(',', ':')) if isinstance(header, dict) else header
    text = text.encode() + b' ' * (-len(text) % 8)
    return struct.pack('<Q', len(text)) + text + data


def tensor(dtype, shape, begin, end):
    return {'dtype': dtype, 'shape': shape, 'data_offsets': [begin, end]}


seed('safetensors', 'empty', safetensors({}))
seed('safetensors', 'two', safetensors({'a': tensor('F32', [2, 3], 0, 24), 'b.c': tensor('I64', [], 24, 32)}, bytes(32)))
seed('safetensors', 'metadata', safetensors({'__metadata__': {'format': 'pt', 'ä\n"': ''}, 'x': tensor('U8', [0], 0, 0)}))
seed('safetensors', 'types', safetensors(
    {name: tensor(name, [1], at, at + size) for name, at, size in [
        ('F64', 0, 8), ('F32', 8, 4), ('F16', 12, 2), ('BF16', 14, 2), ('I64', 16, 8), ('I32', 24, 4), ('I16', 28, 2),
        ('I8', 30, 1), ('U8', 31, 1), ('BOOL', 32, 1)]}, bytes(33)))
seed('safetensors', 'overlap', safetensors({'a': tensor('U8', [4], 0, 4), 'b': tensor('U8', [4], 2, 6)}, bytes(6)))
seed('safetensors', 'hole', safetensors({'a': tensor('U8', [2], 0, 2), 'b': tensor('U8', [2], 3, 5)}, bytes(5)))
seed('safetensors', 'twice', safetensors('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
                                         '"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', bytes(2)))
seed('safetensors', 'huge-shape', safetensors({'a': tensor('F32', [2**62, 2**62], 0, 4)}, bytes(4)))
seed('safetensors', 'lying-length', struct.pack('<Q', 2**63) + b'{}')
seed('safetensors', 'deep', safetensors('{"a":' + '[' * 40 + ']' * 40 + '}'))

# ---- names of tensors ----

seed('foreign_names', 'torchvision', b'conv1.weight\nbn1.running_var\nlayer3.22.bn2.num_batches_tracked\n'
     b'layer4.0.downsample.1.bias\nfc.bias')
seed('foreign_names', 'cifar', b'module.conv5_x.2.residual_function.7.running_mean\nlayer1.1.left.3.weight\n'
     b'stage2.block1.conv1.weight\nstage_2.7.bn_b.weight\nconv_1_3x3.weight\nlinear.weight')
seed('foreign_names', 'hugging_face', b'resnet.embedder.embedder.normalization.bias\n'
     b'resnet.encoder.stages.0.layers.2.layer.1.convolution.weight\nclassifier.1.bias')
seed('foreign_names', 'variants', b'layer1.0.se.fc1.weight\nstem.conv2.weight\nlayer2.0.downsample.2.weight\n'
     b'blocks.0.attn.qkv.weight\nlayer1.0.conv2.fc.weight\nfeatures.0.weight\nblock.1.1.depthwise.weight')

# ---- pickles, and what torch.save writes ----

Point = collections.namedtuple('Point', 'x y')
values = {'a': [1, -1, 300, 70000, 2**40, 2**80, 1.5, True, None], 'b': ('t', b'bytes', {1, 2}, frozenset([3])),
          'c': collections.OrderedDict(k='v'), 'd': bytearray(b'x'), 'e': range(3), 'f': complex(1, 2)}
values['itself'] = values['a']
for protocol in range(6):
    seed('pickle', f'protocol-{protocol}', pickle.dumps(values, protocol))
seed('pickle', 'call', b'cos\nsystem\n(S\'true\'\ntR.')
seed('pickle', 'instance', b'(S\'x\'\ni__main__\nThing\n(dS\'k\'\nI1\nsb.')
seed('pickle', 'persistent', b'Pname\n.')
circle = []
circle.append(circle)
seed('pickle', 'circle', pickle.dumps(circle, 2))
seed('pickle', 'deep', b']' * 60 + b'a' * 59 + b'.')
seed('pickle', 'state', b'\x80\x02ccopy_reg\n_reconstructor\n(c__main__\nC\nc__builtin__\nobject\nNtR}X\x01\x00\x00\x00aK\x01sb.')

weights = collections.OrderedDict([('conv.weight', torch.arange(6.).reshape(2, 3)), ('bn.bias', torch.zeros(2)),
                                   ('bn.num_batches_tracked', torch.tensor(7))])


def saved(value, **options):
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


legacy = {'_use_new_zipfile_serialization': False}
everything = {'epoch': 3, 'arch': 'resnet20', 'state_dict': weights, 'lr': 0.1,
              'types': {str(t): torch.zeros(1, dtype=t) for t in (torch.float16, torch.bfloat16, torch.float64, torch.int8,
                                                                  torch.uint8, torch.bool, torch.complex64)}}
shared = torch.arange(12.)
views = {'whole': shared, 'part': shared[2:8], 'columns': shared.reshape(3, 4).t(), 'parameter': torch.nn.Parameter(shared)}
module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
for name, value in [('weights', weights), ('everything', everything), ('views', views), ('module', module),
                    ('no-tensors', {'a': 1})]:
    seed('torch_file', name + '.zip', saved(value))
    if value is not module:  # the old layout adds its classes' source code
        seed('torch_file', name + '.legacy', saved(value, **legacy))


def zipped(files, method=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', method) as archive:
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), data, method)
    return file.getvalue()


seed('torch_file', 'bomb', zipped([('archive/data.pkl', bytes(100_000))], zipfile.ZIP_DEFLATED))
seed('torch_file', 'script', zipped([('archive/data.pkl', b'N.'), ('archive/constants.pkl', b'N.')]))
seed('torch_file', 'big-endian', zipped([('archive/data.pkl', b'N.'), ('archive/byteorder', b'big')]))
seed('torch_file', 'call', zipped([('a/data.pkl', b'\x80\x02}X\x01\x00\x00\x00acos\nsystem\nX\x04\x00\x00\x00true\x85Rs.')]))

# ---- ONNX: protocol buffers, written by hand ----


def varint(n):
    n &= 2**64 - 1
    data = b''
    while n > 127:
        data += bytes([n & 127 | 128])
        n >>= 7
    return data + bytes([n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack('<f', value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def onnx(graph, opset=17):
    return (field(1, 8) + field(2, 'mfi') + field(3, '0.1') + field(6, 'a network') + field(7, graph)
            + field(8, field(1, '') + field(2, opset)) + field(14, field(1, 'key') + field(2, 'value')))


def value(name, *sides):
    shape = b''.join(field(1, field(1, s) if isinstance(s, int) else field(2, s)) for s in sides)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))


attributes = (field(5, field(1, 'ints') + field(8, 3) + field(8, -3) + field(20, 7)) +
              field(5, field(1, 'int') + field(3, 1) + field(20, 2)) +
              field(5, field(1, 'float') + field(2, 0.5) + field(20, 1)) +
              field(5, field(1, 'text') + field(4, 'SAME') + field(20, 3)))
node = field(1, 'x') + field(1, 'w') + field(2, 'y') + field(3, 'conv') + field(4, 'Conv')
constant = field(1, 2) + field(1, 2) + field(2, 1) + field(8, 'w') + field(9, bytes(16))
graph = (field(1, node + attributes) + field(2, 'net') + field(5, constant) + field(11, value('x', 'N', 3, 32, 32))
         + field(12, value('y', 'N', 10)))
seed('onnx_file', 'network', onnx(graph))
seed('onnx_file', 'no-graph', field(1, 8))
seed('onnx_file', 'lying-length', field(1, 8) + varint(7 << 3 | 2) + varint(2**31) + b'xx')
seed('onnx_file', 'wrong-kinds', onnx(field(1, 5) + field(5, field(1, b'\x02\x02') + field(9, 7)) + field(2, 1.0)))
seed('onnx_file', 'graph-attribute', onnx(field(1, node + field(5, field(1, 'body') + field(6, graph) + field(20, 5)))))
seed('onnx_file', 'data-elsewhere', onnx(field(5, field(1, 4) + field(2, 1) + field(8, 'w') + field(13, field(1, 'location')
                                                                                                    + field(2, 'w.bin')))))

# ---- pictures ----

small = [p for p in (repository / 'mfi/formats/testdata').iterdir() if p.suffix in ('.jpg', '.png', '.webp')]
for path in sorted(small):
    if path.stat().st_size < 3000 and not path.stem.startswith(('turned-1', 'turned-2', 'turned-3', 'turned-4', 'turned-7')):
        seed('picture', path.name, path.read_bytes())


def with_size(data, at, form, width, height):
    """The picture with other numbers for its size, and for PNG the sum over them put right."""
    data = bytearray(data)
    struct.pack_into(form, data, at, width, height)
    if data[:4] == b'\x89PNG':
        struct.pack_into('>I', data, 29, zlib.crc32(bytes(data[12:29])))
    return bytes(data)


png = (repository / 'mfi/formats/testdata/grey.png').read_bytes()
jpeg = (repository / 'mfi/formats/testdata/grey.jpg').read_bytes()
webp = (repository / 'mfi/formats/testdata/lossy.webp').read_bytes()
frame = jpeg.index(b'\xff\xc0') + 5
seed('picture', 'huge.png', with_size(png, 16, '>II', 60000, 60000))
seed('picture', 'large.png', with_size(png, 16, '>II', 1000, 1000))
seed('picture', 'huge.jpg', with_size(jpeg, frame, '>HH', 60000, 60000))
seed('picture', 'large.jpg', with_size(jpeg, frame, '>HH', 1000, 1000))
seed('picture', 'huge.webp', with_size(webp, webp.index(b'\x9d\x01\x2a') + 3, '<HH', 16383, 16383))

for name, sizes in [('smaller', (31, 20, 0, 0, 31, 20, 7, 7, 0)), ('larger', (3, 5, 1, 1, 1, 3, 50, 60, 1)),
                    ('same', (8, 8, 2, 2, 3, 3, 3, 3, 0)), ('rows', (20, 9, 0, 0, 20, 9, 5, 9, 2)),
                    ('thin', (255, 0, 0, 0, 255, 0, 1, 255, 3))]:
    seed('resize', name, bytes(sizes) + bytes(range(0, 250, 7)))

# ---- archives ----


def tarred(files, format=tarfile.USTAR_FORMAT):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode='w', format=format) as archive:
        for name, data in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return file.getvalue()[:512 * (3 + sum(1 + -(-len(data) // 512) for _, data in files))]


pictures = [('./data/train/cat/1.png', b'one'), ('data/train/dog/2.png', b'two'), ('data/._hidden', b'')]
long_name = [('a/' * 60 + 'b.png', b'deep')]
seed('file_tree', 'plain.tar', tarred(pictures))
seed('file_tree', 'long-name.gnu.tar', tarred(long_name, tarfile.GNU_FORMAT))
seed('file_tree', 'long-name.pax.tar', tarred(long_name, tarfile.PAX_FORMAT))
seed('file_tree', 'gzip.tar.gz', gzip.compress(tarred(pictures), mtime=0))
seed('file_tree', 'xz.tar.xz', lzma.compress(tarred(pictures), preset=0))
seed('file_tree', 'bzip2.tar.bz2', bz2.compress(tarred(pictures)))
seed('file_tree', 'stored.zip', zipped(pictures))
seed('file_tree', 'deflated.zip', zipped(pictures, zipfile.ZIP_DEFLATED))
seed('file_tree', 'twice.zip', zipped(pictures[:1] + pictures[:1]))
seed('file_tree', 'bomb.tar.gz', gzip.compress(tarred([('a.png', bytes(1 << 17))]), mtime=0))

records = [('cifar-100-binary/' + name, (b'\1\2' + bytes(3072)) * count) for name, count in
           [('a.bin', 2), ('b.bin', 2), ('test.bin', 1)]]
names = [('cifar-100-binary/names.txt', b'cat\ndog\r\nfrog\n')]
seed('cifar_binary', 'all.tar.gz', gzip.compress(tarred(records + names), mtime=0))
seed('cifar_binary', 'without-names.tar.gz', gzip.compress(tarred(records), mtime=0))
seed('cifar_binary', 'one-missing.tar.gz', gzip.compress(tarred(records[1:]), mtime=0))
seed('cifar_binary', 'label.tar.gz', gzip.compress(tarred([('a.bin', b'\2' + bytes(6147))]), mtime=0))
seed('cifar_binary', 'python.tar.gz', gzip.compress(tarred([('cifar-100-python/train', b'')]), mtime=0))
seed('cifar_binary', 'names.tar', tarred(names))

# ---- lists of pictures ----

seed('picture_list', 'parts', b'train/cat/1.png\ntrain/dog/2.jpg\nval/cat/3.png\ntest/dog/4.webp\nREADME.md')
seed('picture_list', 'classes', b'\n'.join(b'out/%d/%d.png' % (c, i) for c in (2, 10) for i in range(5)))
seed('picture_list', 'table', b'train/metadata.csv\ntrain/a.png\ntrain/b.png\ntest/metadata.csv\ntest/a.png\n\n'
     b'\xef\xbb\xbffile_name,"label",more\r\na.png,"a ""cat""",\nb.png,dog,"x\ny"\n')
seed('picture_list', 'no-label', b'metadata.csv\na.png\n\nfile_name,label\na.png,\n')
seed('picture_list', 'two-lines', b'metadata.csv\na.png\n\nfile_name,label\na.png,x\na.png,y\n')

# ---- recipes, and the description of a network ----

for name in ('sample', 'cifar10-resnet34-w16'):
    seed('recipe', name, (repository / 'recipes' / f'{name}.toml').read_bytes())
seed('recipe', 'all-kinds', b'name = "a"\nseed = 0x10\n[flow]\nhidden = [1, 2, 3, 4]\nmodules = [1]\n[teacher]\n'
     b'learning_rate = 1e-3\naugment = false\nepochs = 1_000\n[pipeline]\nincubate = []\n')
seed('recipe', 'per-stage', b'[flow]\nvelocity = ["depthwise", "bottleneck", "pointwise", "depthwise"]\nkernel = 5\n'
     b'dilation = [2]\ndownsampling = "average"\nstep_lengths = "learned"\n')
seed('recipe', 'kinds-of-toml', b'a.b = {c = [1, "x", 2020-01-01T00:00:00Z]}\n[[d]]\ne = \'\'\'f\'\'\'\n')
seed('recipe', 'not-finite', b'[teacher]\nlearning_rate = inf\nweight_decay = nan\n')
seed('recipe', 'unknown', b'[techer]\nepoch = 1\n')
seed('recipe', 'deep', b'a = ' + b'[' * 60 + b']' * 60)

blocks = {'in_channels': 16, 'out_channels': 32, 'stride': 2,
          'blocks': {'kind': 'basic', 'width': 32, 'count': 3, 'shortcut': 'padded'}}
flow = {'in_channels': 32, 'out_channels': 64, 'stride': 2,
        'flow': {'kind': 'bottleneck', 'hidden': 20, 'depth': 1, 'modules': 2, 'steps': 2, 'alignment': 1}}
arch = {'name': 'resnet20', 'image_size': 32, 'in_channels': 3, 'stem': 'cifar', 'stem_channels': 16, 'classes': 10,
        'folded': False, 'stages': [blocks, flow]}
huge = json.loads(json.dumps(arch))
huge['stages'][0]['blocks']['count'] = 2**62
far = json.loads(json.dumps(arch))
far['stages'][1]['flow'].update(kind='depthwise', kernel=5, dilation=2, downsampling='average', step_lengths='learned')
wide = dict(arch, stages=[], stem='imagenet', stem_channels=2**62, classes=2**40)
for name, description in [('network', arch), ('no-stages', dict(arch, stages=[])), ('many-blocks', huge), ('wide', wide),
                          ('far-sighted', far)]:
    seed('arch', name, json.dumps(description, separators=(',', ':')).encode())
seed('arch', 'fractions', json.dumps(dict(arch, classes=1e300, image_size=-0.5)).encode())
seed('arch', 'deep', b'[' * 60 + b']' * 60)
