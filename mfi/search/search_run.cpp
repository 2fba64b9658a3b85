#include "mfi/search/search_run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/run_lock.h"
#include "mfi/core/sha256.h"
#include "mfi/core/stop_signal.h"
#include "mfi/core/text.h"
#include "mfi/nn/cost.h"
#include "mfi/pipeline/machine.h"
#include "mfi/pipeline/progress_writer.h"
#include "mfi/pipeline/recipe_table.h"
#include "mfi/pipeline/run_folder.h"
#include "mfi/search/candidates.h"
#include "mfi/search/choice_costs.h"
#include "mfi/search/finalists.h"
#include "mfi/search/measured_times.h"
#include "mfi/search/scoring.h"
#include "mfi/search/search_data.h"
#include "mfi/search/search_recipes.h"
#include "mfi/train/checkpoint.h"
#include "mfi/train/classification_task.h"
#include "mfi/train/evaluate.h"
#include "mfi/train/trainer.h"
#include "mfi/train/training_state.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

PlannedStep named_step(const std::string& name, const std::string& purpose, StepKind kind, const Arch& arch,
                       const StepSettings& settings) {
  PlannedStep step;
  step.name = name;
  step.purpose = purpose;
  step.kind = kind;
  step.arch = arch;
  step.settings = settings;
  step.section = kind == StepKind::map ? "map" : "hybrid";
  step.part_from.assign(arch.stages.size() + 2, "teacher");
  step.learns.assign(arch.stages.size() + 2, Learns::all);
  return step;
}

StepSettings tune_settings(const Recipe& recipe) {
  auto settings = recipe.hybrid;
  settings.epochs = recipe.search.epochs;
  settings.warmup_epochs = std::min(settings.warmup_epochs, static_cast<double>(settings.epochs));
  return settings;
}

std::string tune_name(size_t number) { return number == 0 ? "tune-teacher" : "tune-" + std::to_string(number); }

bool is_latency(const SearchTarget& target) { return target.kind == SearchTarget::Kind::latency; }

// Says at the teacher's start that all steps of the search come after it. It is trained as the one step of a run.
class FirstOfAll : public FanOut {
 public:
  FirstOfAll(RunObserver& observer, const Plan& plan) : FanOut({&observer}) {
    for (const auto& step : plan.steps) steps_.push_back(&step);
  }
  void on_step_start(const PlannedStep& step, const std::vector<const PlannedStep*>&) override {
    FanOut::on_step_start(step, steps_);
  }

 private:
  std::vector<const PlannedStep*> steps_;
};

// One search: what its parts have in common.
class Search {
 public:
  Search(const Recipe& recipe, const SearchOptions& options, RunObserver& observer)
      : recipe_(recipe),
        options_(options),
        observer_(observer),
        folder_(options.run.out / "search"),
        shape_(data_shape(recipe.data, options.run.data)),
        plan_(search_plan(recipe, shape_)),
        dtype_(activation_type(recipe.runtime)) {
    if (recipe.data.labelled < 1)
      throw RecipeError("data.labelled is below 1: a search fine-tunes and judges by labels, expected 1");
    check_before_training();
    // A search that goes on here builds on the teacher as it is.
    if (fs::is_directory(folder_)) lock();
    train_teacher();
    if (!lock_) lock();
    apply_runtime(recipe.runtime, options.run.repeatable);
    data_ = search_data(recipe, options.run.data, observer);
    teacher_ = load_model(teacher_file()).network;
    teacher_hash_ = sha256_file(teacher_file());
    teacher_->to(torch::Device(recipe.runtime.device));
    identity_ = join({teacher_hash_, data_.splits.fingerprint, std::to_string(recipe.seed), recipe.runtime.precision,
                      section_text(recipe, "data"),
                      data_.splits.validation.size() > 0 ? "" : recipe_value_text(recipe.search.held_out)},
                     "\n");
  }

