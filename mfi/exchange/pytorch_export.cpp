#include "mfi/exchange/pytorch_export.h"

#include <nlohmann/json.hpp>

#include "mfi/core/text.h"
#include "mfi/nn/cost.h"

namespace mfi {
namespace {

// The parts of the file; what stands in << >> is filled in.
constexpr const char* kHead =
    R"python("""<<name>>: an image classifier of <<classes>> classes and <<parameters>> parameters, written by mfi.

As a module:  net = load(); logits = net(normalise(pixels))      pixels: float [N, 3, H, W] from 0 to 1, RGB
As a script:  python <<file>> PICTURE ...                      prints each picture's class (reads them with Pillow)
"""
import json
import struct
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

CLASSES = <<class_names>>
MEAN = <<mean>>
STDDEV = <<stddev>>
IMAGE_SIZE = <<image_size>>
CROP = <<crop>>  # share of the shorter side that is kept


def conv(inputs, outputs, kernel, stride=1, bias=True, dilation=1, groups=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, dilation * (kernel // 2), dilation, groups, bias)

)python";

constexpr const char* kBlock = R"python(
class Block(nn.Module):
    """Residual block; its batch norms are folded into the convolutions."""

    def __init__(self, inputs, width, outputs, stride=1, bottleneck=False, shortcut="projection"):
        super().__init__()
        if bottleneck:
            self.conv1, self.conv2, self.conv3 = conv(inputs, width, 1), conv(width, width, 3, stride), conv(width, outputs, 1)
        else:
            self.conv1, self.conv2, self.conv3 = conv(inputs, width, 3, stride), conv(width, outputs, 3), None
        changes = stride != 1 or inputs != outputs
        self.shortcut = conv(inputs, outputs, 1, stride) if changes and shortcut == "projection" else None
        self.stride = stride
        zeros = outputs - inputs
        before = zeros // 2 if shortcut == "padded" else 0
        self.zeros = (0, 0, 0, 0, before, zeros - before)

    def forward(self, x):
        y = self.conv2(F.relu(self.conv1(x)))
        if self.conv3 is not None:
            y = self.conv3(F.relu(y))
        if self.shortcut is not None:
            x = self.shortcut(x)
        elif self.stride != 1 or any(self.zeros):
            x = F.pad(x[:, :, :: self.stride, :: self.stride], self.zeros)
        return F.relu(y + x)


def blocks(count, inputs, width, outputs, stride, **keywords):
    stage = nn.Sequential()
    for i in range(count):
        stage.add_module(f"block{i}", Block(inputs if i == 0 else outputs, width, outputs, stride if i == 0 else 1, **keywords))
    return stage

)python";

constexpr const char* kFlow = R"python(
class Velocity(nn.Module):
    """A mean velocity; a step's place in time is in its biases."""

    def __init__(self, channels, hidden, depth, steps, kernel, dilation, groups):
        super().__init__()
        self.depth, self.hidden = depth, hidden
        self.enter = conv(channels, hidden, 1, bias=False)
        for i in range(depth):
            self.add_module(f"middle{i}", conv(hidden, hidden, kernel, 1, False, dilation, groups))
        self.leave = conv(hidden, channels, 1)
        self.time_bias = nn.Parameter(torch.zeros(steps, (depth + 1) * hidden))

    def forward(self, z, step):
        layers = [self.enter] + [getattr(self, f"middle{i}") for i in range(self.depth)]
        for layer, bias in zip(layers, self.time_bias[step].split(self.hidden)):
            z = F.relu(layer(z) + bias.view(1, -1, 1, 1))
        return self.leave(z)


class Flow(nn.Module):
    """MeanFlow modules: steps along mean velocities instead of a row of residual blocks."""

