#include "mfi/pipeline/plan.h"

#include <algorithm>
#include <cmath>

#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/nn/cost.h"
#include "mfi/pipeline/flow_settings.h"
#include "mfi/pipeline/teacher.h"

namespace mfi {
namespace {

std::vector<Learns> learn_all(const Arch& arch) { return std::vector<Learns>(arch.stages.size() + 2, Learns::all); }

std::vector<std::string> all_from(const Arch& arch, const std::string& step) {
  return std::vector<std::string>(arch.stages.size() + 2, step);
}

// width 0: as it is.
void keep_blocks(BlocksArch& blocks, int64_t count, int64_t width) {
  blocks.count = count;
  if (width > 0) blocks.width = width;
}

// Builds the list of steps; the members are what several of them need.
class Planner {
 public:
  Planner(const Recipe& recipe, const DataShape& data) : recipe_(recipe) {
    plan_.data = data;
    plan_.meta = plan_.hybrid = plan_.teacher = teacher_arch(recipe, data);
  }

  Plan make_teacher() {
    add_teacher();
    return plan_;
  }

  Plan make() {
    design_networks();
    add_teacher();
    add_method("", "", recipe_.objective);
    if (recipe_.controls.teacher_longer) add_teacher_longer();
    if (recipe_.controls.no_mapping) add_no_mapping();
    if (recipe_.controls.regression) {
      ObjectiveSettings regression;
      regression.meanflow = regression.endpoint = regression.alignment = 0;
      regression.regression = 1;
      regression.logits = recipe_.objective.logits;
      add_method("regression-", ", mapped by plain regression", regression);
    }
    if (recipe_.controls.smaller_resnet) add_smaller_resnet();
    if (recipe_.controls.distilled_resnet) add_distilled_resnet();
    return plan_;
  }

 private:
  // The meta model and the hybrid.
  void design_networks() {
    const size_t stages = plan_.teacher.stages.size();
    if (is_short()) {
      for (size_t k = 0; k < stages; ++k) {
        const auto kept = stage_entry(recipe_.pipeline.blocks, k);
        if (kept == 0)
          plan_.hybrid = with_flow_stage(plan_.hybrid, k, flow_arch(recipe_, plan_.teacher, k));
        else
          keep_blocks(std::get<BlocksArch>(plan_.hybrid.stages[k].body), kept,
                      stage_entry(recipe_.pipeline.block_width, k));
      }
      plan_.hybrid.name = "hybrid of " + plan_.teacher.name;
      plan_.meta = plan_.hybrid;
      return;
    }
    if (recipe_.pipeline.incubate_default) {
      for (size_t k = 1; k < stages; ++k) incubated_.push_back(k - 1);
    } else {
      for (const auto k : recipe_.pipeline.incubate) incubated_.push_back(static_cast<size_t>(k - 1));
    }
    for (size_t k = 0; k < stages; ++k) {
      const auto flow = flow_arch(recipe_, plan_.teacher, k);
      plan_.meta = with_flow_stage(plan_.meta, k, flow);
      if (!is_incubated(k)) plan_.hybrid = with_flow_stage(plan_.hybrid, k, flow);
    }
    plan_.meta.name = "meta of " + plan_.teacher.name;
    plan_.hybrid.name = "hybrid of " + plan_.teacher.name;
  }

  /// The way without meta model and incubation.
  bool is_short() const { return !recipe_.pipeline.blocks.empty(); }

  bool is_incubated(size_t stage) const {
    return std::find(incubated_.begin(), incubated_.end(), stage) != incubated_.end();
  }

  // Epochs between the teacher and the hybrid that the hybrid's weights have seen: the controls get
  // as many. The incubations run beside each other, so they count once.
  int64_t epochs_after_teacher() const {
    if (is_short()) return recipe_.map.epochs + recipe_.hybrid.epochs;
    return recipe_.map.epochs + recipe_.meta.epochs + (incubated_.empty() ? 0 : recipe_.incubate.epochs) +
           recipe_.hybrid.epochs;
  }

