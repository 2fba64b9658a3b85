#include "mfi/report/run_watch.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <set>
#include <utility>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/run_lock.h"
#include "mfi/core/text.h"
#include "mfi/pipeline/run_folder.h"
#include "mfi/train/checkpoint.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// When a file was last written, by the clock of its file system; no value when it is not there.
std::optional<double> write_time(const fs::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) return std::nullopt;
  return static_cast<double>(status.st_mtim.tv_sec) + 1e-9 * static_cast<double>(status.st_mtim.tv_nsec);
}

// What a process writes may be half a version old, or gone between two looks: then it says nothing.
template <class Read>
auto unless_unreadable(const Read& read) -> std::optional<decltype(read())> {
  try {
    return read();
  } catch (const Error&) {
    return std::nullopt;
  }
}

// Whether the plan was made for as many images as the results speak of.
bool is_for(const Plan& plan, const RunResults& results) {
  return plan.data.training_images == results.training_images &&
         plan.data.unlabelled_pictures == results.unlabelled_pictures;
}

// The plan as far as a view needs it, without the data, which may lie on another machine: of pictures the classes and
// sizes are not known, which moves nothing but estimates of time. How many images there are is in the results; the
// pictures without labels stand nowhere else, so until the first step has ended none are reckoned with.
Plan plan_of(Recipe recipe, const fs::path& run, const std::optional<RunResults>& results) {
  DataShape shape;
  if (recipe.data.dataset != "pictures") shape = data_shape(recipe.data, {});
  if (results) {
    shape.training_images = results->training_images;
    shape.unlabelled_pictures = results->unlabelled_pictures;
  }
  auto& model = recipe.network.model;
  if (!model.empty()) {
    // The path in the recipe is the running process's; its copy lies in the run.
    const auto copy = run / "teacher" / "model.safetensors";
    if (std::error_code error; !fs::exists(model, error) && fs::exists(copy, error)) model = copy;
    if (!recipe.network.fine_tune) shape.classes = describe_model(model).arch.classes;
  }
  try {
    return make_plan(recipe, shape);
  } catch (const RecipeError&) {
    // A search asks for none of the steps behind the teacher.
    if (std::error_code none; !fs::is_directory(run / "search", none)) throw;
    return make_teacher_plan(recipe, shape);
  }
}

// owner: "process 4711 on node12", with or without more behind a comma.
bool is_on_host(const std::string& owner, const std::string& host) {
  return owner.substr(0, owner.find(',')).ends_with(" on " + host);
}

}  // namespace

struct RunWatch::StepSigns {
  std::optional<StepResult> record;
  double record_time = 0;
  std::optional<StepProgressFile> progress;
  bool runs = false, is_stopped = false;
  RunLook::Sign sign;
};

RunWatch::RunWatch(fs::path run, WatchClocks clocks) : run_(std::move(run)), clocks_(std::move(clocks)) {
  if (!clocks_.steady) clocks_.steady = steady_seconds;
}

// False where no run has begun.
bool RunWatch::has_begun() const {
  std::error_code error;
  const auto status = fs::status(run_, error);
  if (status.type() == fs::file_type::not_found) return false;
  if (status.type() != fs::file_type::directory)
    throw NotFoundError(run_.string() + ": is no folder, expected the folder of a run");
  const auto names = names_in(run_);
  if (!names.contains("recipe.toml")) {
    // A run makes its lock, then its recipe.
    if (std::all_of(names.begin(), names.end(), [](const std::string& name) { return name.starts_with("."); }) ||
        names.contains("recipe.toml.part"))
      return false;
    throw NotFoundError(run_.string() + ": has no recipe.toml, expected the folder of a run (--out of 'mfi run')");
  }
  return true;
}

// What has not changed since the last look is not made again.
void RunWatch::read_plan(const std::optional<RunResults>& results) {
  const auto file = run_ / "recipe.toml";
  auto text = read_file(file);
  if (plan_ && text == recipe_text_ && (!results || is_for(*plan_, *results))) return;
  plan_ = plan_of(read_recipe(file), run_, results);
  recipe_text_ = std::move(text);
}

double RunWatch::silent_seconds(const std::string& step, const Signature& by) {
  const auto here = clocks_.here();
  if (!by.boot.empty() && by.boot == here.boot) return std::max(0.0, here.uptime - by.uptime);

  const double now = clocks_.steady();
  auto found = seen_.find(step);
  const bool is_new = found == seen_.end() || found->second.uptime != by.uptime ||
                      found->second.unix_time != by.unix_time || found->second.owner != by.owner();
  if (is_new) {
    const bool has_changed = found != seen_.end();
    const double by_file = here.unix_time - write_time(progress_file(run_ / step)).value_or(here.unix_time);
    const double age = std::max(0.0, std::min(by_file, here.unix_time - by.unix_time));
    found = seen_.insert_or_assign(step, Seen{by.uptime, by.unix_time, by.owner(), now, age, has_changed}).first;
  }
  const auto& seen = found->second;
  const double unchanged = now - seen.since;
  if (seen.has_changed) return unchanged;
  if (unchanged < kSure) {
    is_unsure_ = is_unsure_ || seen.age_then > kSilent;
    return 0;
  }
  return seen.age_then + unchanged;
}

