// A run's folder: where things lie in it, and which steps are done.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "mfi/data/dataset.h"
#include "mfi/pipeline/plan.h"
#include "mfi/pipeline/results.h"
#include "mfi/train/training_state.h"

namespace mfi {

/// The names in a folder; none when there is no such folder. Opening the folder makes a network file
/// system ask its server; a mere look for one file may be answered from memory, without what another
/// node has written since.
std::set<std::string> names_in(const std::filesystem::path& folder);

/// Throws CheckpointError when the model in `file` is not the one that the record of its step is about.
void require_own_model(const std::filesystem::path& file, const StepResult& record);

/// The records of a run's steps, compared with what its recipe and data mean now.
///
/// Each step has a folder with model.safetensors, metrics.csv and step.json, its record. The record
/// holds a fingerprint of settings, data and input models; a step is done while it matches.
class RunFolder {
 public:
  /// recipe and plan must outlive this. Of the data only what identifies it is kept.
  RunFolder(const Recipe& recipe, const Plan& plan, const DataSplits& data, std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path step_folder(const std::string& step) const { return path_ / step; }
  std::filesystem::path model_file(const std::string& step) const { return path_ / step / "model.safetensors"; }
  StateFiles states(const std::string& step) const { return StateFiles(path_ / step); }
  std::filesystem::path record_file(const std::string& step) const { return path_ / step / "step.json"; }

  /// From now on those pictures without labels are the run's that results.json speaks of: for a command that does not
  /// learn from them, and was not told which they are.
  void remember_unlabelled();

  /// Reads the records of all steps but those of `forced`, which are thereby not done.
  void read_records(const std::vector<std::string>& forced = {});
  /// Reads the record of a step that another process has just finished.
  void read_record(const std::string& step);
  /// Takes the record of a step that this process has just finished, and written.
  void add(const StepResult& result) { records_[result.step] = result; }

  /// The record of a step that is done; nullptr when it is not, or one of its inputs is not.
  const StepResult* done(const PlannedStep& step) const;

  /// The record of a step as it is now, where that says that it is done: another process may have written it since they
  /// were read. The inputs must be done.
  std::optional<StepResult> done_by_now(const PlannedStep& step) const;

  /// The same for a step that is done.
  void require_own_model(const std::string& step) const { mfi::require_own_model(model_file(step), records_.at(step)); }

  /// Whether there is a record that does not match although the inputs are done.
  bool has_changed(const PlannedStep& step) const;

  /// Whether all that a step builds on is done.
  bool inputs_done(const PlannedStep& step) const;

  /// Whether a step whose inputs are done goes on from such a state of it.
  bool goes_on_from(const PlannedStep& step, const StateFiles::Found& state) const;

  /// What settings and data as they are now replace, of what has been trained: "teacher (done)", "meta (epoch 3 of 9
  /// trained)", "hybrid (done, now longer)", and what builds on them.
  std::vector<std::string> invalidated() const;

  /// Steps that are not done. One may still be found done, when what it needs comes out as before.
  std::vector<const PlannedStep*> remaining() const;

  /// What decides what a step's training does, as a hash. All inputs must be done.
  std::string fingerprint(const PlannedStep& step) const;
  /// The same but for the number of epochs: two trainings of a family differ in how long they are.
  std::string family(const PlannedStep& step) const;

  /// The steps that are done, in the plan's order.
  RunResults results() const;

  /// Writes recipe.toml (every key) and results.json. Steps that run on their own, on other machines
  /// perhaps, do so too: a lock of the folder's keeps one writer from another.
  void write_recipe() const;
  void write_results() const;
  /// The same from the records as they are now, whoever wrote them: of several steps that run on their
  /// own, the last to end leaves all of them in results.json.
  void write_results_of_all();

 private:
  std::optional<StepResult> record_now(const std::string& step) const;
  std::string hash(const PlannedStep& step, bool with_epochs) const;
  const std::string& hash_of_given(const std::filesystem::path& model) const;

  const Recipe& recipe_;
  const Plan& plan_;
  std::filesystem::path path_;
  std::string dataset_, data_fingerprint_, unlabelled_fingerprint_;
  int64_t training_images_, test_images_, unlabelled_pictures_;
  bool remembers_unlabelled_ = false;
  mutable std::map<std::filesystem::path, std::string> hashes_of_given_;  // each is asked for many times
  std::map<std::string, StepResult> records_;
  std::map<std::string, std::string> forced_;  // fingerprints of the records that are there of forced steps
};

}  // namespace mfi