  PlannedStep& add(const std::string& name, const std::string& purpose, const Arch& arch, const std::string& section,
                   const StepSettings& settings) {
    PlannedStep step;
    step.name = name;
    step.purpose = purpose;
    step.arch = arch;
    step.section = section;
    step.settings = settings;
    step.part_from = all_from(arch, "");
    step.learns = learn_all(arch);
    const bool is_teacher = name == "teacher";
    if (settings.distillation > 0 || settings.features > 0) step.teacher = "teacher";
    learn_from(step, is_teacher ? Images::training : step.teacher.empty() ? Images::labelled : Images::all);
    plan_.steps.push_back(step);
    return plan_.steps.back();
  }

  void learn_from(PlannedStep& step, Images images) const {
    step.images = images;
    const auto all = static_cast<double>(std::max<int64_t>(1, plan_.data.training_images));
    if (images == Images::labelled)
      step.images_share = std::max(1.0, std::round(recipe_.data.labelled * all)) / all;
    else if (images == Images::all)
      step.images_share = 1 + static_cast<double>(plan_.data.unlabelled_pictures) / all;
  }

  void add_teacher() {
    auto& step = add("teacher", "the network to make smaller", plan_.teacher, "teacher", recipe_.teacher);
    step.model_file = recipe_.network.model;
    if (step.model_file.empty() || recipe_.network.fine_tune) return;
    step.kind = StepKind::given;
    step.settings.epochs = 0;
    step.learns.assign(step.learns.size(), Learns::nothing);
  }

  // map, meta, incubate-k, hybrid; or map and hybrid alone. prefix and suffix tell a control's steps from the method's
  // own.
  void add_method(const std::string& prefix, const std::string& suffix, const ObjectiveSettings& objective) {
    const size_t first = plan_.steps.size();
    add_map(prefix, suffix, objective);
    if (!is_short()) {
      add_meta(prefix, suffix);
      for (const size_t stage : incubated_) add_incubation(prefix, suffix, stage);
    }
    auto& hybrid = add(prefix + "hybrid", "the result" + suffix, plan_.hybrid, "hybrid", recipe_.hybrid);
    hybrid.part_from = all_from(plan_.hybrid, prefix + (is_short() ? "map" : "meta"));
    for (const size_t stage : incubated_)
      hybrid.part_from[stage + 1] = prefix + "incubate-" + std::to_string(stage + 1);
    if (!prefix.empty())
      for (size_t i = first; i < plan_.steps.size(); ++i) {
        plan_.steps[i].control = true;
        plan_.steps[i].shown = i + 1 == plan_.steps.size();
      }
  }

  // Flow stages begin with starting weights, all else with the teacher's: of fewer blocks the first ones, of narrower
  // ones the channels that bring most.
  void add_map(const std::string& prefix, const std::string& suffix, const ObjectiveSettings& objective) {
    auto& map =
        add(prefix + "map", "each stage as mapped, before any fine-tuning" + suffix, plan_.meta, "map", recipe_.map);
    map.kind = StepKind::map;
    map.teacher = "teacher";
    learn_from(map, Images::all);
    map.objective = objective;
    for (size_t part = 0; part < map.part_from.size(); ++part) {
      const bool is_stage = part > 0 && part + 1 < map.part_from.size();
      if (!is_stage || !plan_.meta.stages[part - 1].is_flow()) map.part_from[part] = "teacher";
      if (!is_stage || plan_.meta.stages[part - 1] == plan_.teacher.stages[part - 1])
        map.learns[part] = Learns::nothing;
    }
  }

  void add_meta(const std::string& prefix, const std::string& suffix) {
    const size_t head = plan_.teacher.stages.size() + 1;
    auto& meta = add(prefix + "meta", "every stage MeanFlow modules" + suffix, plan_.meta, "meta", recipe_.meta);
    meta.part_from = all_from(plan_.meta, prefix + "map");
    meta.learns.front() = Learns::nothing;
    const auto& train = recipe_.meta_parts.train;
    for (size_t part = 1; part < head; ++part) meta.learns[part] = train == "velocity" ? Learns::velocity : Learns::all;
    meta.learns[head] = train == "all" ? Learns::all : Learns::nothing;
  }

  void add_incubation(const std::string& prefix, const std::string& suffix, size_t stage) {
    Arch arch = plan_.meta;
    arch.stages[stage] = plan_.teacher.stages[stage];
    arch.name = format("meta of %s, stage %zu incubated", plan_.teacher.name.c_str(), stage + 1);
    auto& step = add(prefix + "incubate-" + std::to_string(stage + 1),
                     format("stage %zu grown back from the teacher%s", stage + 1, suffix.c_str()), arch, "incubate",
                     recipe_.incubate);
    step.part_from = all_from(arch, prefix + "meta");
    step.part_from[stage + 1] = "teacher";
    step.learns.assign(step.learns.size(), Learns::nothing);
    step.learns[stage + 1] = Learns::all;
  }