    def __init__(self, inputs, outputs, stride, hidden, depth=1, modules=1, steps=1, alignment=1, kernel=3, dilation=1, groups=1, pooling=1, learned=False):
        super().__init__()
        self.pooling = pooling
        self.alignment = conv(inputs, outputs, alignment, stride)
        self.modules_, self.steps = modules, steps
        for i in range(modules):
            self.add_module(f"velocity{i}", Velocity(outputs, hidden, depth, steps // modules, kernel, dilation, groups))
        if learned:
            self.step_lengths = nn.Parameter(torch.zeros(steps))
        else:
            self.step_lengths = [1 / steps] * steps

    def forward(self, x):
        if self.pooling != 1:
            x = F.avg_pool2d(x, self.pooling, ceil_mode=True)
        z = F.relu(self.alignment(x))
        each = self.steps // self.modules_
        for i in range(self.steps):
            z = z - getattr(self, f"velocity{i // each}")(z, i % each) * self.step_lengths[i]
        return z

)python";

constexpr const char* kNet = R"python(
class Net(nn.Module):
    def __init__(self):
        super().__init__()
<<layers>>
    def forward(self, x):
        x = F.relu(self.stem(x))
<<pooling>>        for stage in (<<stages>>):
            x = stage(x)
        return self.head(x.mean((2, 3)))


def read_safetensors(path):
    """The tensors in a safetensors file: a header in JSON, then their bytes."""
    data = bytearray(Path(path).read_bytes())
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            values = torch.frombuffer(data, dtype=torch.float32, count=(end - begin) // 4, offset=8 + length + begin)
            tensors[name] = values.reshape(entry["shape"])
    return tensors


def load(path=None):
    """The network with its weights, from the file beside this one."""
    net = Net()
    net.load_state_dict(read_safetensors(path or Path(__file__).with_name(<<weights>>)))
    return net.eval()


def normalise(pixels):
    mean, stddev = (torch.tensor(numbers, device=pixels.device).view(1, 3, 1, 1) for numbers in (MEAN, STDDEV))
    return (pixels - mean) / stddev


def prepare(picture):
    """A picture of Pillow's as the network was trained to see it: the shorter side resized, the middle cut out."""
    from PIL import Image, ImageOps

    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):  # grey of 16 bits, of which convert() would make white of all but the darkest
        picture = picture.point(lambda value: value * (1 / 256)).convert("L")
    picture = picture.convert("RGB")
    if picture.size != (IMAGE_SIZE, IMAGE_SIZE):
        shorter = int(IMAGE_SIZE / CROP)
        width, height = (shorter * side // min(picture.size) for side in picture.size)
        picture = picture.resize((width, height), Image.<<filter>>)
        left, top = round((width - IMAGE_SIZE) / 2), round((height - IMAGE_SIZE) / 2)
        picture = picture.crop((left, top, left + IMAGE_SIZE, top + IMAGE_SIZE))
    pixels = torch.tensor(list(picture.tobytes()), dtype=torch.float32).view(1, IMAGE_SIZE, IMAGE_SIZE, 3)
    return normalise(pixels.permute(0, 3, 1, 2) / 255)


def main():
    from PIL import Image

    if len(sys.argv) < 2:
        sys.exit("usage: python <<file>> PICTURE ...")
    net = load()
    for path in sys.argv[1:]:
        with torch.no_grad():
            probabilities = net(prepare(Image.open(path))).softmax(1)[0]
        best = int(probabilities.argmax())
        print(f"{path}\t{CLASSES[best]}\t{probabilities[best]:.4f}")


if __name__ == "__main__":
    main()
)python";

std::string filled(std::string text, const std::vector<std::pair<std::string, std::string>>& values) {
  for (const auto& [name, value] : values) {
    const auto mark = "<<" + name + ">>";
    for (auto at = text.find(mark); at != std::string::npos; at = text.find(mark, at + value.size()))
      text.replace(at, mark.size(), value);
  }
  return text;
}

// Only what can stand in a comment whoever wrote it.
std::string harmless(std::string text) {
  const std::string_view kept = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ._,-+()";
  std::erase_if(text, [&](char c) { return kept.find(c) == std::string_view::npos; });
  return text;
}

std::string number(int64_t n) { return std::to_string(n); }

std::string stage_source(const StageArch& stage) {
  const auto in = number(stage.in_channels) + ", ";
  if (const auto* flow = std::get_if<FlowArch>(&stage.body)) {
    const auto middle = velocity_shapes(stage.out_channels, *flow)[1];
    std::string out = "Flow(" + in + number(stage.out_channels) + ", stride=" + number(alignment_shape(stage).stride) +
                      ", hidden=" + number(flow->hidden);
    if (flow->depth != 1) out += ", depth=" + number(flow->depth);
    if (flow->modules != 1) out += ", modules=" + number(flow->modules);
    if (flow->steps != 1) out += ", steps=" + number(flow->steps);
    if (flow->alignment != 1) out += ", alignment=" + number(flow->alignment);
    if (middle.kernel != 3) out += ", kernel=" + number(middle.kernel);
    if (middle.dilation != 1) out += ", dilation=" + number(middle.dilation);
    if (middle.groups != 1) out += ", groups=" + number(middle.groups);
    if (pools_first(stage)) out += ", pooling=" + number(stage.stride);
    if (flow->learns_steps()) out += ", learned=True";
    return out + ")";
  }
  const auto& body = std::get<BlocksArch>(stage.body);
  std::string out = "blocks(" + number(body.count) + ", " + in + number(body.width) + ", " +
                    number(stage.out_channels) + ", stride=" + number(stage.stride);
  if (body.kind == BlockKind::bottleneck) out += ", bottleneck=True";
  if (body.shortcut == ShortcutKind::padded) out += ", shortcut=\"padded\"";
  if (body.shortcut == ShortcutKind::padded_end) out += ", shortcut=\"padded-end\"";
  return out + ")";
}

std::string numbers_text(const std::array<float, 3>& numbers) {
  return format("[%.6g, %.6g, %.6g]", numbers[0], numbers[1], numbers[2]);
}

}  // namespace

std::string pytorch_source(const Arch& arch, const ModelInfo& info, const std::string& weights_file) {
  bool has_blocks = false, has_flow = false;
  std::string layers, stages;
  const auto layer = [&](const std::string& name, const std::string& source) {
    layers += "        self." + name + " = " + source + "\n";
  };
  const auto stem = stem_shape(arch);
  layer("stem", "conv(" + number(stem.in) + ", " + number(stem.out) + ", " + number(stem.kernel) +
                    (stem.stride == 1 ? "" : ", " + number(stem.stride)) + ")");
  for (size_t i = 0; i < arch.stages.size(); ++i) {
    const auto name = part_name(arch, i + 1);
    layer(name, stage_source(arch.stages[i]));
    stages += "self." + name + ", ";
    (arch.stages[i].is_flow() ? has_flow : has_blocks) = true;
  }
  layer("head", "nn.Linear(" + number(arch.head_features()) + ", " + number(arch.classes) + ")");
  if (arch.stages.size() > 1) stages.resize(stages.size() - 2);

  const auto file = std::filesystem::path(weights_file).replace_extension(".py").string();
  const std::string source = std::string(kHead) + (has_blocks ? kBlock : "") + (has_flow ? kFlow : "") + kNet;
  return filled(source, {{"name", harmless(arch.name)},
                         {"classes", number(arch.classes)},
                         {"parameters", count_text(static_cast<double>(total_cost(arch).parameters))},
                         {"file", harmless(file)},
                         {"weights", nlohmann::json(weights_file).dump()},
                         {"mean", numbers_text(info.normalisation.mean)},
                         {"stddev", numbers_text(info.normalisation.stddev)},
                         {"image_size", number(arch.image_size)},
                         {"crop", format("%.17g", info.crop)},
                         {"filter", info.resize == "bilinear" ? "BILINEAR" : "BICUBIC"},
                         {"layers", layers},
                         {"stages", stages},
                         {"pooling", arch.stem == StemKind::imagenet ? "        x = F.max_pool2d(x, 3, 2, 1)\n" : ""},
                         {"class_names", nlohmann::json(info.class_names).dump()}});
}

NamedTensors pytorch_tensors(const Network& folded) {
  NamedTensors out;
  for (const auto& [name, tensor] : named_tensors(folded)) {
    // A convolution and its batch norm were two modules within one; folded, they are the convolution.
    auto own = name;
    for (const char* field : {".weight", ".bias"})
      if (own.ends_with(std::string(".conv") + field)) own.erase(own.size() - std::string(field).size() - 5, 5);
    if (own.starts_with("stem.conv.")) own.erase(4, 5);
    out.emplace_back(own, tensor);
  }
  return out;
}

}  // namespace mfi
