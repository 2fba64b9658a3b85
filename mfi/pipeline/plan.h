// The steps that a recipe means, in order.
#pragma once

#include <string>
#include <vector>

#include "mfi/nn/arch.h"
#include "mfi/pipeline/recipe.h"
#include "mfi/train/classification_task.h"

namespace mfi {

/// How a step trains its network.
enum class StepKind {
  given,     // nothing is trained: its model is the recipe's model file
  classify,  // cross-entropy on labels
  map,       // stages learn what the teacher's do, all in one pass of the teacher
};

/// What a step learns from.
enum class Images {
  training,  // the training images with all their labels: the teacher
  labelled,  // those whose labels are seen after it (data.labelled)
  all,       // all of them, and the pictures without labels: mapping, and what has a teacher's answers to learn from
};

/// One step: a network, where each of its parts comes from, and which of them learn. Moving parts
/// between networks is all that mapping, incubating and assembling are made of.
struct PlannedStep {
  std::string name;     // "teacher", "incubate-2", "no-mapping"; also its folder
  std::string purpose;  // a few words for people
  StepKind kind = StepKind::classify;
  bool control = false;                // not part of the method
  bool shown = true;                   // stands in the final table
  Arch arch;                           // of the student
  std::vector<std::string> part_from;  // a part: the step whose model it is taken from; "": starting weights
  std::vector<Learns> learns;          // a part: what of it learns
  std::string teacher;                 // step whose model teaches (mapping, distillation); "" for none
  Images images = Images::training;
  double images_share = 1;  // how many images that are, of the training images
  std::string section;      // of the recipe that its settings come from
  StepSettings settings;
  ObjectiveSettings objective;  // of a mapping
  std::string model_file;       // that it begins with; "": none. A part whose shape differs starts anew

  /// Steps that must be finished before, without repetition.
  std::vector<std::string> inputs() const;
};

struct Plan {
  DataShape data;
  Arch teacher, meta, hybrid;  // meta: as mapped; the hybrid itself where pipeline.blocks is given
  std::vector<PlannedStep> steps;

  /// Throws UsageError naming the nearest step when there is none of that name.
  const PlannedStep& step(const std::string& name) const;
};

/// Throws RecipeError where the recipe cannot be carried out with such data.
Plan make_plan(const Recipe& recipe, const DataShape& data);
/// The teacher's step alone, for a search: what it would be mapped to need not be possible. meta and hybrid are the
/// teacher. Throws as above.
Plan make_teacher_plan(const Recipe& recipe, const DataShape& data);
/// For 50,000 training images.
Plan make_plan(const Recipe& recipe, int64_t classes, int64_t image_size = 32);

}  // namespace mfi
