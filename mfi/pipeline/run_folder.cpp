#include "mfi/pipeline/run_folder.h"

#include <algorithm>
#include <utility>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/run_lock.h"
#include "mfi/core/sha256.h"
#include "mfi/core/text.h"
#include "mfi/pipeline/machine.h"
#include "mfi/pipeline/recipe_table.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;

// Held while a small file is written; more than a minute of that is a machine that hangs.
const LockOptions kFilesLock{.patience_seconds = 60, .name = ".files.lock"};

std::string number_text(double value) { return format("%.17g", value); }

// All that decides what a step's training does, as text: what the fingerprint is taken of. Threads and device
// are not, although they may move a result by rounding.
std::string settings_text(const StepSettings& s, bool with_epochs) {
  std::vector<std::string> out{with_epochs ? std::to_string(s.epochs) : "any",
                               std::to_string(s.batch_size),
                               s.optimiser,
                               number_text(s.learning_rate),
                               number_text(s.weight_decay),
                               number_text(s.momentum),
                               s.schedule,
                               number_text(s.warmup_epochs),
                               number_text(s.label_smoothing),
                               number_text(s.ema),
                               number_text(s.distillation),
                               number_text(s.temperature),
                               s.augment ? "augment" : "plain"};
  // Named where they are not what they were before there was such a setting: runs from then go on.
  const StepSettings plain;
  const auto add = [&out](const std::string& name, const auto& value, const auto& usual) {
    if (value != usual) out.push_back(name + " " + recipe_value_text(value));
  };
  add("features", s.features, plain.features);
  add("own input", s.own_input, plain.own_input);
  add("flip", s.flip, plain.flip);
  add("lookahead", s.lookahead, plain.lookahead);
  add("whitening", s.whitening, plain.whitening);
  add("small until", s.small_until, plain.small_until);
  if (s.small_until > 0) add("small side", s.small_side, 0.0);
  return join(out, " ");
}

std::string objective_text(const ObjectiveSettings& o) {
  std::vector<std::string> steps;
  for (const auto n : o.endpoint_steps) steps.push_back(std::to_string(n));
  return join({number_text(o.meanflow), number_text(o.endpoint), number_text(o.alignment), number_text(o.regression),
               o.gradient_through_velocity ? "through" : "detached", join(steps, ","), number_text(o.power),
               number_text(o.r_equals_t), number_text(o.time_mean), number_text(o.time_stddev)},
              " ") +
         (o.logits == 0 ? "" : " logits " + number_text(o.logits));
}

std::string learns_text(const std::vector<Learns>& learns) {
  std::string out;
  for (const auto l : learns) out += l == Learns::nothing ? '-' : l == Learns::velocity ? 'v' : 'a';
  return out;
}

}  // namespace

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> out;
  std::error_code no_folder;
  for (const auto& entry : fs::directory_iterator(folder, no_folder)) out.insert(entry.path().filename().string());
  return out;
}

void require_own_model(const fs::path& file, const StepResult& record) {
  if (sha256_file(file) != record.model_sha256)
    throw CheckpointError(file.string() + ": is another model than the step " + record.step +
                          " has made (step.json has its SHA-256), and what builds on it would say otherwise; put it " +
                          "back, make the step anew with mfi run --force " + record.step +
                          ", or begin from this model with network.model in the recipe of another run");
}

RunFolder::RunFolder(const Recipe& recipe, const Plan& plan, const DataSplits& data, fs::path path)
    : recipe_(recipe),
      plan_(plan),
      path_(std::move(path)),
      dataset_(data.name),
      data_fingerprint_(data.fingerprint),
      unlabelled_fingerprint_(data.unlabelled_fingerprint),
      training_images_(data.train.size()),
      test_images_(data.test.size()),
      unlabelled_pictures_(data.unlabelled_pictures) {}

void RunFolder::remember_unlabelled() {
  remembers_unlabelled_ = true;
  if (!names_in(path_).contains("results.json")) return;
  try {
    const auto before = read_results(path_ / "results.json");
    unlabelled_fingerprint_ = before.unlabelled_fingerprint;
    unlabelled_pictures_ = before.unlabelled_pictures;
  } catch (const DataError&) {  // a damaged one is written anew, as ever
  }
}

void RunFolder::read_records(const std::vector<std::string>& forced) {
  names_in(path_);
  records_.clear();
  forced_.clear();
  for (const auto& step : plan_.steps) {
    read_record(step.name);
    if (std::find(forced.begin(), forced.end(), step.name) == forced.end()) continue;
    if (const auto record = records_.extract(step.name)) forced_[step.name] = record.mapped().fingerprint;
  }
}

void RunFolder::read_record(const std::string& step) {
  if (const auto record = record_now(step)) records_[step] = *record;
}

std::optional<StepResult> RunFolder::record_now(const std::string& step) const {
  const auto names = names_in(step_folder(step));
  if (!names.contains(record_file(step).filename()) || !names.contains(model_file(step).filename()))
    return std::nullopt;
  return read_step_result(record_file(step));
}

std::optional<StepResult> RunFolder::done_by_now(const PlannedStep& step) const {
  auto record = record_now(step.name);
  if (record && record->fingerprint != fingerprint(step)) record.reset();
  return record;
}

const StepResult* RunFolder::done(const PlannedStep& step) const {
  const auto found = records_.find(step.name);
  if (found == records_.end()) return nullptr;
  return inputs_done(step) && found->second.fingerprint == fingerprint(step) ? &found->second : nullptr;
}