  SearchResults run() {
    times_.emplace(folder_ / "times.json");
    CandidateSet set(*teacher_, stage_candidates(recipe_, teacher_->arch()), recipe_.seed);
    set.to(torch::Device(recipe_.runtime.device));
    SearchResults out = facts();
    out.candidates = candidate_costs(teacher_->arch(), set.candidates());
    const auto teacher_milliseconds = measure_candidates(set, out);
    if (std::ranges::any_of(options_.targets, is_latency)) say_if_busy();
    const auto costs = choice_costs(teacher_->arch(), out.candidates, options_.targets, teacher_milliseconds);
    if (!options_.targets.empty()) require_reachable(costs, options_.targets);
    out.mapping_seconds = map(set);
    const auto divergences = scores(set, out.scoring_seconds);
    for (size_t stage = 0; stage < out.candidates.size(); ++stage)
      for (size_t i = 0; i < out.candidates[stage].size(); ++i)
        out.candidates[stage][i].divergence = divergences.single[stage][i];
    const auto table = choice_table(costs, divergences);
    // Narrower blocks do less damage as mapped, but whole ones gain more by a fine-tuning, so the damage before it does
    // not say which of them to prefer.
    const auto count = static_cast<size_t>(recipe_.search.finalists);
    const auto chosen = finalists_of_both(table, without_narrower_blocks(set.candidates()), count);
    if (chosen.empty()) throw RecipeError("--target: within it there is nothing but the teacher itself");
    out.teacher_held_out_percent = accuracy(*teacher_);
    std::vector<size_t> everything;
    for (const auto& stage : set.candidates()) everything.push_back(stage.size() - 1);
    out.teacher = tuned(set, 0, {everything, 0, {}});
    std::vector<std::vector<size_t>> choices{everything};  // of the teacher and the points
    for (size_t i = 0; i < chosen.size(); ++i) {
      try {
        out.points.push_back(tuned(set, i + 1, chosen[i]));
        choices.push_back(chosen[i].candidates);
      } catch (const DivergedError& error) {
        // The others may do; when none does, that is the answer.
        if (out.points.empty() && i + 1 == chosen.size()) throw;
        observer_.on_step_failed(tune_name(i + 1), std::string(error.what()) + "; this combination is left out");
      }
    }
    measure_points(set, choices, out);
    std::vector<std::pair<std::string, Arch>> recipes;
    for (size_t i = 0; i < out.points.size(); ++i)
      recipes.emplace_back(out.points[i].name, assembled_arch(teacher_->arch(), set.candidates(), choices[i + 1]));
    judge(out, options_.targets, options_.max_drop);
    // Its recipes name that file.
    if (sha256_file(teacher_file()) != teacher_hash_)
      throw CheckpointError(teacher_file().string() +
                            ": another teacher stands here than the one that this search began with; search again");
    write_search_recipes(folder_, recipe_, teacher_->arch(), recipes, out.chosen());
    write_search_results(folder_, out);
    return out;
  }

 private:
  fs::path teacher_file() const { return options_.run.out / "teacher/model.safetensors"; }

  void lock() {
    make_folder(folder_);
    lock_.emplace(folder_, LockOptions{.patience_seconds = 0.2});
  }

  // What can be refused, or said, before hours of training.
  void check_before_training() {
    require_images(recipe_, shape_);
    const auto candidates = stage_candidates(recipe_, plan_.teacher);
    auto countable = options_.targets;
    std::erase_if(countable, is_latency);
    if (!countable.empty())
      require_reachable(choice_costs(plan_.teacher, candidate_costs(plan_.teacher, candidates), countable), countable);
    if (recipe_.hybrid.distillation == 0)
      observer_.on_message(
          "hybrid.distillation is 0: combinations are judged after a short fine-tuning by labels alone, which undoes "
          "much of what was mapped; with 0.9 it holds (docs/search.md)");
    const bool may_know_them = !holds_out_before_the_teacher(shape_) || !recipe_.network.model.empty();
    if (options_.max_drop && may_know_them)
      observer_.on_message(
          "the teacher may have learnt from the images that judge here, so networks seem to lose more than they do on "
          "new ones and --max-drop asks for more than it says; data.validation = 0.1 before the teacher is trained "
          "holds images out (docs/search.md)");
  }

  void train_teacher() {
    auto options = options_.run;
    options.only = "teacher";
    options.for_search = true;
    FirstOfAll observer(observer_, plan_);
    const auto results = run_pipeline(recipe_, options, observer);
    if (const auto* teacher = results.find("teacher")) require_own_model(teacher_file(), *teacher);
  }

  // All keys of a section that decide a result, for fingerprints.
  static std::string section_text(const Recipe& recipe, const std::string& section) {
    std::string out;
    for (const auto& entry : recipe_entries())
      if (entry.section() == section && entry.key.path != "data.cache")
        out += entry.key.path + "=" + recipe_value_text(entry.get(recipe)) + "\n";
    return out;
  }