  void add_teacher_longer() {
    auto settings = recipe_.hybrid;
    settings.epochs = epochs_after_teacher();
    auto& step =
        add("teacher-longer", "the teacher, trained for the hybrid's extra epochs", plan_.teacher, "hybrid", settings);
    step.part_from = all_from(plan_.teacher, "teacher");
    step.control = true;
  }

  void add_no_mapping() {
    auto settings = recipe_.hybrid;
    settings.epochs = epochs_after_teacher();
    Arch arch = plan_.hybrid;
    arch.name += ", not mapped";
    auto& step =
        add("no-mapping", "the hybrid with untrained flow stages, for the same epochs", arch, "hybrid", settings);
    step.part_from = all_from(arch, "teacher");
    for (size_t k = 0; k < arch.stages.size(); ++k)
      if (arch.stages[k].is_flow()) step.part_from[k + 1] = "";
    step.control = true;
  }

  // The teacher's settings, for the epochs that teacher and hybrid have seen together.
  StepSettings smaller_resnet_settings() const {
    auto settings = recipe_.teacher;
    settings.epochs += epochs_after_teacher();
    return settings;
  }

  void add_smaller_resnet() {
    auto& step = add("smaller-resnet", "a plain ResNet of at most the hybrid's size, for all the epochs",
                     smaller_resnet(), "teacher", smaller_resnet_settings());
    step.control = true;
  }

  void add_distilled_resnet() {
    auto settings = smaller_resnet_settings();
    settings.distillation = recipe_.controls.distillation;
    settings.temperature = recipe_.controls.temperature;
    auto& step = add("distilled-resnet", "that plain ResNet, taught by the teacher's soft labels", smaller_resnet(),
                     "teacher", settings);
    step.control = true;
  }

  // The recipe's width, or the widest that has no more parameters than the hybrid.
  Arch smaller_resnet() const {
    const auto at_width = [&](int64_t width) { return with_width(plan_.teacher, width); };
    const int64_t limit = total_cost(plan_.hybrid).parameters;
    int64_t width = recipe_.controls.smaller_width;
    if (width == 0) {
      width = plan_.teacher.stem_channels;
      while (width > 1 && total_cost(at_width(width)).parameters > limit) --width;
    }
    const auto arch = at_width(width);
    if (total_cost(arch).parameters > limit)
      throw RecipeError(
          format("controls.smaller_width is %lld, which gives %s parameters; expected at most the hybrid's %s",
                 static_cast<long long>(width), count_text(static_cast<double>(total_cost(arch).parameters)).c_str(),
                 count_text(static_cast<double>(limit)).c_str()));
    return arch;
  }

  const Recipe& recipe_;
  std::vector<size_t> incubated_;  // stages from 0
  Plan plan_;
};

}  // namespace

std::vector<std::string> PlannedStep::inputs() const {
  std::vector<std::string> out;
  const auto add = [&](const std::string& step) {
    if (!step.empty() && std::find(out.begin(), out.end(), step) == out.end()) out.push_back(step);
  };
  add(teacher);
  for (const auto& step : part_from) add(step);
  return out;
}

const PlannedStep& Plan::step(const std::string& name) const {
  std::vector<std::string> names;
  for (const auto& step : steps) {
    if (step.name == name) return step;
    names.push_back(step.name);
  }
  const auto near = nearest_name(name, names);
  throw UsageError("no step '" + name + "' in this recipe; " +
                   (near.empty() ? "its steps are " + join(names, ", ") : "did you mean " + near + "?"));
}

Plan make_plan(const Recipe& recipe, const DataShape& data) {
  recipe.validate();
  return Planner(recipe, data).make();
}

Plan make_teacher_plan(const Recipe& recipe, const DataShape& data) {
  recipe.validate();
  return Planner(recipe, data).make_teacher();
}

Plan make_plan(const Recipe& recipe, int64_t classes, int64_t image_size) {
  return make_plan(recipe, DataShape{classes, image_size, 50000});
}

}  // namespace mfi
