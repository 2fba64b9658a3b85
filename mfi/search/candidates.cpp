#include "mfi/search/candidates.h"

#include <algorithm>

#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/nn/cost.h"
#include "mfi/nn/narrower.h"
#include "mfi/pipeline/flow_settings.h"

namespace mfi {
namespace {

// "flow-h26", "flow-5x5-h26", "flow-dw5x5-h83", "flow-a3-h26" (alignment), "flow-dil2-h26x2" (modules),
// "flow-h26-4steps", "flow-h26-4steps-learned".
std::string flow_name(const FlowArch& flow) {
  const auto number = [](int64_t n) { return std::to_string(n); };
  std::string name = "flow";
  const auto kernel = number(flow.kernel) + "x" + number(flow.kernel);
  if (flow.kind == VelocityKind::pointwise) name += "-1x1";
  if (flow.kind == VelocityKind::depthwise) name += "-dw" + kernel;
  if (flow.kind == VelocityKind::bottleneck && flow.kernel != 3) name += "-" + kernel;
  if (flow.dilation != 1) name += "-dil" + number(flow.dilation);
  if (flow.depth != 1) name += "-deep" + number(flow.depth);
  if (flow.alignment != 1) name += "-a" + number(flow.alignment);
  name += "-h" + number(flow.hidden);
  if (flow.modules > 1) name += "x" + number(flow.modules);
  if (flow.steps != flow.modules) name += "-" + number(flow.steps) + "steps";
  if (flow.learns_steps()) name += "-learned";
  return name;
}

// A convolution of fewer channels than a vector holds takes longer for fewer products (mfi/ops), so narrower blocks
// have a multiple of that.
constexpr int64_t kVector = 16;

// Fewer of them, and narrower ones: all, and half of them.
std::vector<BlocksArch> block_candidates(const SearchSettings& search, const BlocksArch& own) {
  std::vector<BlocksArch> out;
  const auto add = [&](int64_t count, int64_t width) {
    auto blocks = own;
    blocks.count = count;
    blocks.width = width;
    if (std::find(out.begin(), out.end(), blocks) == out.end()) out.push_back(blocks);
  };
  for (int64_t count = 1; search.fewer_blocks && count < own.count; ++count) add(count, own.width);
  for (const auto percent : search.block_percent) {
    const int64_t width = ((own.width * percent + 99) / 100 + kVector - 1) / kVector * kVector;
    if (width >= own.width) continue;
    add(own.count, width);
    if (search.fewer_blocks) add((own.count + 1) / 2, width);
  }
  return out;
}

std::string blocks_name(const BlocksArch& blocks, const BlocksArch& own) {
  auto name = "blocks-" + std::to_string(blocks.count);
  if (blocks.width != own.width) name += "-w" + std::to_string(blocks.width);
  return name;
}

// In every form that is asked for, of no size yet.
std::vector<FlowArch> flow_forms(const Recipe& recipe, const Arch& teacher, size_t stage) {
  std::vector<FlowArch> out;
  const auto& search = recipe.search;
  for (const auto& form : search.flows)
    for (const auto alignment : search.alignments)
      for (const auto depth : search.depths)
        for (const auto modules : search.modules)
          for (const auto steps : search.steps) {
            auto flow = in_form(flow_form(recipe, teacher, stage), form);
            flow.alignment = alignment;
            flow.depth = depth;
            flow.modules = modules;
            flow.steps = modules * steps;
            out.push_back(with_step_lengths(flow, recipe, stage));
          }
  return out;
}

std::vector<FlowArch> flow_candidates(const Recipe& recipe, const Arch& teacher, size_t stage, int64_t parameters) {
  std::vector<FlowArch> out;
  const auto add = [&](FlowArch flow, int64_t percent) {
    flow.hidden = hidden_for_budget(teacher.stages[stage], flow, parameters * percent / 100);
    if (flow.hidden > 0 && std::find(out.begin(), out.end(), flow) == out.end()) out.push_back(flow);
  };
  for (const auto& form : flow_forms(recipe, teacher, stage))
    for (const auto percent : recipe.search.flow_percent) add(form, percent);
  return out;
}

}  // namespace

std::vector<std::vector<Candidate>> stage_candidates(const Recipe& recipe, const Arch& teacher) {
  std::vector<std::vector<Candidate>> out;
  bool any = false;
  int64_t size = part_costs(teacher)[0].out_size;
  for (size_t stage = 0; stage < teacher.stages.size(); ++stage) {
    const auto& own = teacher.stages[stage];
    const auto parameters = [&](const StageArch& arch) { return stage_cost(arch, size).parameters; };
    std::vector<Candidate> candidates;
    const auto& blocks = std::get<BlocksArch>(own.body);
    for (const auto& fewer : block_candidates(recipe.search, blocks)) {
      auto arch = own;
      arch.body = fewer;
      candidates.push_back({blocks_name(fewer, blocks), arch});
    }
    for (const auto& flow : flow_candidates(recipe, teacher, stage, parameters(own))) {
      auto arch = own;
      arch.body = flow;
      if (parameters(arch) < parameters(own)) candidates.push_back({flow_name(flow), arch});
    }
    std::stable_sort(candidates.begin(), candidates.end(),
                     [&](const Candidate& a, const Candidate& b) { return parameters(a.arch) < parameters(b.arch); });
    any = any || !candidates.empty();
    candidates.push_back({"all", own});
    out.push_back(std::move(candidates));
    size = stage_cost(own, size).out_size;
  }
  if (!any)
    throw RecipeError("search: no stage of " + teacher.name +
                      " has a candidate; allow fewer_blocks, or give "
                      "smaller block_percent or larger flow_percent");
  return out;
}

std::vector<std::vector<bool>> without_narrower_blocks(const std::vector<std::vector<Candidate>>& candidates) {
  std::vector<std::vector<bool>> out;
  for (const auto& stage : candidates) {
    const auto own_width = std::get<BlocksArch>(stage.back().arch.body).width;
    out.emplace_back();
    for (const auto& candidate : stage) {
      const auto* blocks = std::get_if<BlocksArch>(&candidate.arch.body);
      out.back().push_back(!blocks || blocks->width == own_width);
    }
  }
  return out;
}

CandidateSet::CandidateSet(const Network& teacher, std::vector<std::vector<Candidate>> candidates, uint64_t seed)
    : candidates_(std::move(candidates)) {
  parts_.resize(candidates_.size());
  for (size_t stage = 0; stage < candidates_.size(); ++stage)
    for (size_t i = 0; !is_teachers(stage, i); ++i) {
      const auto& arch = candidates_[stage][i].arch;
      std::shared_ptr<Part> part;
      if (arch.is_flow())
        part = std::make_shared<FlowStage>(arch, /*folded=*/false);
      else
        part = std::make_shared<BlocksStage>(arch, /*folded=*/false);
      parts_[stage].push_back(
          register_module(part_name(teacher.arch(), stage + 1) + "-" + candidates_[stage][i].name, part));
    }
  initialise(*this, seed);
  for (size_t stage = 0; stage < parts_.size(); ++stage)
    for (size_t i = 0; i < parts_[stage].size(); ++i)
      if (auto* blocks = dynamic_cast<BlocksStage*>(parts_[stage][i].get()))
        copy_blocks(dynamic_cast<const BlocksStage&>(*teacher.stage(stage)), *blocks);
}

std::vector<MappedStage> CandidateSet::mapped_stages() const {
  std::vector<MappedStage> out;
  for (size_t stage = 0; stage < parts_.size(); ++stage)
    for (size_t i = 0; i < parts_[stage].size(); ++i)
      out.push_back({"stage" + std::to_string(stage + 1) + "-" + candidates_[stage][i].name, stage, parts_[stage][i]});
  return out;
}

std::shared_ptr<Network> CandidateSet::assemble(const Network& teacher, const std::vector<size_t>& choice) const {
  auto network = std::make_shared<Network>(assembled_arch(teacher.arch(), candidates_, choice));
  network->to(teacher.parameters().front().device());
  for (size_t part = 0; part < network->part_count(); ++part) {
    const bool is_stage = part > 0 && part + 1 < network->part_count();
    if (is_stage && !is_teachers(part - 1, choice[part - 1]))
      copy_tensors(*parts_[part - 1][choice[part - 1]], *network->part(part));
    else
      copy_part(teacher, *network, part);
  }
  return network;
}

Arch assembled_arch(const Arch& teacher, const std::vector<std::vector<Candidate>>& candidates,
                    const std::vector<size_t>& choice) {
  Arch arch = teacher;
  arch.name = "hybrid of " + teacher.name;
  for (size_t stage = 0; stage < choice.size(); ++stage) arch.stages[stage] = candidates[stage][choice[stage]].arch;
  return arch;
}

Recipe recipe_of(Recipe recipe, const Arch& teacher, const Arch& arch) {
  recipe.pipeline = {};
  recipe.pipeline.block_width.clear();
  // A stage of blocks has entries too, which nothing reads.
  const auto& own = recipe.flow;
  FlowSettings flows;
  flows.velocity.clear();
  flows.downsampling.clear();
  flows.step_lengths.clear();
  for (auto* list :
       {&flows.hidden, &flows.depth, &flows.kernel, &flows.dilation, &flows.modules, &flows.steps, &flows.alignment})
    list->clear();
  for (size_t stage = 0; stage < arch.stages.size(); ++stage) {
    const auto* given = std::get_if<FlowArch>(&arch.stages[stage].body);
    const auto* blocks = std::get_if<BlocksArch>(&arch.stages[stage].body);
    recipe.pipeline.blocks.push_back(blocks ? blocks->count : 0);
    const auto own_width = std::get<BlocksArch>(teacher.stages[stage].body).width;
    recipe.pipeline.block_width.push_back(blocks && blocks->width != own_width ? blocks->width : 0);
    const auto flow = given ? *given : FlowArch{.hidden = 0};
    flows.velocity.push_back(velocity_name(flow.kind));
    flows.hidden.push_back(flow.hidden);
    flows.depth.push_back(flow.depth);
    flows.kernel.push_back(flow.kernel);
    flows.dilation.push_back(flow.dilation);
    flows.modules.push_back(flow.modules);
    flows.steps.push_back(flow.steps);
    flows.alignment.push_back(flow.alignment);
    flows.downsampling.push_back(stage_entry(own.downsampling, stage));
    flows.step_lengths.push_back(flow.learns_steps() ? "learned" : "equal");
  }
  recipe.flow = flows;
  // Controls that were meant for the recipe's own hybrid: one as wide may be larger than this network, and without a
  // flow stage the mapping is a regression anyway.
  recipe.controls.smaller_width = 0;
  recipe.controls.regression = recipe.controls.regression && std::ranges::any_of(arch.stages, &StageArch::is_flow);
  return recipe;
}

}  // namespace mfi