  TrainJob job(const PlannedStep& step, const fs::path& folder, const Dataset& train,
               const std::string& fingerprint) const {
    TrainJob out;
    out.step = step.name;
    out.section = step.section;
    out.settings = step.settings;
    out.runtime = recipe_.runtime;
    out.seed = recipe_.seed;
    out.train = &train;
    out.normalisation = data_.splits.normalisation;
    out.folder = folder;
    out.fingerprint = fingerprint;
    out.environment = environment_text(recipe_.runtime, 1);
    out.repeatable = options_.run.repeatable;
    out.checkpoint = recipe_.checkpoint;
    out.on_nonfinite = options_.run.on_nonfinite;
    make_folder(out.folder);
    return out;
  }

  // The record in `file`, where it is one of this search.
  std::optional<Json> record(const fs::path& file, const std::string& fingerprint) const {
    if (!fs::exists(file)) return std::nullopt;
    try {
      auto json = Json::parse(read_file(file));
      if (json.at("fingerprint") == fingerprint) return json;
    } catch (const nlohmann::json::exception&) {  // of another version, or half a file of somebody else's
    }
    return std::nullopt;
  }

  void write_record(const fs::path& file, const std::string& fingerprint, Json json) const {
    json["fingerprint"] = fingerprint;
    replace_file(file, json.dump(2) + "\n");
  }

  // Tells the observer of a step; `work` is called unless it was done before.
  template <class Work>
  void step(const std::string& name, bool was_done, const Work& work) {
    const auto& planned = plan_.step(name);
    StepResult result;
    result.step = name;
    result.purpose = planned.purpose;
    result.test_top1_percent = -1;
    if (!was_done) {
      std::vector<const PlannedStep*> remaining;
      for (auto it = &planned; it != plan_.steps.data() + plan_.steps.size(); ++it) remaining.push_back(it);
      observer_.on_step_start(planned, remaining);
      result.seconds = work();
      result.epochs = planned.settings.epochs;
    }
    observer_.on_step_done(result, was_done);
  }

  // Returns the seconds that it took, now or before.
  double map(CandidateSet& set) {
    std::string archs;
    for (const auto& stage : set.candidates())
      for (const auto& candidate : stage) {
        Arch alone;
        alone.stages = {candidate.arch};
        archs += arch_to_json(alone) + "\n";
      }
    auto mapped_as = recipe_;
    mapped_as.map.own_input = Recipe().map.own_input;  // of a student, which is not there
    const auto fingerprint =
        sha256_text(identity_ + archs + section_text(mapped_as, "map") + section_text(recipe_, "objective"));
    // By what they are: another [search] makes others, and may be taken back.
    mapped_ = folder_ / ("candidates-" + fingerprint.substr(0, 16));
    const auto file = mapped_ / "candidates.safetensors", done = mapped_ / "result.json";
    const bool was_done = fs::exists(file) && record(done, fingerprint).has_value();
    step("candidates", was_done, [&] {
      MappingSettings settings;
      settings.objective = recipe_.objective;
      settings.seed = recipe_.seed;
      settings.dtype = dtype_;
      settings.normalisation = data_.splits.normalisation;
      const std::shared_ptr<CandidateSet> shared(&set, [](auto*) {});  // the caller owns it
      MappingTask task(*teacher_, shared, set.mapped_stages(), settings);
      const auto outcome = train(task, job(plan_.step("candidates"), mapped_, data_.train, fingerprint), observer_);
      save_tensors(file, named_tensors(set), {{"mfi.format", "candidates-1"}});
      write_record(done, fingerprint, {{"seconds", outcome.seconds}});
      StateFiles(mapped_).remove();
      return outcome.seconds;
    });
    load_tensors(file, named_tensors(set));
    candidates_hash_ = sha256_file(file);
    set.eval();
    return record(done, fingerprint)->at("seconds");
  }

