#include "mfi/exchange/foreign_names.h"

#include <algorithm>
#include <array>
#include <regex>

namespace mfi {
namespace {

using Match = std::match_results<std::string_view::const_iterator>;

bool matches(std::string_view text, const std::regex& pattern, Match& match) {
  return std::regex_match(text.begin(), text.end(), match, pattern);
}

// What a batch norm and a convolution hold; both have a weight and a bias.
constexpr const char* kField = "(weight|bias|running_mean|running_var)";

std::regex pattern(const std::string& text) { return std::regex(text + "\\." + kField); }

std::string layer(const std::string& place, bool norm, const std::string& field) {
  return place + (norm ? ".norm." : ".conv.") + field;
}

// A row of modules conv, norm, ReLU, conv, norm, ...: the place of number `index` in it; "" for a ReLU.
std::string in_a_row(int index, const std::string& field) {
  if (index % 3 == 2) return "";
  return layer("conv" + std::to_string(index / 3 + 1), index % 3 == 1, field);
}

// Within a residual block.
std::string block_tensor(std::string_view name) {
  static const std::regex numbered = pattern("(conv|bn|norm)_?([123])"), lettered = pattern("(conv|bn)_([abc])"),
                          in_row = pattern("(?:residual_function|residual|left|body|conv_block)\\.([0-7])"),
                          hugging_face = pattern("layer\\.([012])\\.(convolution|normalization)"),
                          shortcut_row = pattern("(?:downsample|shortcut|identity_downsample|projection)\\.([01])"),
                          shortcut_named =
                              pattern("(?:downsample|shortcut)\\.(conv|bn|norm|convolution|normalization)");
  Match m;
  if (matches(name, numbered, m)) return layer("conv" + m.str(2), m.str(1) != "conv", m.str(3));
  if (matches(name, lettered, m))
    return layer("conv" + std::to_string(m.str(2)[0] - 'a' + 1), m.str(1) == "bn", m.str(3));
  if (matches(name, in_row, m)) return in_a_row(std::stoi(m.str(1)), m.str(2));
  if (matches(name, hugging_face, m))
    return layer("conv" + std::to_string(std::stoi(m.str(1)) + 1), m.str(2) == "normalization", m.str(3));
  if (matches(name, shortcut_row, m)) return layer("shortcut", m.str(1) == "1", m.str(2));
  if (matches(name, shortcut_named, m)) return layer("shortcut", !m.str(1).starts_with("conv"), m.str(2));
  return "";
}

// Where blocks are, and what their numbers have to be moved by to count stages from 1 and blocks from 0.
struct BlockPlace {
  std::regex pattern;  // stage, block, the rest
  int stage_offset, block_offset;
};

const std::vector<BlockPlace>& block_places() {
  const auto place = [](const char* text, int stage, int block) {
    return BlockPlace{std::regex(std::string(text) + "\\.(.+)"), stage, block};
  };
  static const std::vector<BlockPlace> places{
      place("(?:layer|stage|group)_?(\\d{1,2})\\.(\\d{1,3})", 0, 0),
      place("conv(\\d)_x\\.(\\d{1,3})", -1, 0),
      place("stage(\\d{1,2})\\.block(\\d{1,3})", 0, -1),
      place("(?:stages|layers)\\.(\\d{1,2})\\.(\\d{1,3})", 1, 0),
      place("encoder\\.stages\\.(\\d{1,2})\\.layers\\.(\\d{1,3})", 1, 0),
  };
  return places;
}

// Of a name without wrappers.
std::string plain_name(std::string_view name) {
  static const std::regex stem = pattern("(?:(conv1|conv|conv_1_3x3)|(bn1|bn|norm1|bn_1))"),
                          stem_row = pattern("(?:conv1|stem)\\.([01])"),
                          stem_hugging_face = pattern("embedder\\.embedder\\.(convolution|normalization)"),
                          head(
                              "(?:fc|linear|classifier|head|head\\.fc|classifier\\.1|fc\\.0|output|logits)\\."
                              "(weight|bias)");
  Match m;
  if (matches(name, stem, m)) return layer("stem.conv", m[2].matched, m.str(3));
  if (matches(name, stem_row, m)) return layer("stem.conv", m.str(1) == "1", m.str(2));
  if (matches(name, stem_hugging_face, m)) return layer("stem.conv", m.str(1) == "normalization", m.str(2));
  if (matches(name, head, m)) return "head." + m.str(1);
  for (const auto& place : block_places()) {
    if (!matches(name, place.pattern, m)) continue;
    const auto inner = block_tensor(std::string_view(&*m[3].first, static_cast<size_t>(m[3].length())));
    if (inner.empty()) continue;
    const int stage = std::stoi(m.str(1)) + place.stage_offset, block = std::stoi(m.str(2)) + place.block_offset;
    if (stage < 1 || block < 0) continue;
    return "stage" + std::to_string(stage) + ".block" + std::to_string(block) + "." + inner;
  }
  return "";
}

constexpr std::array<std::string_view, 12> kWrappers{"module.",  "_orig_mod.", "model.",      "net.",
                                                     "network.", "backbone.",  "encoder.",    "resnet.",
                                                     "student.", "teacher.",   "base_model.", "cnn."};

// No part of a network is called by more; std::regex takes stack for every letter.
constexpr size_t kLongestName = 256;

}  // namespace

std::string own_name(std::string_view key) {
  if (key.size() > kLongestName) return "";
  // A wrapper's word may also begin a plain name ("encoder.stages"), so that comes first.
  for (;;) {
    const auto name = plain_name(key);
    if (!name.empty()) return name;
    const auto* wrapper =
        std::find_if(kWrappers.begin(), kWrappers.end(), [&](std::string_view w) { return key.starts_with(w); });
    if (wrapper == kWrappers.end()) return "";
    key.remove_prefix(wrapper->size());
  }
}

bool is_bookkeeping(std::string_view key) { return key.ends_with("num_batches_tracked"); }

std::string likely_variant(const std::vector<std::string>& left_over) {
  static const std::vector<std::pair<std::regex, const char*>> signs{
      {std::regex(".*\\.(se|se_module)\\..*"), "squeeze-and-excitation (SE-ResNet)"},
      {std::regex(".*(conv1|stem)\\.[3-8]\\..*|.*stem\\.conv[123].*"), "a stem of three convolutions (ResNet-C or -D)"},
      {std::regex(".*downsample\\.2\\..*"), "average pooling in the shortcuts (ResNet-D)"},
      {std::regex(".*\\.(attn|attention|qkv)\\..*"), "attention (a transformer, or BoTNet)"},
      {std::regex(".*layer\\d+\\.\\d+\\.(conv2\\.(conv|fc)|bn0).*"), "split attention (ResNeSt)"},
      {std::regex(".*denseblock.*"), "DenseNet"},
      {std::regex(".*features\\.\\d+\\.(weight|bias)"), "a plain row of layers (VGG, AlexNet)"},
      {std::regex(".*(depthwise|dwconv|block\\.\\d+\\.\\d+).*"), "depthwise convolutions (MobileNet, EfficientNet)"},
  };
  for (const auto& [sign, variant] : signs)
    if (std::any_of(left_over.begin(), left_over.end(), [&sign = sign](const auto& key) {
          return key.size() <= kLongestName && std::regex_match(key, sign);
        }))
      return variant;
  return "";
}

}  // namespace mfi
