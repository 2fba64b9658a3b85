#include "mfi/pipeline/recipe_table.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include "mfi/core/text.h"
#include "mfi/pipeline/flow_settings.h"

namespace mfi {
namespace {

using Integers = std::vector<int64_t>;
using Texts = std::vector<std::string>;

constexpr const char* kTypeNames[] = {"boolean", "integer", "number", "text", "list of integers", "list of texts"};
constexpr int64_t kMaxInteger = std::numeric_limits<int64_t>::max();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A range in words and as a predicate.
struct Range {
  std::string text;
  std::function<bool(const RecipeValue&)> contains;
  std::vector<std::string> choices;
  bool is_per_stage = false, takes_one_value = false;
};

Range integers(int64_t low, int64_t high = kMaxInteger) {
  const auto text =
      high == kMaxInteger ? "at least " + std::to_string(low) : std::to_string(low) + " to " + std::to_string(high);
  return {text,
          [=](const RecipeValue& value) {
            const auto x = std::get<int64_t>(value);
            return low <= x && x <= high;
          },
          {}};
}

// TOML knows inf and nan: comparisons are written so that both fall outside every range.
Range numbers(const std::string& text, double low, double high) {
  return {text,
          [=](const RecipeValue& value) {
            const auto x = std::get<double>(value);
            return std::isfinite(x) && low <= x && x <= high;
          },
          {}};
}

Range at_least_zero() { return numbers("at least 0", 0, kInfinity); }
Range above_zero() { return numbers("above 0", std::numeric_limits<double>::min(), kInfinity); }
Range zero_to_one() { return numbers("0 to 1", 0, 1); }
Range zero_to_below_one() { return numbers("at least 0, below 1", 0, std::nextafter(1.0, 0.0)); }

Range either() {
  return {"true or false", [](const RecipeValue&) { return true; }, {}};
}

// "a, b or c"
std::string choices_text(const std::vector<std::string>& choices) {
  const Texts head(choices.begin(), choices.end() - 1);
  return join(head, ", ") + " or " + choices.back();
}

Range one_of(std::vector<std::string> choices) {
  return {choices_text(choices),
          [choices](const RecipeValue& value) {
            const auto& word = std::get<std::string>(value);
            return std::find(choices.begin(), choices.end(), word) != choices.end();
          },
          choices};
}

Range any_text() {
  return {"text", [](const RecipeValue&) { return true; }, {}};
}

// A list that is not empty.
template <class Entry>
Range some_of(const std::string& entries, const std::function<bool(const Entry&)>& contains, Texts choices = {}) {
  return {entries,
          [contains](const RecipeValue& value) {
            const auto& list = std::get<std::vector<Entry>>(value);
            return !list.empty() && std::all_of(list.begin(), list.end(), contains);
          },
          std::move(choices)};
}

Range some_integers(int64_t low, int64_t high) {
  return some_of<int64_t>("entries " + std::to_string(low) + " to " + std::to_string(high),
                          [=](int64_t x) { return low <= x && x <= high; });
}

Range some_choices(const Texts& choices) {
  return some_of<std::string>(
      "entries " + choices_text(choices),
      [=](const std::string& word) { return std::find(choices.begin(), choices.end(), word) != choices.end(); },
      choices);
}

// One value may stand without brackets.
Range one_or_some(Range range) {
  range.takes_one_value = true;
  return range;
}

// How many stages there are depends on network.arch; Recipe::validate compares the length with it.
Range per_stage(Range range) {
  range.text += "; one for all stages, or one a stage";
  range.is_per_stage = range.takes_one_value = true;
  return range;
}

Range integers_per_stage(int64_t low, int64_t high) { return per_stage(some_integers(low, high)); }

Range some_integers_of(const Integers& known) {
  Texts texts;
  for (const auto x : known) texts.push_back(std::to_string(x));
  return some_of<int64_t>("entries " + choices_text(texts),
                          [=](int64_t x) { return std::find(known.begin(), known.end(), x) != known.end(); });
}

Range some_integers_per_stage(const Integers& known) { return per_stage(some_integers_of(known)); }

Range choices_per_stage(const Texts& choices) { return per_stage(some_choices(choices)); }

Range blocks_per_stage() {
  auto range = integers_per_stage(0, 1000);
  range.is_per_stage = range.takes_one_value = false;  // it may be empty
  range.contains = [contains = range.contains](const RecipeValue& value) {
    return std::get<Integers>(value).empty() || contains(value);
  };
  range.text = "entries from 0 to the stage's blocks; one for all stages, or one a stage";
  return range;
}

Range distinct_stages() {
  return {"distinct stages of the network, from 1",
          [](const RecipeValue& value) {
            auto list = std::get<Integers>(value);
            std::sort(list.begin(), list.end());
            return (list.empty() || list.front() >= 1) && std::adjacent_find(list.begin(), list.end()) == list.end();
          },
          {}};
}

// The name becomes a folder: nothing that a shell or a file system could read otherwise.
Range folder_name() {
  return {"1 to 100 letters, digits, - _ or ., not starting with - or .",
          [](const RecipeValue& value) {
            const auto& name = std::get<std::string>(value);
            const auto allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
            return !name.empty() && name.size() <= 100 && name[0] != '-' && name[0] != '.' &&
                   name.find_first_not_of(allowed) == std::string::npos;
          },
          {}};
}

template <class Field>
RecipeValue to_value(const Field& field) {
  if constexpr (std::is_same_v<Field, uint64_t>)
    return static_cast<int64_t>(field);  // TOML integers are signed; past 2^63 the range refuses it
  else
    return field;
}

template <class Field>
Field from_value(const RecipeValue& value) {
  if constexpr (std::is_same_v<Field, uint64_t>)
    return static_cast<uint64_t>(std::get<int64_t>(value));
  else
    return std::get<Field>(value);
}

/// Collects entries. An accessor takes a (const) Recipe& and gives a reference to the field.
class Table {
 public:
  template <class Accessor>
  RecipeEntry& add(const std::string& path, Accessor access, Range range, const std::string& meaning) {
    using Field = std::remove_cvref_t<decltype(access(std::declval<Recipe&>()))>;
    RecipeEntry entry;
    entry.get = [access](const Recipe& recipe) { return to_value<Field>(access(recipe)); };
    entry.set = [access](Recipe& recipe, const RecipeValue& value) { access(recipe) = from_value<Field>(value); };
    entry.default_value = entry.get(Recipe{});
    entry.key = {path, kTypeNames[entry.default_value.index()], recipe_value_text(entry.default_value), range.text,
                 meaning};
    entry.in_range = std::move(range.contains);
    entry.choices = std::move(range.choices);
    entry.is_per_stage = range.is_per_stage;
    entry.takes_one_value = range.takes_one_value;
    entry.is_given = [](const Recipe&) { return true; };
    entries_.push_back(std::move(entry));
    return entries_.back();
  }

