#include "mfi/cli/table_json.h"

#include <nlohmann/json.hpp>

#include "mfi/cli/help_facts.h"
#include "mfi/cli/help_text.h"

namespace mfi {
namespace {

using Json = nlohmann::ordered_json;

const char* kind_name(ValueKind kind) {
  switch (kind) {
    case ValueKind::choice:
      return "choice";
    case ValueKind::file:
      return "file";
    case ValueKind::folder:
      return "folder";
    case ValueKind::model:
      return "model";
    case ValueKind::recipe:
      return "recipe";
    case ValueKind::setting:
      return "setting";
    case ValueKind::step:
      return "step";
    case ValueKind::free:
      break;
  }
  return "free";
}

Json option_json(const CommandOption& option) {
  Json out{{"name", option.name()},
           {"description", option.description},
           {"required", option.required},
           {"repeats", option.repeats}};
  if (!option.is_argument()) out["flags"] = option.flags;
  if (!option.is_switch()) {
    out["value"] = option.value;
    out["kind"] = kind_name(option.kind);
  }
  if (!option.choices.empty()) out["choices"] = option.choices;
  return out;
}

}  // namespace

std::string table_json(const Command& root, const std::vector<CompletionKey>& keys) {
  Json out;
  out["commands"] = Json::array();
  for (const auto* command : all_commands(root)) {
    Json each{{"command", command->spoken()},
              {"usage", usage_text(*command)},
              {"description", command->description},
              {"options", Json::array()}};
    for (const auto& option : command->options) each["options"].push_back(option_json(option));
    out["commands"].push_back(each);
  }
  out["recipe_keys"] = Json::array();
  for (const auto& key : keys)
    out["recipe_keys"].push_back({{"key", key.path}, {"meaning", key.meaning}, {"choices", key.choices}});
  out["exit_codes"] = Json::array();
  for (const auto& fact : exit_code_facts())
    out["exit_codes"].push_back(
        {{"code", static_cast<int>(fact.code)}, {"name", fact.name}, {"meaning", fact.meaning}});
  out["environment"] = Json::array();
  for (const auto& fact : environment_facts())
    out["environment"].push_back({{"name", fact.name}, {"meaning", fact.meaning}});
  return out.dump(1) + "\n";
}

}  // namespace mfi
