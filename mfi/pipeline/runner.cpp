#include "mfi/pipeline/runner.h"

#include <algorithm>
#include <optional>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/run_lock.h"
#include "mfi/core/text.h"
#include "mfi/pipeline/machine.h"
#include "mfi/pipeline/run_folder.h"
#include "mfi/pipeline/side_by_side.h"
#include "mfi/pipeline/step_run.h"
#include "mfi/train/checkpoint.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;

constexpr double kPatienceSeconds = 0.2;

// learns: whether a step of this process is to see the pictures without labels.
DataSplits open_recipe_data(const Recipe& recipe, const RunOptions& options, bool learns, RunObserver& observer) {
  auto data = recipe.data;
  data.unlabelled_to_learn = learns && options.jobs == 1;
  data.seed = recipe.seed;
  if (options.jobs > 1) {  // each step's process reads its own; here only what identifies them matters
    data.cache = "none";
    data.normalisation = Normalisation{};
  }
  // A given teacher's pictures were normalised in its way, and so everything that learns from it.
  if (!recipe.network.model.empty()) data.normalisation = describe_model(recipe.network.model).info.normalisation;
  auto splits = open_data(data, options.data, reading_messages(observer));
  if (!splits.passed_over.empty())
    observer.on_message(format("%zu files in %s are no pictures that mfi reads and are passed over, the first %s",
                               splits.passed_over.size(), splits.source.c_str(), splits.passed_over.front().c_str()));
  if (splits.unlabelled_pictures > 0)
    observer.on_message(format("%lld pictures without labels in %s serve for mapping and distillation",
                               static_cast<long long>(splits.unlabelled_pictures), data.unlabelled.c_str()));
  return splits;
}

void require_teachers_classes(const Recipe& recipe, const std::vector<std::string>& names) {
  if (recipe.network.model.empty() || recipe.network.fine_tune) return;
  const auto info = describe_model(recipe.network.model).info;
  if (!info.may_have_classes(names))
    throw RecipeError("network.model: the classes of " + recipe.network.model + " are " +
                      shortened(join(info.class_names, ", ")) + ", those of the dataset " +
                      shortened(join(names, ", ")) + "; network.fine_tune = true trains it on these first");
}

Plan plan_of(const Recipe& recipe, const RunOptions& options) {
  const auto shape = data_shape(recipe.data, options.data);
  try {
    return make_plan(recipe, shape);
  } catch (const RecipeError&) {
    if (!options.for_search) throw;
    return make_teacher_plan(recipe, shape);
  }
}

// One run: the data, the folder and its lock.
class Runner {
 public:
  Runner(const Recipe& recipe, const RunOptions& options, RunObserver& observer)
      : recipe_(recipe), options_(options), observer_(observer), plan_(plan_of(recipe, options)) {
    apply_runtime(recipe.runtime, options.repeatable);
    check_names();  // before any work
    // Reading the data may take minutes: who finds the folder in use is to know at once. A new folder is made only
    // after that, so that without data nothing is left behind.
    std::error_code none_yet;  // or none that can be looked at, which make_folder says below
    if (is_first() && fs::is_directory(options.out, none_yet)) lock();
    const bool learns = options.only.empty() || plan_.step(options.only).images == Images::all;
    data_ = open_recipe_data(recipe, options, learns, observer);
    require_teachers_classes(recipe, data_.test.class_names);
    if (options.processes) require_same_everywhere();
    folder_.emplace(recipe_, plan_, data_, options.out);
    if (!is_first()) return;
    make_folder(options.out);
    if (!lock_) lock();
    if (!learns && recipe.data.unlabelled.empty()) folder_->remember_unlabelled();
    folder_->read_records(options.force);
    ask_before_replacing();
    leaves_files_ = options.for_search && folder_->done(plan_.step(options.only)) && has_other_results();
    if (!leaves_files_) folder_->write_recipe();
  }

  RunResults run() {
    if (!is_first()) return follow();
    if (!options_.only.empty()) {
      run_only(plan_.step(options_.only));
    } else if (options_.jobs > 1) {
      data_ = {};  // each step's process reads its own
      run_side_by_side(recipe_, plan_, *folder_, options_, observer_);
    } else {
      for (const auto& step : plan_.steps) {
        run_unless_done(step);
        folder_->write_results();
      }
    }
    announce("");
    return folder_->results();
  }

  const Dataset& test() const { return data_.test; }

 private:
  bool is_first() const { return !options_.processes || options_.processes->is_first(); }

  void lock() {
    const bool alone = options_.only.empty();
    // A little patience: `mfi watch` looks at the lock now and then.
    lock_.emplace(
        options_.out,
        LockOptions{.shared = !alone, .parents_will_do = !alone, .patience_seconds = alone ? kPatienceSeconds : 0});
  }

