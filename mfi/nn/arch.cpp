#include "mfi/nn/arch.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <initializer_list>

#include "mfi/core/error.h"
#include "mfi/core/text.h"

namespace mfi {
namespace {

struct NamedResNet {
  const char* name;
  BlockKind kind;
  std::vector<int64_t> counts;
  int64_t usual_width;
};

const std::vector<NamedResNet>& resnets() {
  using enum BlockKind;
  static const std::vector<NamedResNet> table{
      {"resnet18", basic, {2, 2, 2, 2}, 64},        {"resnet34", basic, {3, 4, 6, 3}, 64},
      {"resnet50", bottleneck, {3, 4, 6, 3}, 64},   {"resnet101", bottleneck, {3, 4, 23, 3}, 64},
      {"resnet152", bottleneck, {3, 8, 36, 3}, 64}, {"resnet20", basic, {3, 3, 3}, 16},
      {"resnet32", basic, {5, 5, 5}, 16},           {"resnet44", basic, {7, 7, 7}, 16},
      {"resnet56", basic, {9, 9, 9}, 16},           {"resnet110", basic, {18, 18, 18}, 16}};
  return table;
}

void require(bool holds, const std::string& where, const std::string& message) {
  if (!holds) throw ShapeError(where + ": " + message);
}

}  // namespace

const std::vector<std::string>& resnet_names() {
  static const auto names = [] {
    std::vector<std::string> out;
    for (const auto& net : resnets()) out.push_back(net.name);
    return out;
  }();
  return names;
}

std::string usual_resnet_name(const Arch& arch) {
  std::vector<int64_t> counts;
  std::vector<std::string> words{"resnet"};
  for (const auto& stage : arch.stages) {
    counts.push_back(std::get<BlocksArch>(stage.body).count);
    words.push_back(std::to_string(counts.back()));
  }
  std::string name = join(words, "-");
  if (arch.stages.empty()) return name;
  const auto& first = std::get<BlocksArch>(arch.stages.front().body);
  int64_t usual_width = 0;
  for (const auto& net : resnets())
    if (net.kind == first.kind && net.counts == counts) {
      name = net.name;
      usual_width = net.usual_width;
    }
  if (arch.stem_channels != usual_width) name += "-w" + std::to_string(arch.stem_channels);
  const int64_t plain = arch.stages.front().out_channels / 4;  // a bottleneck's width in a network that is not wide
  if (first.kind == BlockKind::bottleneck && first.width != plain && plain > 0)
    name = format("wide-%s-%g", name.c_str(), static_cast<double>(first.width) / static_cast<double>(plain));
  const auto inside = [&](auto compare) {
    return std::ranges::any_of(arch.stages, [&](const auto& stage) {
      const auto& blocks = std::get<BlocksArch>(stage.body);
      return blocks.kind == BlockKind::basic && compare(blocks.width, stage.out_channels);
    });
  };
  if (inside(std::less<>())) return "narrow-" + name;
  return inside(std::greater<>()) ? "wide-" + name : name;
}

Arch resnet_arch(const std::string& name, int64_t width, int64_t classes) {
  const auto& table = resnets();
  const auto found = std::find_if(table.begin(), table.end(), [&](const auto& n) { return n.name == name; });
  if (found == table.end()) {
    const auto near = nearest_name(name, resnet_names());
    throw RecipeError("unknown network '" + name + "'; " +
                      (near.empty() ? "known are " + join(resnet_names(), ", ") : "did you mean " + near + "?"));
  }
  const int64_t w = width == 0 ? found->usual_width : width;
  const int64_t expansion = found->kind == BlockKind::basic ? 1 : 4;
  Arch arch;
  arch.name = name + (w == found->usual_width ? "" : "-w" + std::to_string(w));
  arch.stem_channels = w;
  arch.classes = classes;
  int64_t in = w;
  for (size_t i = 0; i < found->counts.size(); ++i) {
    StageArch stage;
    stage.in_channels = in;
    stage.out_channels = in = (w << i) * expansion;
    stage.stride = i == 0 ? 1 : 2;
    stage.body = BlocksArch{found->kind, w << i, found->counts[i]};
    arch.stages.push_back(stage);
  }
  return arch;
}

void Arch::validate() const {
  // Far more than any network has, so that whoever computes with an Arch need not fear an overflow.
  constexpr int64_t kMost = 1'000'000'000;
  constexpr double kMostWork = 1e18;
  const auto in_bounds = [&](std::initializer_list<int64_t> values) {
    return std::all_of(values.begin(), values.end(), [](int64_t v) { return v <= kMost; });
  };
  bool sound = in_bounds({image_size, in_channels, stem_channels, classes}) && stages.size() <= 1000;
  double work = 0;  // multiply-accumulates, as if everything were as large as the largest part of its stage
  const auto add = [&](int64_t in, int64_t out, double convolutions) {
    work += 49.0 * static_cast<double>(in) * static_cast<double>(out) * convolutions *
            std::pow(static_cast<double>(image_size), 2);
  };
  add(in_channels, stem_channels, 1);
  add(head_features(), classes, 1);
  for (const auto& s : stages) {
    if (const auto* b = std::get_if<BlocksArch>(&s.body)) {
      const auto widest = std::max({s.in_channels, s.out_channels, b->width});
      sound = sound && in_bounds({widest, s.stride, b->count});
      add(widest, widest, 4.0 * static_cast<double>(b->count));
    } else {
      const auto& f = std::get<FlowArch>(s.body);
      const auto widest = std::max({s.in_channels, s.out_channels, f.hidden});
      sound = sound && in_bounds({widest, s.stride, f.depth, f.modules, f.steps});
      add(widest, widest, (static_cast<double>(f.depth) + 3) * static_cast<double>(f.steps));
    }
  }
  require(sound && work < kMostWork, "Arch " + shortened(name), "is larger than any network");
  require(image_size >= 1 && in_channels >= 1 && stem_channels >= 1 && classes >= 1, "Arch " + shortened(name),
          "image_size, in_channels, stem_channels and classes must be at least 1");
  int64_t channels = stem_channels;
  for (size_t i = 0; i < stages.size(); ++i) {
    const auto& s = stages[i];
    const std::string where = format("Arch %s, stage %zu", shortened(name).c_str(), i + 1);
    require(s.in_channels == channels, where,
            format("takes %lld channels, but the part before it gives %lld", static_cast<long long>(s.in_channels),
                   static_cast<long long>(channels)));
    require(s.out_channels >= 1 && s.stride >= 1, where, "channels and stride must be at least 1");
    if (const auto* b = std::get_if<BlocksArch>(&s.body)) {
      require(b->width >= 1 && b->count >= 1, where, "width and count must be at least 1");
      require(b->shortcut == ShortcutKind::projection || s.out_channels >= s.in_channels, where,
              "a padded shortcut cannot lose channels");
    } else {
      const auto& f = std::get<FlowArch>(s.body);
      require(f.hidden >= 1 && f.depth >= 1 && f.modules >= 1, where, "hidden, depth and modules must be at least 1");
      require(f.steps >= f.modules && f.steps % f.modules == 0, where,
              format("%lld steps with %lld modules; steps must be a multiple of modules",
                     static_cast<long long>(f.steps), static_cast<long long>(f.modules)));
      require(f.kernel == 3 || f.kernel == 5 || f.kernel == 7, where,
              "the kernel of a velocity network's middle must be 3, 5 or 7");
      require(f.dilation == 1 || f.dilation == 2 || f.dilation == 4, where, "dilation must be 1, 2 or 4");
      require(f.alignment == 1 || f.alignment == 3, where, "the alignment's kernel must be 1 or 3");
    }
    channels = s.out_channels;
  }
}

Arch with_width(Arch arch, int64_t width) {
  const int64_t before = arch.stem_channels;
  const auto scaled = [&](int64_t channels) { return std::max<int64_t>(1, channels * width / before); };
  arch.stem_channels = width;
  int64_t in = width;
  for (auto& stage : arch.stages) {
    auto& blocks = std::get<BlocksArch>(stage.body);
    stage.in_channels = in;
    stage.out_channels = in = scaled(stage.out_channels);
    blocks.width = scaled(blocks.width);
  }
  arch.name = usual_resnet_name(arch);
  arch.validate();
  return arch;
}

Arch with_flow_stage(Arch arch, size_t stage, const FlowArch& flow) {
  arch.stages.at(stage).body = flow;
  arch.validate();
  return arch;
}

}  // namespace mfi