  // seconds: that it took, now or before.
  Divergences scores(const CandidateSet& set, double& seconds) {
    const auto file = mapped_ / "scores.json";
    const auto fingerprint = sha256_text(identity_ + candidates_hash_ + std::to_string(data_.scored.size()));
    if (const auto json = record(file, fingerprint)) {
      seconds = json->value("seconds", seconds);
      return {json->at("single").get<std::vector<std::vector<double>>>(),
              json->at("pair").get<std::vector<std::vector<std::vector<double>>>>()};
    }
    using Clock = std::chrono::steady_clock;
    const auto start = Clock::now();
    int64_t quarters = 0;
    const auto out =
        score(*teacher_, set, data_.scored, data_.splits.normalisation, dtype_, [&](int64_t done, int64_t all) {
          if (4 * done / all == quarters) return;
          quarters = 4 * done / all;
          observer_.on_message(
              format("scoring candidates and pairs of them: %lld %%", static_cast<long long>(25 * quarters)));
        });
    seconds = std::chrono::duration<double>(Clock::now() - start).count();
    write_record(file, fingerprint, {{"single", out.single}, {"pair", out.pair}, {"seconds", seconds}});
    return out;
  }

  SearchResults facts() const {
    SearchResults out;
    out.run = recipe_.name;
    out.dataset = data_.splits.name;
    out.machine = machine_text();
    out.version = version_text();
    out.held_out_images = data_.held_out.size();
    out.scored_images = data_.scored.size();
    out.tuned_epochs = recipe_.search.epochs;
    out.tuned_images = data_.tuned.size();
    out.max_drop = options_.max_drop.value_or(-1);
    std::vector<std::string> targets;
    for (const auto& target : options_.targets) targets.push_back(target_text(target));
    out.target = join(targets, " ");
    return out;
  }

  // Times of whole networks beside each other: one does not compare with that of another hour.
  std::vector<PartTimes> times_of(const CandidateSet& set, const std::vector<std::vector<size_t>>& choices) {
    std::vector<Arch> archs;
    for (const auto& choice : choices) archs.push_back(assembled_arch(teacher_->arch(), set.candidates(), choice));
    return times_->of(archs, [&](size_t i) { return set.assemble(*teacher_, choices[i]); });
  }

  // Networks of the first candidate of each stage, of the second, ...: a part's time does not depend on the others. The
  // last of them is the teacher. Returns the milliseconds of its parts.
  std::vector<double> measure_candidates(const CandidateSet& set, SearchResults& out) {
    const auto& all = set.candidates();
    size_t most = 0;
    for (const auto& stage : all) most = std::max(most, stage.size());
    std::vector<std::vector<size_t>> choices(most);
    for (size_t i = 0; i < most; ++i)
      for (const auto& stage : all) choices[i].push_back(std::min(i, stage.size() - 1));
    const auto times = times_of(set, choices);
    for (size_t stage = 0; stage < all.size(); ++stage)
      for (size_t i = 0; i < all[stage].size(); ++i)
        out.candidates[stage][i].milliseconds = times[i].milliseconds[stage + 1];
    return times.back().milliseconds;
  }

  // The teacher and all points.
  void measure_points(const CandidateSet& set, const std::vector<std::vector<size_t>>& choices, SearchResults& out) {
    const auto times = times_of(set, choices);
    out.teacher.milliseconds = times.at(0).whole;
    for (size_t i = 0; i < out.points.size(); ++i) out.points[i].milliseconds = times.at(i + 1).whole;
    say_if_busy();
  }

  void say_if_busy() {
    if (times_->calm() || said_busy_) return;
    said_busy_ = true;
    observer_.on_message(
        "the machine was busy while times were measured, so they say little; the same command measures them again");
  }

  static ChoiceTable choice_table(const std::vector<ChoiceCost>& costs, const Divergences& d) {
    ChoiceTable table;
    table.costs = costs;
    table.damage = d.single;
    for (size_t stage = 0; stage < d.pair.size(); ++stage) {
      table.pairs.push_back(d.pair[stage]);
      for (size_t a = 0; a < d.pair[stage].size(); ++a)
        for (size_t b = 0; b < d.pair[stage][a].size(); ++b)
          table.pairs[stage][a][b] -= d.single[stage][a] + d.single[stage + 1][b];
    }
    return table;
  }

  double accuracy(const Network& network) const {
    return evaluate_classifier(network, data_.held_out, data_.splits.normalisation, dtype_).top1_percent;
  }

  // How far the network moves the teacher's answers to the images that candidates are scored on.
  double measured_divergence(const Network& network) {
    const auto logits = [&](const Network& each) {
      return classifier_logits(each, data_.scored, data_.splits.normalisation, dtype_);
    };
    if (!teacher_logits_.defined()) teacher_logits_ = logits(*teacher_);
    return mean_divergence(teacher_logits_, logits(network));
  }