RunWatch::StepSigns RunWatch::read_step(const PlannedStep& step) {
  StepSigns out;
  const auto folder = run_ / step.name;
  const auto names = names_in(folder);
  if (names.contains("step.json") && names.contains("model.safetensors")) {
    out.record_time = write_time(folder / "step.json").value_or(0);
    out.record = unless_unreadable([&] { return read_step_result(folder / "step.json"); });
  }
  const auto lock = look_at_lock(folder);
  if (names.contains("progress.json")) out.progress = read_step_progress(folder);
  // A new process holds the lock before it writes its first file: the one there is somebody else's.
  if (lock.held && out.progress && out.progress->by.owner() != lock.owner) out.progress.reset();
  out.runs = lock.held;
  if (!out.progress) return out;

  out.progress->progress.step = step.name;
  const auto& by = out.progress->by;
  const auto& progress = out.progress->progress;
  const bool is_tested = progress.epoch == progress.epochs && progress.batch == progress.batches;
  out.sign = {by.host, by.process, silent_seconds(step.name, by), is_tested};
  if (lock.held) return out;
  // On this machine a free lock means that nobody is there.
  const bool is_here = by.boot == clocks_.here().boot && !by.boot.empty();
  out.runs = !is_here && !out.progress->ended && out.sign.silent_seconds < kGone;
  out.is_stopped = !out.runs;
  return out;
}

RunLook RunWatch::look() {
  RunLook out;
  is_unsure_ = false;
  if (!has_begun()) return out;

  // The lock before the steps: one that ends between the two is then seen as done, not as nobody's.
  const auto lock = look_at_lock(run_);
  const auto names = names_in(run_);
  std::optional<RunResults> results;
  double results_time = 0;
  if (names.contains("results.json")) {
    results_time = write_time(run_ / "results.json").value_or(0);
    results = unless_unreadable([&] { return read_results(run_ / "results.json"); });
  }
  read_plan(results);
  const auto is_in_results = [&](const StepResult& record) {
    return results && std::any_of(results->steps.begin(), results->steps.end(), [&](const StepResult& other) {
             return other.step == record.step && other.fingerprint == record.fingerprint;
           });
  };
  std::optional<RunProgressFile> of_run;
  if (names.contains("progress.json")) of_run = read_run_progress(run_);

  std::map<std::string, StepSigns> signs;
  int64_t at_once = 0, images = plan_->data.training_images;
  for (const auto& step : plan_->steps) {
    auto& sign = signs[step.name] = read_step(step);
    at_once += sign.runs ? 1 : 0;
    if (images == 0 && sign.progress) images = sign.progress->progress.batches * step.settings.batch_size;
  }

  RunStateSettings settings;
  settings.training_images = images;
  settings.only_some = true;  // what is done is told below
  settings.jobs = std::max<int64_t>({1, at_once, of_run ? of_run->jobs : 1});
  RunState state(*plan_, settings);
  std::vector<std::string> all;
  for (const auto& step : plan_->steps) all.push_back(step.name);
  state.expect(all);
  // A record counts when its run has taken it into the results, or has not come to do so yet. One that the results
  // leave out although they are newer was made with other settings.
  for (const auto& [name, sign] : signs)
    if (sign.record && (!results || is_in_results(*sign.record) || sign.record_time >= results_time))
      state.done(*sign.record, /*was_already_done=*/false);
  if (of_run && lock.held) state.expect(of_run->remaining);
  for (const auto& [name, sign] : signs)
    if (sign.runs && sign.progress) state.expect(sign.progress->remaining);
  const auto view_before = state.view();
  const auto is_done = [&](const std::string& name) {
    return std::any_of(view_before.steps.begin(), view_before.steps.end(),
                       [&](const StepView& step) { return step.name == name && step.state == StepState::done; });
  };
  for (const auto& [name, sign] : signs) {
    if (sign.runs) state.start(name, {});
    if (sign.progress && (sign.runs || !is_done(name))) {
      state.progress(sign.progress->progress);
      out.signs[name] = sign.sign;
      if (sign.is_stopped) state.stop(name);
      if (sign.runs && sign.sign.silent_seconds > kSilent) state.note(name, silence_text(sign.sign));
    }
  }
  if (of_run)
    for (const auto& [name, text] : of_run->failed)
      if (signs.contains(name) && !signs[name].runs && !is_done(name)) state.fail(name, text);

  out.view = state.view();
  for (const auto& step : plan_->steps) out.labels[step.name] = state.label(step.name);
  const auto steps = static_cast<int64_t>(plan_->steps.size());
  const bool is_of_a_search = steps == 1;  // see plan_of; what comes after the teacher is not known here
  const bool all_in_results = std::all_of(
      signs.begin(), signs.end(), [&](const auto& s) { return s.second.record && is_in_results(*s.second.record); });
  out.searches = look_at_lock(run_ / "search").held;
  out.is_elsewhere = !lock.owner.empty() && !is_on_host(lock.owner, clocks_.here().host);
  if (at_once > 0 || lock.held)
    out.phase = RunPhase::running;
  else if (!is_of_a_search && out.view.count(StepState::done) == steps && all_in_results)
    out.phase = RunPhase::done;
  else if (out.searches || lock.owner.find("one of its steps") != std::string::npos)
    out.phase = RunPhase::idle;
  else
    out.phase = RunPhase::stopped;
  return out;
}

const char* name_of(RunPhase phase) {
  switch (phase) {
    case RunPhase::absent:
      return "absent";
    case RunPhase::running:
      return "running";
    case RunPhase::idle:
      return "idle";
    case RunPhase::stopped:
      return "stopped";
    case RunPhase::done:
      return "done";
  }
  return "";
}

std::string silence_text(const RunLook::Sign& sign) {
  const double minutes = sign.silent_seconds / 60;
  const auto time = minutes < 1.5  ? format("%.0f s", sign.silent_seconds)
                    : minutes < 90 ? format("%.0f min", minutes)
                                   : format("%.0f h", minutes / 60);
  if (sign.is_tested)
    return "trained, being tested for " + time + " on " + sign.host + ", process " + std::to_string(sign.process);
  return "no sign of life for " + time + ", last seen on " + sign.host + ", process " + std::to_string(sign.process);
}

}  // namespace mfi