  void require_same_everywhere() const {
    options_.processes->require_same("the version of mfi", version_text());
    options_.processes->require_same("the recipe", recipe_to_toml(recipe_));
    options_.processes->require_same("the dataset", data_.fingerprint);
    options_.processes->require_same("the pictures without labels", data_.unlabelled_fingerprint);
  }

  // Tells the other processes which step is to be run; "": none any more.
  void announce(const std::string& step) {
    if (options_.processes) options_.processes->broadcast(step);
  }

  // What all processes but the first do: the steps that it announces.
  RunResults follow() {
    for (;;) {
      const auto step = options_.processes->broadcast(std::string());
      if (step.empty()) return {};
      run_step(recipe_, plan_, data_, *folder_, plan_.step(step), options_, observer_);
    }
  }

  void check_names() const {
    for (const auto& name : options_.force) plan_.step(name);
    if (options_.only.empty()) return;
    plan_.step(options_.only);
    for (const auto& name : options_.force)
      if (name != options_.only)
        throw UsageError("--force " + name + " beside --only " + options_.only + ": only that step is run");
  }

  bool has_other_results() const {
    try {
      return std::ranges::any_of(collect_results(options_.out).steps,
                                 [&](const auto& step) { return step.step != options_.only; });
    } catch (const Error&) {  // there are none, or of another version of mfi
      return false;
    }
  }

  void ask_before_replacing() const {
    auto steps = folder_->invalidated();
    if (!options_.only.empty()) {
      const bool ready = folder_->inputs_done(plan_.step(options_.only));
      std::erase_if(steps, [&](const auto& step) { return !ready || !step.starts_with(options_.only + " ("); });
    }
    if (steps.empty()) return;
    std::vector<std::string> changes;
    try {
      changes = recipe_differences(read_recipe(options_.out / "recipe.toml"), recipe_);
    } catch (const Error&) {  // of another version of mfi, or gone
    }
    const auto text =
        options_.out.string() + ": " +
        (changes.empty() ? "data or inputs have changed" : "the recipe has changed (" + join(changes, ", ") + ")") +
        ", so these steps are trained again and replaced: " + join(steps, ", ");
    if (!options_.confirm)
      observer_.on_message(text);
    else if (!options_.confirm(text))
      throw UsageError(text + ". Nothing was changed; add --yes to go on, or choose another folder with --out");
  }

  void run_unless_done(const PlannedStep& step) {
    if (const auto* done = folder_->done(step)) {
      observer_.on_step_done(*done, /*was_already_done=*/true);
      return;
    }
    if (folder_->has_changed(step))
      observer_.on_message(step.name + ": settings or inputs have changed since it was done; running it again");
    observer_.on_step_start(step, options_.only.empty() ? folder_->remaining() : std::vector{&step});
    announce(step.name);
    const auto result = run_step(recipe_, plan_, data_, *folder_, step, options_, observer_);
    folder_->add(result);
    observer_.on_step_done(result, /*was_already_done=*/false);
  }

  void run_only(const PlannedStep& step) {
    std::vector<std::string> missing;
    for (const auto& input : step.inputs())
      if (!folder_->done(plan_.step(input))) missing.push_back(input);
    if (!missing.empty())
      throw NotFoundError(step.name + ": needs " + join(missing, " and ") + ", not done in " + options_.out.string() +
                          " with these settings and data; first run " + (missing.size() == 1 ? "it" : "them") +
                          " with --only " + join(missing, " and --only ") + ", or all steps without --only");
    run_unless_done(step);
    if (!leaves_files_) folder_->write_results_of_all();
  }

  const Recipe& recipe_;
  const RunOptions& options_;
  RunObserver& observer_;
  Plan plan_;
  std::optional<RunLock> lock_;
  DataSplits data_;
  std::optional<RunFolder> folder_;
  bool leaves_files_ = false;
};

}  // namespace

DataProgress reading_messages(RunObserver& observer) {
  return [&observer, tenths = int64_t{0}](int64_t done, int64_t all) mutable {
    if (10 * done / all == tenths) return;
    tenths = 10 * done / all;
    observer.on_message(
        format("reading pictures: %lld of %lld", static_cast<long long>(done), static_cast<long long>(all)));
  };
}

RunResults run_pipeline(const Recipe& recipe, const RunOptions& options, RunObserver& observer, Dataset* test) {
  Runner runner(recipe, options, observer);
  const auto results = runner.run();
  if (test) *test = runner.test();
  return results;
}

RunResults collect_results(const fs::path& out) {
  std::error_code error;
  if (fs::status(out / "results.json", error).type() == fs::file_type::not_found)
    throw NotFoundError(out.string() +
                        ": no run has finished a step there; expected a folder that `mfi run` has written");
  return read_results(out / "results.json");
}

}  // namespace mfi
