#include "mfi/pipeline/recipe_checks.h"

#include <algorithm>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "mfi/core/text.h"
#include "mfi/pipeline/flow_settings.h"
#include "mfi/pipeline/recipe_table.h"
#include "mfi/pipeline/teacher.h"

namespace mfi {
namespace {

std::optional<RecipeProblem> check_blocks(const Recipe& recipe, const Arch& teacher) {
  const auto &blocks = recipe.pipeline.blocks, &widths = recipe.pipeline.block_width;
  if (blocks.empty()) {
    if (std::ranges::all_of(widths, [](int64_t width) { return width == 0; })) return std::nullopt;
    return RecipeProblem{"pipeline.block_width", "pipeline.block_width is " + recipe_value_text(widths) +
                                                     ", expected pipeline.blocks beside it: how many blocks of that "
                                                     "width each stage keeps"};
  }
  const auto problem = [](const std::string& text) {
    return RecipeProblem{"pipeline.blocks", "pipeline.blocks " + text};
  };
  const auto stages = teacher.stages.size();
  if (!recipe.pipeline.incubate_default)
    return problem(
        "and pipeline.incubate are both given, expected one of them: stages that keep their blocks need no "
        "incubation");
  if (blocks.size() != 1 && blocks.size() != stages)
    return problem(format("has %zu entries, expected 1 or %zu (%s has as many stages)", blocks.size(), stages,
                          teacher.name.c_str()));
  bool smaller = false;
  for (size_t stage = 0; stage < stages; ++stage) {
    const auto& own = std::get<BlocksArch>(teacher.stages[stage].body);
    const auto kept = stage_entry(blocks, stage), width = stage_entry(widths, stage);
    if (kept > own.count)
      return problem(format("is %lld for stage %zu, which has %lld", static_cast<long long>(kept), stage + 1,
                            static_cast<long long>(own.count)));
    if (kept > 0 && width > own.width)
      return RecipeProblem{"pipeline.block_width",
                           format("pipeline.block_width is %lld for stage %zu, whose blocks have %lld channels inside",
                                  static_cast<long long>(width), stage + 1, static_cast<long long>(own.width))};
    smaller = smaller || kept < own.count || (width > 0 && width < own.width);
  }
  if (!smaller)
    return problem("keeps every block of " + teacher.name +
                   ", expected a stage with fewer, with 0, or with a smaller pipeline.block_width");
  return std::nullopt;
}

// Lists with an entry for each stage have as many as there are stages.
std::optional<RecipeProblem> check_list_lengths(const Recipe& recipe, size_t stages, const std::string& of_arch) {
  for (const auto& entry : recipe_entries()) {
    if (!entry.is_per_stage) continue;
    const auto value = entry.get(recipe);
    const auto* texts = std::get_if<std::vector<std::string>>(&value);
    const size_t entries = texts ? texts->size() : std::get<std::vector<int64_t>>(value).size();
    if (entries != 1 && entries != stages)
      return RecipeProblem{entry.key.path, entry.key.path + " has " + std::to_string(entries) +
                                               " entries, expected 1 or " + std::to_string(stages) + of_arch};
  }
  return std::nullopt;
}

// Whoever asks for a larger kernel shall not wonder why nothing came of it.
std::optional<RecipeProblem> check_pointwise(const FlowSettings& flow) {
  for (const auto& kind : flow.velocity)
    if (kind != "pointwise") return std::nullopt;
  for (const auto& [path, list, plain] :
       {std::tuple{"flow.kernel", &flow.kernel, 3}, std::tuple{"flow.dilation", &flow.dilation, 1}})
    for (const auto value : *list)
      if (value != plain)
        return RecipeProblem{path, std::string(path) + " is " + recipe_value_text(*list) +
                                       ", but flow.velocity is pointwise in every stage, which looks at one pixel"};
  return std::nullopt;
}

// Whether [pipeline] says that the stage is no flow stage.
bool keeps_blocks(const Recipe& recipe, size_t stage) {
  const auto& blocks = recipe.pipeline.blocks;
  return !blocks.empty() && stage_entry(blocks, stage) > 0;
}

// Whoever asks for learned lengths shall not wonder why nothing was learned.
std::optional<RecipeProblem> check_step_lengths(const Recipe& recipe, size_t stages) {
  const auto several = [](const std::vector<int64_t>& counts) {
    return std::ranges::any_of(counts, [](int64_t n) { return n > 1; });
  };
  bool asked = false;
  for (size_t stage = 0; stage < stages; ++stage) {
    if (stage_entry(recipe.flow.step_lengths, stage) != "learned") continue;
    asked = true;
    if (keeps_blocks(recipe, stage)) continue;
    if (flow_modules(recipe, stage, stages) > 1 || stage_entry(recipe.flow.steps, stage) > 1) return std::nullopt;
  }
  if (!asked || several(recipe.search.steps) || several(recipe.search.modules)) return std::nullopt;
  return RecipeProblem{
      "flow.step_lengths",
      "flow.step_lengths is " + recipe_value_text(recipe.flow.step_lengths) +
          ", but no flow stage of these takes more than one step, which is its whole path; expected flow.steps of 2 or "
          "more there"};
}

std::optional<RecipeProblem> check_stages(const Recipe& recipe) {
  const auto teacher = teacher_arch(recipe);
  const auto stages = teacher.stages.size();
  const auto of_arch = " (" + teacher.name + " has " + std::to_string(stages) + " stages)";
  const auto& flow = recipe.flow;
  if (auto problem = check_list_lengths(recipe, stages, of_arch)) return problem;
  if (auto problem = check_pointwise(flow)) return problem;
  for (const auto stage : recipe.pipeline.incubate)
    if (stage > static_cast<int64_t>(stages))
      return RecipeProblem{"pipeline.incubate", "pipeline.incubate names stage " + std::to_string(stage) +
                                                    ", expected 1 to " + std::to_string(stages) + of_arch};
  if (auto problem = check_blocks(recipe, teacher)) return problem;
  if (auto problem = check_step_lengths(recipe, stages)) return problem;
  for (size_t stage = 0; stage < stages; ++stage) {
    if (keeps_blocks(recipe, stage)) continue;
    const auto modules = flow_modules(recipe, stage, stages);
    const auto whole = [&](const char* path, int64_t steps) -> std::optional<RecipeProblem> {
      if (steps % modules == 0) return std::nullopt;
      return RecipeProblem{path, format("%s is %lld for stage %zu, expected a multiple of its %lld modules", path,
                                        static_cast<long long>(steps), stage + 1, static_cast<long long>(modules))};
    };
    if (auto problem = whole("flow.steps", stage_entry(flow.steps, stage))) return problem;
    for (const auto steps : recipe.objective.endpoint_steps)
      if (recipe.objective.endpoint != 0)  // else nothing takes these steps
        if (auto problem = whole("objective.endpoint_steps", steps)) return problem;
  }
  return std::nullopt;
}

std::optional<RecipeProblem> check_steps(const Recipe& recipe) {
  if (recipe.network.fine_tune && recipe.network.model.empty())
    return RecipeProblem{"network.fine_tune", "network.fine_tune is true, expected a network.model beside it"};
  const std::pair<const char*, const StepSettings*> steps[] = {{"teacher", &recipe.teacher},
                                                               {"map", &recipe.map},
                                                               {"meta", &recipe.meta},
                                                               {"incubate", &recipe.incubate},
                                                               {"hybrid", &recipe.hybrid}};
  for (const auto& [section, step] : steps)
    if (step->warmup_epochs > static_cast<double>(step->epochs)) {
      const auto path = std::string(section) + ".warmup_epochs";
      return RecipeProblem{path, path + " is " + recipe_value_text(step->warmup_epochs) + ", expected at most " +
                                     section + ".epochs, " + std::to_string(step->epochs)};
    }
  const auto& objective = recipe.objective;
  if (objective.meanflow + objective.endpoint + objective.alignment + objective.regression <= 0)
    return RecipeProblem{"objective.meanflow",
                         "objective.meanflow, endpoint, alignment and regression are all 0, "
                         "expected at least one above 0 (objective.logits comes on top of them)"};
  return std::nullopt;
}

// What a search tries has to be something that a recipe may ask for.
std::optional<RecipeProblem> check_search(const Recipe& recipe) {
  for (const auto modules : recipe.search.modules) {
    for (const auto steps : recipe.objective.endpoint_steps)
      if (recipe.objective.endpoint != 0 && steps % modules != 0)
        return RecipeProblem{"search.modules",
                             format("search.modules has %lld, of which %lld of objective.endpoint_steps is no multiple",
                                    static_cast<long long>(modules), static_cast<long long>(steps))};
    for (const auto steps : recipe.search.steps)
      if (modules * steps > 64)
        return RecipeProblem{"search.steps",
                             format("search.steps has %lld for each of %lld modules, expected at most 64 steps",
                                    static_cast<long long>(steps), static_cast<long long>(modules))};
  }
  return std::nullopt;
}

}  // namespace

std::optional<RecipeProblem> first_problem(const Recipe& recipe) {
  for (const auto& entry : recipe_entries())
    if (auto text = range_problem(entry, entry.get(recipe)); !text.empty()) return RecipeProblem{entry.key.path, text};
  if (auto problem = check_stages(recipe)) return problem;
  if (auto problem = check_search(recipe)) return problem;
  return check_steps(recipe);
}

}  // namespace mfi
