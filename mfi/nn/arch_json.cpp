// Arch <-> JSON, and the comparison that error messages use.
#include <nlohmann/json.hpp>

#include "mfi/core/error.h"
#include "mfi/nn/arch.h"

namespace mfi {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const StageArch& stage) {
  Json out{{"in_channels", stage.in_channels}, {"out_channels", stage.out_channels}, {"stride", stage.stride}};
  if (const auto* b = std::get_if<BlocksArch>(&stage.body)) {
    out["blocks"] = {
        {"kind", b->kind == BlockKind::basic ? "basic" : "bottleneck"}, {"width", b->width}, {"count", b->count}};
  } else {
    const auto& f = std::get<FlowArch>(stage.body);
    out["flow"] = {{"kind", f.kind == VelocityKind::pointwise ? "pointwise" : "bottleneck"},
                   {"hidden", f.hidden},
                   {"depth", f.depth},
                   {"modules", f.modules},
                   {"steps", f.steps},
                   {"alignment", f.alignment}};
  }
  return out;
}

Json to_json(const Arch& arch) {
  Json out{{"name", arch.name},
           {"image_size", arch.image_size},
           {"in_channels", arch.in_channels},
           {"stem_channels", arch.stem_channels},
           {"classes", arch.classes},
           {"folded", arch.folded}};
  out["stages"] = Json::array();
  for (const auto& stage : arch.stages) out["stages"].push_back(to_json(stage));
  return out;
}

StageArch stage_from_json(const Json& json) {
  StageArch stage;
  stage.in_channels = json.at("in_channels");
  stage.out_channels = json.at("out_channels");
  stage.stride = json.at("stride");
  const auto choose = [](const std::string& kind, const char* first, const char* second) {
    if (kind != first && kind != second)
      throw CheckpointError("kind is '" + kind + "', expected " + first + " or " + second);
    return kind == second;
  };
  if (json.contains("blocks")) {
    const auto& b = json.at("blocks");
    stage.body = BlocksArch{choose(b.at("kind"), "basic", "bottleneck") ? BlockKind::bottleneck : BlockKind::basic,
                            b.at("width"), b.at("count")};
  } else {
    const auto& f = json.at("flow");
    stage.body =
        FlowArch{choose(f.at("kind"), "bottleneck", "pointwise") ? VelocityKind::pointwise : VelocityKind::bottleneck,
                 f.at("hidden"),
                 f.at("depth"),
                 f.at("modules"),
                 f.at("steps"),
                 f.at("alignment")};
  }
  return stage;
}

}  // namespace

std::string arch_to_json(const Arch& arch) { return to_json(arch).dump(); }

Arch arch_from_json(const std::string& text) {
  try {
    const auto json = Json::parse(text);
    Arch arch;
    arch.name = json.at("name");
    arch.image_size = json.at("image_size");
    arch.in_channels = json.at("in_channels");
    arch.stem_channels = json.at("stem_channels");
    arch.classes = json.at("classes");
    arch.folded = json.at("folded");
    for (const auto& stage : json.at("stages")) arch.stages.push_back(stage_from_json(stage));
    arch.validate();
    return arch;
  } catch (const CheckpointError& error) {
    throw CheckpointError(std::string("the network's description: ") + error.what());
  } catch (const std::exception& error) {
    throw CheckpointError(std::string("the network's description cannot be read: ") + error.what());
  }
}

std::string first_difference(const Arch& here, const Arch& there) {
  auto a = to_json(here).flatten(), b = to_json(there).flatten();
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