  // Measures one combination as mapped, fine-tunes it and judges it on the held-out images.
  SearchPoint tuned(const CandidateSet& set, size_t number, const Choice& choice) {
    const auto name = tune_name(number);
    SearchPoint point;
    point.name = number == 0 ? "teacher" : "point-" + std::to_string(number);
    point.divergence = choice.damage;
    const auto network = set.assemble(*teacher_, choice.candidates);
    for (size_t stage = 0; stage < choice.candidates.size(); ++stage)
      point.stages.push_back(set.candidates()[stage][choice.candidates[stage]].name);
    const auto cost = total_cost(network->arch());
    point.parameters = cost.parameters;
    point.macs = cost.macs;
    auto as_tuned = recipe_;
    as_tuned.hybrid = tune_settings(recipe_);
    const auto fingerprint =
        sha256_text(join({identity_, number == 0 ? "" : candidates_hash_, section_text(as_tuned, "hybrid"),
                          join(point.stages, " "), recipe_value_text(recipe_.search.share)},
                         "\n"));
    // By what it is and not by its number: another target asks for the same ones in another order.
    const auto place = folder_ / ("tuned-" + fingerprint.substr(0, 16));
    const auto file = place / "result.json";
    auto found = record(file, fingerprint);
    step(name, found.has_value(), [&] {
      const double as_mapped = measured_divergence(*network);
      ClassificationTask task(network, std::vector<Learns>(network->part_count(), Learns::all), tune_settings(recipe_),
                              teacher_, data_.splits.normalisation, dtype_);
      const auto outcome = train(task, job(plan_.step(name), place, data_.tuned, fingerprint), observer_);
      found = Json{{"stages", point.stages},
                   {"measured_divergence", as_mapped},
                   {"held_out_percent", accuracy(*network)},
                   {"seconds", outcome.seconds}};
      write_record(file, fingerprint, *found);
      StateFiles(place).remove();
      return outcome.seconds;
    });
    // Where an mfi fine-tuned it that did not measure it; here it is as mapped still.
    if (!found->contains("measured_divergence")) {
      (*found)["measured_divergence"] = measured_divergence(*network);
      write_record(file, fingerprint, *found);
    }
    point.measured = found->at("measured_divergence");
    point.held_out_percent = found->at("held_out_percent");
    point.seconds = found->at("seconds");
    observer_.on_message(point.name + " (" + join(point.stages, " | ") +
                         "): " + format("%.2f %% of the held-out images", point.held_out_percent));
    return point;
  }

  const Recipe& recipe_;
  const SearchOptions& options_;
  RunObserver& observer_;
  fs::path folder_, mapped_;  // of the search; of its candidates as mapped
  DataShape shape_;
  Plan plan_;
  torch::Dtype dtype_;
  std::optional<RunLock> lock_;
  SearchData data_;
  std::shared_ptr<Network> teacher_;
  torch::Tensor teacher_logits_;  // for the images that candidates are scored on
  std::string teacher_hash_, identity_, candidates_hash_;
  std::optional<MeasuredTimes> times_;
  bool said_busy_ = false;
};

}  // namespace

Plan search_plan(const Recipe& recipe, const DataShape& data) {
  auto plan = make_teacher_plan(recipe, data);
  const auto arch = plan.teacher;
  plan.steps.push_back(named_step("candidates", "all candidates of all stages, in one pass of the teacher",
                                  StepKind::map, arch, recipe.map));
  plan.steps.back().objective = recipe.objective;
  plan.steps.back().teacher = "teacher";
  const double not_held_out = holds_out_before_the_teacher(data) ? 1 : 1 - recipe.search.held_out;
  plan.steps.back().images_share = not_held_out;
  for (size_t i = 0; i <= static_cast<size_t>(recipe.search.finalists); ++i) {
    plan.steps.push_back(named_step(tune_name(i), i == 0 ? "the teacher, fine-tuned as briefly" : "a combination",
                                    StepKind::classify, arch, tune_settings(recipe)));
    plan.steps.back().images_share = not_held_out * recipe.search.share;
  }
  return plan;
}

SearchResults run_search(const Recipe& recipe, const SearchOptions& options, RunObserver& observer) {
  return Search(recipe, options, observer).run();
}

}  // namespace mfi
