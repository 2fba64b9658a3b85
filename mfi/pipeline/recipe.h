// All settings of a run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "mfi/data/dataset.h"
#include "mfi/flow/objective_settings.h"
#include "mfi/nn/arch.h"
#include "mfi/train/settings.h"

namespace mfi {

/// [network]: the teacher.
struct NetworkSettings {
  std::string arch = "resnet34";
  int64_t width = 0;                    // 0: the usual width of that network
  std::string stem = "auto";            // or cifar, imagenet; auto: by the images' size
  std::string shortcut = "projection";  // or padded: what a block's input becomes where stride or channels change
  std::string model = "";  // a model file: the teacher as it is, instead of the four above and of training; "": none
  bool fine_tune = false;  // train it first, as [teacher] says
};

/// [flow]: what replaces a stage. One entry a stage, or one entry for all.
struct FlowSettings {
  using Texts = std::vector<std::string>;   // with a count, not in braces: g++ 12 ends in an internal error over those
  Texts velocity = Texts(1, "bottleneck");  // or pointwise, depthwise
  std::vector<int64_t> hidden = {0};        // width h of the velocity network; 0: from the budget of the method
  std::vector<int64_t> depth = {1};         // convolutions in its middle
  std::vector<int64_t> kernel = {3};        // of those: 3, 5 or 7 pixels along a side; pointwise has none
  std::vector<int64_t> dilation = {1};      // pixels from one of their taps to the next: 1, 2 or 4; pointwise has none
  std::vector<int64_t> modules = {0};       // 0: one, and two in the last stage
  std::vector<int64_t> steps = {0};         // steps at inference; 0: one a module
  std::vector<int64_t> alignment = {1};     // kernel of the alignment: 1 or 3
  Texts downsampling = Texts(1, "stride");  // how the alignment takes a stage's stride; or average
  Texts step_lengths = Texts(1, "equal");   // of stages of several steps; or learned
};

/// [pipeline]
struct PipelineSettings {
  std::vector<int64_t> incubate;  // stages grown back, from 1; empty in TOML: all but the last
  bool incubate_default = true;   // `incubate` was not given
  // Residual blocks that each stage keeps; 0: a flow stage. Then there is no meta model and no incubation. Empty: these
  // two decide.
  std::vector<int64_t> blocks;
  std::vector<int64_t> block_width = {0};  // channels inside these, one entry a stage or one for all; 0: the teacher's
};

/// [controls]: what a sceptic would ask for.
struct ControlSettings {
  bool teacher_longer = false;
  bool no_mapping = false;
  bool regression = false;
  bool smaller_resnet = false;
  bool distilled_resnet = false;
  int64_t smaller_width = 0;  // width of the smaller ResNet of both; 0: the widest that fits
  double distillation = 0.9;  // share of the teacher's soft labels in the distilled one's loss
  double temperature = 4;     // of these
};

/// [search]: what mfi search tries in the stages' places, and how thoroughly.
struct SearchSettings {
  bool fewer_blocks = true;  // 1 block, 2 blocks, ... of the teacher's
  std::vector<int64_t> block_percent = {12, 25,
                                        50};  // narrower blocks, of the channels inside the teacher's; 100: none
  FlowSettings::Texts flows = FlowSettings::Texts(1, "recipe");  // forms of flow stages (flow_settings.h)
  std::vector<int64_t> alignments = {1, 3};                      // of each of them: kernels of the alignment
  std::vector<int64_t> depths = {1};                             // and convolutions in the middle
  std::vector<int64_t> flow_percent = {5, 15, 40};  // sizes of a flow stage, of the parameters of the teacher's stage
  std::vector<int64_t> modules = {1};               // of each of them
  std::vector<int64_t> steps = {1};                 // of each module
  double held_out = 0.1;                            // share of the training images that decide
  int64_t images = 2000;                            // of these, for scoring combinations
  int64_t finalists = 16;                           // combinations that are fine-tuned
  int64_t epochs = 1;                               // of that
  double share = 0.25;                              // of the training images, for that
};

struct Recipe {
  std::string name = "run";
  uint64_t seed = 0;
  DataSettings data;  // its seed is this recipe's seed
  NetworkSettings network;
  FlowSettings flow;
  PipelineSettings pipeline;
  RuntimeSettings runtime;  // [runtime]: device, threads, precision
  CheckpointSettings checkpoint;
  ObjectiveSettings objective;  // [objective]: what a mapping minimises
  // A plain SGD recipe for the teacher; the later steps start from trained weights and stay short.
  StepSettings teacher{
      .epochs = 24, .optimiser = "sgd", .learning_rate = 0.1, .weight_decay = 5e-4, .schedule = "one-cycle"};
  StepSettings map{.epochs = 2, .label_smoothing = 0};
  StepSettings meta{.epochs = 2};
  StepSettings incubate{.epochs = 1};
  StepSettings hybrid{.epochs = 6};
  MetaSettings meta_parts;  // [meta] train = ...
  ControlSettings controls;
  SearchSettings search;

  /// Checks every range and every choice. Throws RecipeError naming field, range and value.
  void validate() const;
};

/// One key of a recipe, for the reader, for `--set`, for docs/recipes.md and its test.
struct RecipeKey {
  std::string path;          // "teacher.learning_rate"
  std::string type;          // "integer", "number", "boolean", "text", "list of integers", "list of texts"
  std::string default_text;  // as it would stand in TOML, or in words where other keys decide it
  std::string range;         // "above 0", "0 to 1", "adamw or sgd"
  std::string meaning;       // one sentence, with unit
};

/// Every key, in the order in which the reference lists them.
const std::vector<RecipeKey>& recipe_keys();

/// Reads a recipe file and then applies `overrides`, each "section.key=value" with a TOML value
/// (text may stand without quotes). The recipe that the file `extends` is read first; what the file says itself
/// replaces it. The name is never taken over: a file that extends another and has no name is called as the file is.
/// Throws NotFoundError, or RecipeError as "FILE:LINE: KEY is VALUE, expected RANGE", also where what it extends is not
/// there; an unknown key names the nearest known one.
Recipe read_recipe(const std::filesystem::path& file, const std::vector<std::string>& overrides = {});

/// The keys in which two recipes differ, as "teacher.epochs 24 -> 48". Not name, runtime and checkpoint, which decide
/// no result.
std::vector<std::string> recipe_differences(const Recipe& before, const Recipe& after);

/// The recipe as TOML with every key; read_recipe of it gives the same recipe.
std::string recipe_to_toml(const Recipe& recipe);

}  // namespace mfi
