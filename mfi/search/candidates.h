// What may stand in a stage's place, and all of it as one module that learns together.
#pragma once

#include "mfi/core/torch.h"

#include <memory>
#include <string>
#include <vector>

#include "mfi/nn/network.h"
#include "mfi/pipeline/recipe.h"
#include "mfi/train/mapping_task.h"

namespace mfi {

/// One way to build a stage.
struct Candidate {
  // "all" (the teacher's own), "blocks-2", "blocks-2-w16" (channels inside), "flow-h26", "flow-h26x2" (modules),
  // "flow-h26-4steps"
  std::string name;
  StageArch arch;
};

/// Candidates of every stage of a network of residual blocks, by rising parameters; the last is the teacher's own
/// stage. Fewer blocks, narrower blocks of `search.block_percent` of the channels inside, and flow stages of
/// `search.flow_percent` of the stage's parameters, each with `search.alignments`, `search.depths`, `search.modules`
/// and `search.steps`, in all else as [flow] says. None comes twice; sizes that leave no room for a velocity network,
/// or that are no smaller than the teacher's stage, are left out. Throws RecipeError when all that is left is the
/// teacher.
std::vector<std::vector<Candidate>> stage_candidates(const Recipe& recipe, const Arch& teacher);

/// [stage][candidate]: whether it is anything but narrower blocks.
std::vector<std::vector<bool>> without_narrower_blocks(const std::vector<std::vector<Candidate>>& candidates);

/// All candidates but the teacher's own stages, side by side.
class CandidateSet : public torch::nn::Module {
 public:
  /// Starting weights: fewer blocks are the teacher's first ones, narrower ones have its channels that bring most
  /// (mfi/nn/narrower.h), flow stages are drawn by seed.
  CandidateSet(const Network& teacher, std::vector<std::vector<Candidate>> candidates, uint64_t seed);

  const std::vector<std::vector<Candidate>>& candidates() const { return candidates_; }
  bool is_teachers(size_t stage, size_t candidate) const { return candidate + 1 == candidates_[stage].size(); }
  /// Not of the teacher's own.
  const std::shared_ptr<Part>& part(size_t stage, size_t candidate) const { return parts_[stage].at(candidate); }

  /// For MappingTask; named "stage2-blocks-3".
  std::vector<MappedStage> mapped_stages() const;

  /// The teacher with these candidates in its stages' places, as they are now. On the teacher's device.
  std::shared_ptr<Network> assemble(const Network& teacher, const std::vector<size_t>& choice) const;

 private:
  std::vector<std::vector<Candidate>> candidates_;
  std::vector<std::vector<std::shared_ptr<Part>>> parts_;
};

/// The Arch of that network.
Arch assembled_arch(const Arch& teacher, const std::vector<std::vector<Candidate>>& candidates,
                    const std::vector<size_t>& choice);

/// `recipe` with the choice as its [pipeline] and [flow], so that a run of it makes that network, `arch`, of that
/// teacher. Of its controls smaller_width is 0 then, and regression off where there is no flow stage.
Recipe recipe_of(Recipe recipe, const Arch& teacher, const Arch& arch);

}  // namespace mfi
