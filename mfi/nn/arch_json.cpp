// Arch <-> JSON, and the comparison that error messages use.
#include <nlohmann/json.hpp>

#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/nn/arch.h"

namespace mfi {
namespace {

using Json = nlohmann::ordered_json;

template <class Kind>
using Names = std::vector<std::pair<Kind, const char*>>;

const Names<StemKind> kStemKinds{{StemKind::cifar, "cifar"}, {StemKind::imagenet, "imagenet"}};
const Names<BlockKind> kBlockKinds{{BlockKind::basic, "basic"}, {BlockKind::bottleneck, "bottleneck"}};
const Names<ShortcutKind> kShortcutKinds{{ShortcutKind::projection, "projection"},
                                         {ShortcutKind::padded, "padded"},
                                         {ShortcutKind::padded_end, "padded-end"}};
const Names<VelocityKind> kVelocityKinds{{VelocityKind::bottleneck, "bottleneck"},
                                         {VelocityKind::pointwise, "pointwise"},
                                         {VelocityKind::depthwise, "depthwise"}};
const Names<Downsampling> kDownsamplings{{Downsampling::stride, "stride"}, {Downsampling::average, "average"}};
const Names<StepLengths> kStepLengths{{StepLengths::equal, "equal"}, {StepLengths::learned, "learned"}};

template <class Kind>
std::string name_of(const Names<Kind>& names, Kind kind) {
  for (const auto& [value, name] : names)
    if (value == kind) return name;
  return "";
}

int64_t integer_at(const Json& json, const char* field) {
  const auto& value = json.at(field);
  if (!value.is_number_integer())
    throw CheckpointError(std::string(field) + " is " + shortened(value.dump()) + ", expected a whole number");
  return value;
}

template <class Kind>
Kind kind_at(const Json& json, const char* field, const Names<Kind>& names) {
  const std::string given = json.at(field);
  std::vector<std::string> known;
  for (const auto& [kind, name] : names) {
    if (name == given) return kind;
    known.push_back(name);
  }
  throw CheckpointError(std::string(field) + " is '" + shortened(given) + "', expected one of " + join(known, ", "));
}

// Members that came later are written where they are not what they were before they came, or in `full`: what is as it
// was keeps its text, which step records hold a fingerprint of.
void add_later_members(Json& out, const FlowArch& flow, bool full) {
  const FlowArch before;
  if (full || flow.kernel != before.kernel) out["kernel"] = flow.kernel;
  if (full || flow.dilation != before.dilation) out["dilation"] = flow.dilation;
  if (full || flow.downsampling != before.downsampling)
    out["downsampling"] = name_of(kDownsamplings, flow.downsampling);
  if (full || flow.step_lengths != before.step_lengths) out["step_lengths"] = name_of(kStepLengths, flow.step_lengths);
}

Json to_json(const StageArch& stage, bool full) {
  Json out{{"in_channels", stage.in_channels}, {"out_channels", stage.out_channels}, {"stride", stage.stride}};
  if (const auto* b = std::get_if<BlocksArch>(&stage.body)) {
    out["blocks"] = {{"kind", name_of(kBlockKinds, b->kind)},
                     {"width", b->width},
                     {"count", b->count},
                     {"shortcut", name_of(kShortcutKinds, b->shortcut)}};
  } else {
    const auto& f = std::get<FlowArch>(stage.body);
    out["flow"] = {{"kind", name_of(kVelocityKinds, f.kind)},
                   {"hidden", f.hidden},
                   {"depth", f.depth},
                   {"modules", f.modules},
                   {"steps", f.steps},
                   {"alignment", f.alignment}};
    add_later_members(out["flow"], f, full);
  }
  return out;
}

Json to_json(const Arch& arch, bool full = false) {
  Json out{{"name", arch.name},
           {"image_size", arch.image_size},
           {"in_channels", arch.in_channels},
           {"stem", name_of(kStemKinds, arch.stem)},
           {"stem_channels", arch.stem_channels},
           {"classes", arch.classes},
           {"folded", arch.folded}};
  out["stages"] = Json::array();
  for (const auto& stage : arch.stages) out["stages"].push_back(to_json(stage, full));
  return out;
}

StageArch stage_from_json(const Json& json) {
  StageArch stage;
  stage.in_channels = integer_at(json, "in_channels");
  stage.out_channels = integer_at(json, "out_channels");
  stage.stride = integer_at(json, "stride");
  if (json.contains("blocks")) {
    const auto& b = json.at("blocks");
    stage.body = BlocksArch{kind_at(b, "kind", kBlockKinds), integer_at(b, "width"), integer_at(b, "count"),
                            b.contains("shortcut") ? kind_at(b, "shortcut", kShortcutKinds) : ShortcutKind::projection};
  } else {
    const auto& f = json.at("flow");
    FlowArch flow;
    flow.kind = kind_at(f, "kind", kVelocityKinds);
    flow.hidden = integer_at(f, "hidden");
    flow.depth = integer_at(f, "depth");
    flow.modules = integer_at(f, "modules");
    flow.steps = integer_at(f, "steps");
    flow.alignment = integer_at(f, "alignment");
    if (f.contains("kernel")) flow.kernel = integer_at(f, "kernel");
    if (f.contains("dilation")) flow.dilation = integer_at(f, "dilation");
    if (f.contains("downsampling")) flow.downsampling = kind_at(f, "downsampling", kDownsamplings);
    if (f.contains("step_lengths")) flow.step_lengths = kind_at(f, "step_lengths", kStepLengths);
    stage.body = flow;
  }
  return stage;
}

}  // namespace

std::string arch_to_json(const Arch& arch) { return to_json(arch).dump(); }

Arch arch_from_json(const std::string& text) {
  try {
    // A network of a hundred stages has half of it; a document of brackets alone takes a hundred times its size.
    if (text.size() > 65536) throw CheckpointError("it has more than 64 KiB");
    const auto json = Json::parse(text);
    Arch arch;
    arch.name = json.at("name");
    arch.image_size = integer_at(json, "image_size");
    arch.in_channels = integer_at(json, "in_channels");
    if (json.contains("stem")) arch.stem = kind_at(json, "stem", kStemKinds);
    arch.stem_channels = integer_at(json, "stem_channels");
    arch.classes = integer_at(json, "classes");
    arch.folded = json.at("folded");
    for (const auto& stage : json.at("stages")) arch.stages.push_back(stage_from_json(stage));
    arch.validate();
    return arch;
  } catch (const CheckpointError& error) {
    throw CheckpointError(std::string("the network's description: ") + error.what());
  } catch (const std::exception& error) {
    throw CheckpointError(std::string("the network's description cannot be read: ") + shortened(error.what()));
  }
}

std::string first_difference(const Arch& here, const Arch& there) {
  auto a = to_json(here, /*full=*/true).flatten(), b = to_json(there, /*full=*/true).flatten();
  const auto show = [](const Json& j, const std::string& key) {
    return j.contains(key) ? j.at(key).dump() : std::string("absent");
  };
  const auto readable = [](std::string key) {
    std::replace(key.begin(), key.end(), '/', '.');
    return key.substr(1);
  };
  for (const auto* side : {&a, &b})
    for (const auto& item : side->items()) {
      if (item.key() == "/name") continue;
      const auto left = show(a, item.key()), right = show(b, item.key());
      if (left != right) return readable(item.key()) + ": " + left + " here, " + right + " there";
    }
  return "";
}

}  // namespace mfi