  std::vector<RecipeEntry> take() { return std::move(entries_); }

 private:
  std::vector<RecipeEntry> entries_;
};

#define MFI_FIELD(field) \
  [](auto& recipe) -> auto& { return recipe.field; }

void add_run(Table& table) {
  table.add("name", MFI_FIELD(name), folder_name(), "Name of the run; its folder is runs/NAME.");
  table.add("seed", MFI_FIELD(seed), integers(0),
            "Seed of every random stream: weights, order, augmentation, held-out images.");

  table.add("data.dataset", MFI_FIELD(data.dataset), one_of({"cifar-10", "cifar-100", "sample", "pictures"}),
            "Images to train on; sample ships with mfi, pictures are in a folder of one's own (docs/pictures.md).");
  table.add("data.validation", MFI_FIELD(data.validation), numbers("0 to 0.5", 0, 0.5),
            "Share of the training images held out for choosing settings.");
  table.add("data.labelled", MFI_FIELD(data.labelled), numbers("above 0 to 1", std::numeric_limits<double>::min(), 1),
            "Share of the training images whose labels are seen after the teacher's training; the others still serve "
            "for mapping and distillation.");
  table.add("data.limit", MFI_FIELD(data.limit), integers(0), "Use only this many training and test images; 0: all.");
  table.add("data.image_size", MFI_FIELD(data.image_size), integers(0, 4096),
            "Of pictures: pixels along a side; 0: theirs where they are small squares of one size, else 224.");
  table.add("data.resize", MFI_FIELD(data.resize), one_of({"bicubic", "bilinear"}),
            "Of pictures: the filter that they are resized by, as Pillow does.");
  table.add("data.crop", MFI_FIELD(data.crop), numbers("0.01 to 1", 0.01, 1),
            "Of pictures: share of the shorter side that is kept, in the middle.");
  table.add("data.test", MFI_FIELD(data.test), numbers("0.01 to 0.9", 0.01, 0.9),
            "Of pictures: share held out for the test where their folder has no part for it.");
  table.add("data.cache", MFI_FIELD(data.cache), one_of({"memory", "disk", "none"}),
            "Of pictures: where they are kept once decoded; none: decoded anew each epoch.");
  table.add("data.augment", MFI_FIELD(data.augment), one_of({"auto", "shift", "resized-crop"}),
            "Of pictures, in steps that augment: shift by up to 4 pixels, or a random part resized; auto: shift up to "
            "64 pixels along a side.");
  table.add("data.least_area", MFI_FIELD(data.least_area),
            numbers("above 0 to 1", std::numeric_limits<double>::min(), 1),
            "Of a resized crop: its least share of the picture.");

  table.add("network.arch", MFI_FIELD(network.arch), one_of(resnet_names()), "The teacher's ResNet.");
  table.add("network.width", MFI_FIELD(network.width), integers(0, 4096),
            "Channels of its first stage; 0: the usual width of that ResNet.");
  table.add(
      "network.stem", MFI_FIELD(network.stem), one_of({"auto", "cifar", "imagenet"}),
      "cifar: 3x3 convolution; imagenet: 7x7 of stride 2 and pooling; auto: imagenet above 64 pixels along a side.");
  table.add("network.shortcut", MFI_FIELD(network.shortcut), one_of({"projection", "padded"}),
            "Where stride or channels change: a 1x1 convolution (option B of He et al.), or padding with zeros (A).");
  table.add("network.model", MFI_FIELD(network.model), any_text(),
            "Model file (mfi import makes one) to take as the teacher, trained as it is; then the keys above and "
            "[teacher] do not matter, and pictures are sized as for it where [data] does not say. In the file a "
            "path from the recipe's folder, with --set one from where you stand.");

  table.add(
      "network.fine_tune", MFI_FIELD(network.fine_tune), either(),
      "Train network.model on the dataset, as [teacher] says, before it is the teacher; its last layer is new where "
      "the classes differ.");

  table.add("flow.velocity", MFI_FIELD(flow.velocity), choices_per_stage({"bottleneck", "pointwise", "depthwise"}),
            "Velocity network: the convolutions in its middle see neighbouring pixels and all channels (bottleneck), "
            "all channels of one pixel (pointwise), or neighbouring pixels of one channel (depthwise).");
  table.add("flow.hidden", MFI_FIELD(flow.hidden), integers_per_stage(0, 16384),
            "Channels in the middle of a velocity network; 0: from the budget in docs/method.md.");
  table.add("flow.depth", MFI_FIELD(flow.depth), integers_per_stage(1, 16),
            "Convolutions in the middle of a velocity network.");
  table.add("flow.kernel", MFI_FIELD(flow.kernel), some_integers_per_stage({3, 5, 7}),
            "Kernel of those convolutions, in pixels along a side; pointwise stages do without.");
  table.add("flow.dilation", MFI_FIELD(flow.dilation), some_integers_per_stage({1, 2, 4}),
            "Pixels from one tap of that kernel to the next; pointwise stages do without.");
  table.add("flow.modules", MFI_FIELD(flow.modules), integers_per_stage(0, 16),
            "Velocity networks that share a stage's path; 0: one, and two in the last stage.");
  table.add("flow.steps", MFI_FIELD(flow.steps), integers_per_stage(0, 64),
            "Steps through a stage at inference, a multiple of its modules; 0: one a module.");
  table.add("flow.alignment", MFI_FIELD(flow.alignment), some_integers_per_stage({1, 3}),
            "Kernel, in pixels, of the convolution that aligns a stage's input with its output.");
  table.add(
      "flow.downsampling", MFI_FIELD(flow.downsampling), choices_per_stage({"stride", "average"}),
      "How an alignment takes a stage's stride: its convolution skips pixels (stride), or looks at means of them.");
  table.add("flow.step_lengths", MFI_FIELD(flow.step_lengths), choices_per_stage({"equal", "learned"}),
            "Lengths of the steps through a stage that takes several.");

  auto& incubate = table.add("pipeline.incubate", MFI_FIELD(pipeline.incubate), distinct_stages(),
                             "Stages grown back from the teacher's blocks; the others stay flow. [] grows none back.");
  incubate.key.default_text = "all but the last";
  incubate.is_given = [](const Recipe& recipe) { return !recipe.pipeline.incubate_default; };
  incubate.set = [](Recipe& recipe, const RecipeValue& value) {
    recipe.pipeline.incubate = std::get<Integers>(value);
    recipe.pipeline.incubate_default = false;
  };

  auto& blocks = table.add("pipeline.blocks", MFI_FIELD(pipeline.blocks), blocks_per_stage(),
                           "The short way, without meta model and incubation: how many of its residual blocks each "
                           "stage keeps, mapped where these are fewer than the teacher's; 0: a flow stage.");
  blocks.key.default_text = "as pipeline.incubate says";
  blocks.is_given = [](const Recipe& recipe) { return !recipe.pipeline.blocks.empty(); };
  table.add(
      "pipeline.block_width", MFI_FIELD(pipeline.block_width), integers_per_stage(0, 65536),
      "Channels inside the residual blocks that a stage keeps, mapped where these are fewer than the teacher's, of "
      "which those stay that bring most to the blocks' results; 0: all.");

  table.add("runtime.device", MFI_FIELD(runtime.device), one_of({"cpu", "cuda"}), "Where to compute.");
  table.add("runtime.precision", MFI_FIELD(runtime.precision), one_of({"bf16", "fp32"}),
            "Precision of convolutions; with bf16, weights and statistics stay float32.");
  table.add("runtime.threads", MFI_FIELD(runtime.threads), integers(0, 1024),
            "Compute threads of a step; 0: one a core, or its share of them with --jobs.");
  table.add("runtime.sync_batch_norm", MFI_FIELD(runtime.sync_batch_norm), either(),
            "With several processes, batch norms use the whole batch's statistics, not each process's share's.");

  table.add("checkpoint.minutes", MFI_FIELD(checkpoint.minutes), at_least_zero(),
            "The state is saved after each epoch, and within epochs at least so often; 0: after epochs only.");
  table.add("checkpoint.final_state", MFI_FIELD(checkpoint.final_state), either(),
            "Keep the last state of a step that is done, so that more epochs can be added to it.");
}

void add_objective(Table& table) {
  table.add("objective.meanflow", MFI_FIELD(objective.meanflow), at_least_zero(),
            "Weight of the MeanFlow identity at random times (r, t).");
  table.add("objective.endpoint", MFI_FIELD(objective.endpoint), at_least_zero(),
            "Weight of the distance between the result after endpoint_steps steps and the target.");
  table.add("objective.alignment", MFI_FIELD(objective.alignment), at_least_zero(),
            "Weight of the distance between the aligned input and the target.");
  table.add("objective.regression", MFI_FIELD(objective.regression), at_least_zero(),
            "Weight of plain squares on the stage's output, as for any network.");
  table.add("objective.gradient_through_velocity", MFI_FIELD(objective.gradient_through_velocity), either(),
            "Let the MeanFlow term reach the alignment through the path's velocity.");
  table.add("objective.logits", MFI_FIELD(objective.logits), at_least_zero(),
            "Weight of the divergence of the teacher's answers with the stage replaced from those without.");
  table.add("objective.endpoint_steps", MFI_FIELD(objective.endpoint_steps), one_or_some(some_integers(0, 64)),
            "Steps of the endpoint term, multiples of every stage's modules; of several the mean; 0: flow.steps.");
  table.add("objective.power", MFI_FIELD(objective.power), numbers("0 to 2", 0, 2),
            "Power p of the adaptive weight 1 / (error + 1e-3)^p; 0: plain squares.");
  table.add("objective.r_equals_t", MFI_FIELD(objective.r_equals_t), zero_to_one(),
            "Share of the samples with r = t, which need no Jacobian-vector product.");
  table.add("objective.time_mean", MFI_FIELD(objective.time_mean), numbers("-10 to 10", -10, 10),
            "Mean of the normal whose sigmoid is a time.");
  table.add("objective.time_stddev", MFI_FIELD(objective.time_stddev),
            numbers("above 0, at most 10", std::numeric_limits<double>::min(), 10),
            "Standard deviation of that normal.");
}

/// [teacher], [map], [meta], [incubate] or [hybrid].
void add_step(Table& table, const std::string& section, StepSettings Recipe::*step) {
  const bool classifies = section != "map";
  const bool has_teacher = classifies && section != "teacher";
  const auto add = [&](const std::string& name, auto StepSettings::*field, const Range& range,
                       const std::string& meaning) {
    table.add(
        section + "." + name, [ step, field ](auto& recipe) -> auto& { return recipe.*step.*field; }, range, meaning);
  };
  add("epochs", &StepSettings::epochs, integers(section == "hybrid" ? 0 : 1, 100000),
      section == "incubate" ? "Passes over the training images, for each incubated stage."
      : section == "hybrid" ? "Passes over the training images; 0: the result is what mapping and incubation give."
                            : "Passes over the training images.");
  add("batch_size", &StepSettings::batch_size, integers(1, 65536), "Images in a batch, of all processes together.");
  add("optimiser", &StepSettings::optimiser, one_of({"adamw", "sgd"}), "sgd has Nesterov momentum.");
  add("learning_rate", &StepSettings::learning_rate, above_zero(), "Peak of the learning rate.");
  add("weight_decay", &StepSettings::weight_decay, at_least_zero(),
      "Decay of weights, not of biases and norms; decoupled from the gradient for adamw.");
  add("momentum", &StepSettings::momentum, zero_to_below_one(), "Momentum of sgd.");
  add("schedule", &StepSettings::schedule, one_of({"cosine", "one-cycle", "constant"}),
      "How the learning rate changes over the step.");
  add("warmup_epochs", &StepSettings::warmup_epochs, numbers("0 to the step's epochs", 0, 100000),
      "Epochs of linear rise from 0; with one-cycle, 0 means 30 % of the epochs.");
  if (classifies)
    add("label_smoothing", &StepSettings::label_smoothing, zero_to_below_one(),
        "Share of the target spread over all classes.");
  add("ema", &StepSettings::ema, zero_to_below_one(), "Decay a step of the weights' moving average; 0: none.");
  add("lookahead", &StepSettings::lookahead, integers(0, 100000),
      "Steps after which the weights go back half the way to where they were (Lookahead); 0: never.");
  if (has_teacher) {
    add("distillation", &StepSettings::distillation, zero_to_one(), "Share of the teacher's soft labels in the loss.");
    add("temperature", &StepSettings::temperature,
        numbers("above 0, at most 1000", std::numeric_limits<double>::min(), 1000), "Temperature of the soft labels.");
    add("features", &StepSettings::features, at_least_zero(),
        "Weight of the distance of each stage's output from the teacher's, relative to the latter.");
  }
  if (section == "map")
    add("own_input", &StepSettings::own_input, zero_to_one(),
        "Share of a batch, growing from 0 to this, for which stages see what the student's own stages before give.");
  add("augment", &StepSettings::augment, either(), "Random shift or crop (data.augment), and flip.");
  add("flip", &StepSettings::flip, one_of({"random", "alternating"}),
      "Each image by chance, or every other time, so that no two epochs in a row see it the same way round.");
  if (section == "teacher") {
    add("whitening", &StepSettings::whitening, either(),
        "Begin with the directions in which the images' patches vary as the stem's filters.");
    add("small_until", &StepSettings::small_until, zero_to_below_one(),
        "Share of the epochs, from the first, that see smaller images (progressive resizing); 0: none.");
    add("small_side", &StepSettings::small_side, numbers("0.25 to 1", 0.25, 1),
        "Their side, as a share of the images', to the next multiple of 4 pixels.");
  }
}

void add_controls(Table& table) {
  table.add("controls.teacher_longer", MFI_FIELD(controls.teacher_longer), either(),
            "Also train the teacher for the hybrid's extra epochs.");
  table.add("controls.no_mapping", MFI_FIELD(controls.no_mapping), either(),
            "Also train the hybrid with flow stages from random weights, for as many epochs.");
  table.add("controls.regression", MFI_FIELD(controls.regression), either(),
            "Also run the pipeline with mapping by regression in place of the flow's terms.");
  table.add("controls.smaller_resnet", MFI_FIELD(controls.smaller_resnet), either(),
            "Also train a plain ResNet of at most the hybrid's parameters, for all the epochs.");
  table.add("controls.distilled_resnet", MFI_FIELD(controls.distilled_resnet), either(),
            "Also train that plain ResNet with the teacher's soft labels.");
  table.add("controls.smaller_width", MFI_FIELD(controls.smaller_width), integers(0, 4096),
            "Width of the plain ResNet of both; 0: the widest that fits.");
  table.add("controls.distillation", MFI_FIELD(controls.distillation),
            numbers("above 0 to 1", std::numeric_limits<double>::min(), 1),
            "Share of the teacher's soft labels in the loss of the distilled one.");
  table.add("controls.temperature", MFI_FIELD(controls.temperature),
            numbers("above 0, at most 1000", std::numeric_limits<double>::min(), 1000),
            "Temperature of these soft labels.");
}

void add_search(Table& table) {
  table.add("search.fewer_blocks", MFI_FIELD(search.fewer_blocks), either(),
            "Try 1, 2, ... of the teacher's residual blocks in each stage.");
  table.add("search.block_percent", MFI_FIELD(search.block_percent), some_integers(1, 100),
            "Narrower blocks to try, in percent of the channels inside the teacher's, up to a multiple of 16: all of a "
            "stage's, and with search.fewer_blocks also half of them; [100]: none.");
  table.add("search.flows", MFI_FIELD(search.flows), some_choices(flow_form_names()),
            "Forms of flow stages to try: recipe is what [flow] says, the others have that velocity network and kernel "
            "instead.");
  table.add("search.alignments", MFI_FIELD(search.alignments), some_integers_of({1, 3}),
            "Kernels of the alignment to try with each form, in place of flow.alignment.");
  table.add("search.depths", MFI_FIELD(search.depths), some_integers(1, 16),
            "Convolutions in the middle of a velocity network to try with each form, in place of flow.depth.");
  table.add("search.flow_percent", MFI_FIELD(search.flow_percent), some_integers(1, 99),
            "Sizes of flow stages to try, in percent of the parameters of the teacher's stage.");
  table.add("search.modules", MFI_FIELD(search.modules), some_integers(1, 16),
            "Numbers of velocity networks that a flow stage may have.");
  table.add("search.steps", MFI_FIELD(search.steps), some_integers(1, 16),
            "Steps that each of them may take; above 1 a network is used several times.");
  table.add("search.held_out", MFI_FIELD(search.held_out), numbers("0.01 to 0.5", 0.01, 0.5),
            "Share of the training images that decide and that nothing in the search learns from; with data.validation "
            "its images do.");
  table.add("search.images", MFI_FIELD(search.images), integers(1),
            "Of these, at most so many score every single candidate and every pair of neighbours.");
  table.add("search.finalists", MFI_FIELD(search.finalists), integers(1, 1000),
            "Combinations that are fine-tuned, as [hybrid] says, before the choice.");
  table.add("search.epochs", MFI_FIELD(search.epochs), integers(1, 100000), "Epochs of that fine-tuning.");
  table.add("search.share", MFI_FIELD(search.share), numbers("0.01 to 1", 0.01, 1),
            "Share of the training images for that fine-tuning.");
}

#undef MFI_FIELD

std::vector<RecipeEntry> make_entries() {
  Table table;
  add_run(table);
  add_step(table, "teacher", &Recipe::teacher);
  add_step(table, "map", &Recipe::map);
  add_objective(table);
  table.add(
      "meta.train", [](auto& recipe) -> auto& { return recipe.meta_parts.train; }, one_of({"velocity", "flow", "all"}),
      "What learns: velocity networks, flow stages with alignments, or all but the stem.");
  add_step(table, "meta", &Recipe::meta);
  add_step(table, "incubate", &Recipe::incubate);
  add_step(table, "hybrid", &Recipe::hybrid);
  add_controls(table);
  add_search(table);
  return table.take();
}

std::string number_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;  // shortest that reads back
  std::string text(buffer, end);
  if (const auto zero = text.find("e-0"); zero != std::string::npos) text.erase(zero + 2, 1);  // 5e-04
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const unsigned char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c < 0x20 || c == 0x7f)
      out += format("\\u%04x", c);
    else
      out += static_cast<char>(c);
  }
  return out + "\"";
}

}  // namespace