bool RunFolder::inputs_done(const PlannedStep& step) const {
  const auto inputs = step.inputs();
  return std::all_of(inputs.begin(), inputs.end(), [&](const auto& input) { return done(plan_.step(input)); });
}

bool RunFolder::goes_on_from(const PlannedStep& step, const StateFiles::Found& state) const {
  return StateFiles::fits(state, {fingerprint(step), family(step), step.settings.epochs, ""});
}

std::vector<std::string> RunFolder::invalidated() const {
  std::vector<std::string> out;
  std::set<std::string> anew;
  for (const auto& step : plan_.steps) {
    const auto inputs = step.inputs();
    const bool builds_on_one =
        std::any_of(inputs.begin(), inputs.end(), [&](const auto& input) { return anew.contains(input); });
    const bool recorded = records_.contains(step.name);
    const bool ready = inputs_done(step);
    if (const auto forced = forced_.find(step.name); forced != forced_.end()) {
      // It was asked for by name; what builds on it was not. With the same settings it comes out as before.
      if (!ready || forced->second != fingerprint(step)) anew.insert(step.name);
      continue;
    }
    if (recorded && done(step)) continue;
    const auto state = states(step.name).peek();
    const bool goes_on = ready && state && goes_on_from(step, *state);
    if (recorded && (builds_on_one || ready))
      out.push_back(step.name + (goes_on ? " (done, now longer)" : " (done)"));
    else if (!recorded && state && !goes_on && (builds_on_one || ready))
      out.push_back(step.name + " (" + state->position.text(state->identity.epochs) + " trained)");
    else
      continue;
    anew.insert(step.name);
  }
  return out;
}

bool RunFolder::has_changed(const PlannedStep& step) const {
  const auto found = records_.find(step.name);
  return found != records_.end() && inputs_done(step) && found->second.fingerprint != fingerprint(step);
}

std::vector<const PlannedStep*> RunFolder::remaining() const {
  std::vector<const PlannedStep*> out;
  for (const auto& step : plan_.steps)
    if (!done(step)) out.push_back(&step);
  return out;
}

std::string RunFolder::fingerprint(const PlannedStep& step) const { return hash(step, /*with_epochs=*/true); }

std::string RunFolder::family(const PlannedStep& step) const { return hash(step, /*with_epochs=*/false); }

std::string RunFolder::hash(const PlannedStep& step, bool with_epochs) const {
  std::vector<std::string> parts{arch_to_json(step.arch),
                                 settings_text(step.settings, with_epochs),
                                 learns_text(step.learns),
                                 data_fingerprint_,
                                 std::to_string(recipe_.seed),
                                 recipe_.runtime.precision,
                                 number_text(recipe_.data.validation),
                                 std::to_string(recipe_.data.limit)};
  if (step.images != Images::training) {
    if (recipe_.data.labelled != 1 && step.kind != StepKind::map)
      parts.push_back("labelled " + number_text(recipe_.data.labelled));
    if (step.images == Images::all && !unlabelled_fingerprint_.empty())
      parts.push_back("unlabelled " + unlabelled_fingerprint_);
  }
  // Not with how many processes: a run may go on with more or fewer.
  if (recipe_.runtime.sync_batch_norm) parts.push_back("sync batch norm");
  if (step.kind == StepKind::map) parts.push_back(objective_text(step.objective));
  if (!step.model_file.empty()) parts.push_back("given " + hash_of_given(step.model_file));
  // Everything else that is normalised in the given model's way has it among its inputs.
  if (!recipe_.network.model.empty() && step.model_file.empty() && step.inputs().empty())
    parts.push_back("normalised as " + hash_of_given(recipe_.network.model));
  for (const auto& from : step.part_from) parts.push_back("part " + from);
  for (const auto& input : step.inputs()) parts.push_back(input + " " + records_.at(input).model_sha256);
  return sha256_text(join(parts, "\n"));
}

const std::string& RunFolder::hash_of_given(const fs::path& model) const {
  auto found = hashes_of_given_.find(model);
  if (found == hashes_of_given_.end()) found = hashes_of_given_.emplace(model, sha256_file(model)).first;
  return found->second;
}

RunResults RunFolder::results() const {
  RunResults out;
  out.run = recipe_.name;
  out.dataset = dataset_;
  out.training_images = training_images_;
  out.test_images = test_images_;
  out.machine = machine_text();
  out.version = version_text();
  out.precision = recipe_.runtime.precision;
  out.data_fingerprint = data_fingerprint_;
  out.unlabelled_pictures = unlabelled_pictures_;
  out.unlabelled_fingerprint = unlabelled_fingerprint_;
  for (const auto& step : plan_.steps)
    if (const auto* result = done(step)) out.steps.push_back(*result);
  return out;
}

void RunFolder::write_recipe() const {
  const RunLock lock(path_, kFilesLock);
  replace_file(path_ / "recipe.toml", recipe_to_toml(recipe_));
}

void RunFolder::write_results() const {
  const RunLock lock(path_, kFilesLock);
  mfi::write_results(path_ / "results.json", results());
}

void RunFolder::write_results_of_all() {
  const RunLock lock(path_, kFilesLock);
  if (remembers_unlabelled_) remember_unlabelled();  // another process may know better by now
  read_records();
  mfi::write_results(path_ / "results.json", results());
}

}  // namespace mfi