std::string RecipeEntry::section() const {
  const auto dot = key.path.find('.');
  return dot == std::string::npos ? "" : key.path.substr(0, dot);
}

std::string RecipeEntry::name() const { return key.path.substr(key.path.find('.') + 1); }

const std::vector<RecipeEntry>& recipe_entries() {
  static const auto entries = make_entries();
  return entries;
}

const std::vector<RecipeKey>& recipe_keys() {
  static const auto keys = [] {
    std::vector<RecipeKey> all;
    for (const auto& entry : recipe_entries()) all.push_back(entry.key);
    return all;
  }();
  return keys;
}

std::string recipe_value_text(const RecipeValue& value) {
  return std::visit(
      [](const auto& held) -> std::string {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, bool>)
          return held ? "true" : "false";
        else if constexpr (std::is_same_v<Held, int64_t>)
          return std::to_string(held);
        else if constexpr (std::is_same_v<Held, double>)
          return number_text(held);
        else if constexpr (std::is_same_v<Held, std::string>)
          return quoted(held);
        else {
          Texts items;
          for (const auto& x : held) items.push_back(recipe_value_text(x));
          return "[" + join(items, ", ") + "]";
        }
      },
      value);
}

std::string range_problem(const RecipeEntry& entry, const RecipeValue& value, const std::string& given) {
  if (entry.in_range(value)) return "";
  auto problem =
      entry.key.path + " is " + (given.empty() ? recipe_value_text(value) : given) + ", expected " + entry.key.range;
  if (entry.choices.empty()) return problem;
  const auto* list = std::get_if<Texts>(&value);
  for (const auto& word : list ? *list : Texts{std::get<std::string>(value)}) {
    if (std::find(entry.choices.begin(), entry.choices.end(), word) != entry.choices.end()) continue;
    const auto nearest = nearest_name(word, entry.choices);
    return nearest.empty() ? problem : problem + "; did you mean " + nearest + "?";
  }
  return problem;
}

}  // namespace mfi
