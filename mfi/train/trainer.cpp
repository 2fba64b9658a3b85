#include "mfi/train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <limits>
#include <memory>
#include <optional>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/free_space.h"
#include "mfi/core/stop_signal.h"
#include "mfi/core/text.h"
#include "mfi/nn/network.h"
#include "mfi/train/checkpoint.h"
#include "mfi/train/finite.h"
#include "mfi/train/gradient_exchange.h"
#include "mfi/train/lookahead.h"
#include "mfi/train/moving_average.h"
#include "mfi/train/not_finite.h"
#include "mfi/train/optimiser.h"
#include "mfi/train/schedule.h"
#include "mfi/train/smaller_images.h"
#include "mfi/train/training_state.h"

namespace mfi {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

LoaderSettings loader_settings(const TrainJob& job) {
  LoaderSettings out;
  out.batch_size = job.settings.batch_size;
  out.augment = job.settings.augment;
  out.flip = job.settings.flip == "alternating" ? Flip::alternating : Flip::random;
  out.seed = job.seed;
  out.dtype = activation_type(job.runtime);
  out.normalisation = job.normalisation;
  // A data set smaller than one batch is trained as one batch.
  out.drop_last = job.train->size() >= out.batch_size;
  if (job.processes) {
    out.share = job.processes->share();
    if (std::min(job.train->size(), out.batch_size) < out.share.count)
      throw RecipeError(format(
          "%s.batch_size is %lld, with %lld training images and %lld processes; each needs at least one image of a "
          "batch, so start fewer or choose a larger batch",
          (job.section.empty() ? job.step : job.section).c_str(), static_cast<long long>(out.batch_size),
          static_cast<long long>(job.train->size()), static_cast<long long>(out.share.count)));
  }
  return out;
}

constexpr int64_t kMostRewinds = 5;

// Exchanges weights and their average for a scope; null: does nothing.
class Averaged {
 public:
  explicit Averaged(std::optional<MovingAverage>& average) : average_(average) {
    if (average_) average_->swap();
  }
  ~Averaged() {
    if (average_) average_->swap();
  }
  Averaged(const Averaged&) = delete;
  Averaged& operator=(const Averaged&) = delete;

 private:
  std::optional<MovingAverage>& average_;
};

// One training in progress: what its state holds, and the loop over it.
class Training {
 public:
  Training(Task& task, const TrainJob& job, Observer& observer)
      : task_(task),
        job_(job),
        observer_(observer),
        loader_(*job.train, loader_settings(job)),
        schedule_(job.settings, loader_.batches_per_epoch()),
        device_(job.processes ? job.processes->device(job.runtime.device) : torch::Device(job.runtime.device)),
        states_(job.folder) {
    const auto sets = task.parameter_sets();
    for (const auto& set : sets) {
      set_names_.push_back(set.name);
      optimisers_.emplace_back(set, job.settings);
      parameters_.insert(parameters_.end(), set.parameters.begin(), set.parameters.end());
    }
    for (const auto& item : task.student().named_buffers()) statistics_.emplace_back(item.key(), item.value());
    if (job.processes) {
      // It expects the last ones first, while the sets' losses are taken one after the other.
      std::vector<torch::Tensor> parameters;
      for (auto set = sets.rbegin(); set != sets.rend(); ++set)
        for (const auto& [name, parameter] : set->parameters) parameters.push_back(parameter);
      exchange_.emplace(parameters, *job.processes);
    }
    if (job.settings.ema > 0) average_.emplace(task.student(), job.settings.ema);
    if (job.settings.lookahead > 0) lookahead_.emplace(task.student(), job.settings.lookahead);
  }

  TrainOutcome run() {
    if (is_first()) require_room();
    const bool resumed = resume(job_.from_its_start);
    if (is_first() && job_.begin) job_.begin();
    // Something to go back to, from the first batch on.
    if (!resumed && job_.on_nonfinite == OnNonfinite::rewind) save();
    while (position_.epoch < job_.settings.epochs) {
      try {
        train_batches();
        finish_epoch();
      } catch (const NotFiniteError& error) {
        rewind(error);
      }
    }
    // No epoch has done it, and there may be those of an earlier training.
    if (job_.settings.epochs == 0 && is_first()) write_logs(job_.folder, position_);
    if (average_) average_->swap();
    task_.student().eval();
    return {position_.rows, position_.seconds, position_.seconds_per_step};
  }

 private:
  NamedTensors state() const {
    NamedTensors out;
    const auto add = [&](const std::string& prefix, const NamedTensors& tensors) {
      for (const auto& [name, tensor] : tensors) out.emplace_back(prefix + name, tensor);
    };
    add("student.", named_tensors(task_.student()));
    for (const auto& optimiser : optimisers_) add("optimiser.", optimiser.state());
    if (average_) add("average.", average_->state());
    if (lookahead_) add("lookahead.", lookahead_->state());
    return out;
  }

  TrainingIdentity identity() const { return {job_.fingerprint, job_.family, job_.settings.epochs, job_.environment}; }

  bool is_first() const { return !job_.processes || job_.processes->is_first(); }

  // For both states and one that is being written, where the model has room afterwards; with them a little for logs.
  void require_room() const {
    constexpr uint64_t kLogs = 1'000'000;
    uint64_t state_bytes = 0;
    for (const auto& [name, tensor] : state()) state_bytes += tensor.nbytes();
    const uint64_t needed = 3 * state_bytes + kLogs, there = states_.bytes();
    if (needed > there) require_space(job_.folder, needed - there, "the step " + job_.step);
  }

  // Weights are the same in all processes by themselves; what batch norms have seen is not.
  void agree_on_statistics() {
    std::vector<torch::Tensor> tensors = task_.student().buffers();
    if (average_)
      for (const auto& [name, tensor] : average_->state()) tensors.push_back(tensor);
    if (lookahead_)
      for (const auto& [name, tensor] : lookahead_->state()) tensors.push_back(tensor);
    job_.processes->broadcast(tensors);
  }

  void save() {
    last_saved_ = Clock::now();
    if (!is_first()) return;
    observer_.on_phase(job_.step, "save");
    states_.save(identity(), position_, state());
    observer_.on_phase(job_.step, "train");
  }

  // Nothing that is not finite comes into a state. With several processes the first one alone may have such a
  // statistic: then this state is left out, and the end of the epoch, when all look at the same, refuses it.
  void save_within_epoch(const Batch& batch) {
    const auto name = is_first() ? first_not_finite(named_tensors(task_.student())) : "";
    if (name.empty()) return save();
    if (!job_.processes) {
      --position_.batch;  // in which it was found
      refuse(name + " is not finite", &batch);
    }
  }

  // Puts a saved state into place; its position, or nothing when there is none.
  std::optional<TrainingPosition> load_state() {
    observer_.on_phase(job_.step, "load");
    const auto found = states_.load(identity(), state());
    observer_.on_phase(job_.step, "train");
    if (!found) {
      if (states_.peek())
        observer_.on_message(job_.step +
                             ": settings or inputs have changed since it was interrupted; starting it anew");
      return std::nullopt;
    }
    const auto where = found->position.text(found->identity.epochs);
    if (!found->damaged.empty())
      observer_.on_message("warning: " + found->damaged + "; taking the state before it, saved after " + where);
    if (found->identity.environment != job_.environment) {
      const auto text = format("%s: its state was saved by %s, this is %s", job_.step.c_str(),
                               found->identity.environment.c_str(), job_.environment.c_str());
      if (job_.repeatable)
        throw UsageError(text +
                         "; with --repeatable both have to be the same, since the bytes may differ. Go on there, " +
                         "without --repeatable, or from the start with --force " + job_.step);
      observer_.on_message(text + "; the result may differ by rounding from that of a run without a change");
    }
    if (found->identity.epochs != job_.settings.epochs)
      observer_.on_message(format(
          "%s: extended from %lld to %lld epochs. Its learning rate follows the longer schedule from here on, as "
          "small_until and own_input do, so the result is not that of %lld epochs in one go",
          job_.step.c_str(), static_cast<long long>(found->identity.epochs),
          static_cast<long long>(job_.settings.epochs), static_cast<long long>(job_.settings.epochs)));
    observer_.on_message(job_.step + ": going on after " + where);
    return found->position;
  }

  bool resume(bool from_its_start = false) {
    std::optional<TrainingPosition> found;
    if (is_first() && !from_its_start) found = load_state();
    if (job_.processes) {
      const auto text = job_.processes->broadcast(found ? position_to_json(*found) : "");
      if (text.empty()) return false;
      found = position_from_json(text);
      std::vector<torch::Tensor> tensors;
      for (const auto& [name, tensor] : state()) tensors.push_back(tensor);
      job_.processes->broadcast(tensors);
    }
    if (!found) return false;
    position_ = *found;
    // They may have been interrupted between the state and these.
    if (is_first()) write_logs(job_.folder, position_);
    return true;
  }

  // Back to the last state, with half the learning rate. Throws `error` where that is not to be done, or not any more.
  void rewind(const NotFiniteError& error) {
    const double factor = position_.rate_factor / 2;
    const int64_t rewinds = position_.rewinds + 1;
    if (job_.on_nonfinite != OnNonfinite::rewind) throw error;
    if (rewinds > kMostRewinds)
      throw DivergedError(std::string(error.what()) +
                          format("; given up after going back %lld times", static_cast<long long>(kMostRewinds)));
    observer_.on_message(std::string("warning: ") + error.what());
    resume();
    position_.rate_factor = factor;
    position_.rewinds = rewinds;
    observer_.on_message(format("%s: from here on with %g times the learning rate", job_.step.c_str(), factor));
    save();
  }

  // Of a batch of the current epoch, from 0.
  double rate_of(int64_t batch) const {
    return position_.rate_factor * schedule_.at(position_.epoch * loader_.batches_per_epoch() + batch);
  }

  // What is left of the epoch.
  void train_batches() {
    auto& sums = position_.sums;
    const int64_t batches = loader_.batches_per_epoch();
    if (position_.batch == 0) sums = {.losses = std::vector<double>(optimisers_.size(), 0)};
    if (position_.batch == batches) return;
    std::vector<double> step_seconds;
    task_.set_training_mode();
    loader_.start_epoch(position_.epoch, position_.batch);
    const int64_t side = side_in_epoch(job_.settings, position_.epoch, job_.train->height());
    auto start = Clock::now();
    while (auto batch = loader_.next()) {
      const auto step_start = Clock::now();
      batch->images = batch->images.to(device_);
      batch->labels = batch->labels.to(device_);
      if (side != batch->images.size(2)) {
        batch->full_size = batch->images;
        batch->images = resized_to(batch->images, side);
      }
      const auto result = step(*batch);
      for (size_t i = 0; i < result.losses.size(); ++i) sums.losses[i] += result.losses[i];
      sums.images += batch->whole;
      const bool judged = result.correct >= 0 && (position_.batch == 0 || sums.correct >= 0);
      sums.correct = judged ? std::max<int64_t>(sums.correct, 0) + result.correct : -1;
      ++position_.batch;
      step_seconds.push_back(seconds_since(step_start));
      const double seconds = seconds_since(start);
      start = Clock::now();
      sums.seconds += seconds;
      position_.seconds += seconds;
      report();
      if (const int stop = job_.processes ? result.stop : stop_asked_for(); stop != 0) {
        save_within_epoch(*batch);
        if (job_.processes) {  // nobody leaves before the first process has written
          std::vector<double> all_here{0};
          job_.processes->sum(all_here);
        }
        throw_stopped(stop);
      }
      if (job_.checkpoint.minutes > 0 && position_.batch < batches &&
          seconds_since(last_saved_) >= 60 * job_.checkpoint.minutes) {
        save_within_epoch(*batch);
        position_.seconds += seconds_since(start);
        start = Clock::now();
      }
    }
    TORCH_INTERNAL_ASSERT(position_.batch == batches);
    std::nth_element(step_seconds.begin(), step_seconds.begin() + step_seconds.size() / 2, step_seconds.end());
    position_.seconds_per_step = step_seconds[step_seconds.size() / 2];
  }

  void finish_epoch() {
    const auto start = Clock::now();
    const auto& sums = position_.sums;
    Metrics row{{"epoch", static_cast<double>(position_.epoch + 1)}, {"learning_rate", rate_of(position_.batch - 1)}};
    for (size_t i = 0; i < sums.losses.size(); ++i)
      row.emplace_back(sums.losses.size() == 1 ? "loss" : set_names_[i] + "_loss",
                       sums.losses[i] / static_cast<double>(position_.batch));
    if (sums.correct >= 0)
      row.emplace_back("train_percent", 100.0 * static_cast<double>(sums.correct) / static_cast<double>(sums.images));
    if (job_.processes) agree_on_statistics();
    require_finite_state();
    if (job_.validation && job_.validation->size() > 0)
      for (const auto& [name, value] : validate())  // one word for all that is not finite, as a state has it
        row.emplace_back("validation_" + name, std::isfinite(value) ? value : std::numeric_limits<double>::quiet_NaN());
    ++position_.epoch;
    position_.batch = 0;
    position_.rows.push_back(row);
    position_.times.push_back(
        {sums.seconds, static_cast<double>(sums.images) / sums.seconds,
         std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count()});
    position_.seconds += seconds_since(start);
    save();
    if (is_first()) write_logs(job_.folder, position_);
    observer_.on_epoch(job_.step, row);
  }

  // A stop in its midst leaves an epoch whose batches are all trained.
  Metrics validate() {
    observer_.on_phase(job_.step, "evaluate");
    try {
      const Averaged averaged(average_);
      return task_.evaluate(*job_.validation);
    } catch (const Error& error) {
      // Of a stop here, or in another process.
      if (error.exit_code() == ExitCode::interrupted || error.exit_code() == ExitCode::terminated) save();
      throw;
    }
  }

  // What a step came to, as plain numbers: reading them is what waits for a GPU, so it is done once.
  struct StepValues {
    std::vector<double> losses;
    int64_t correct;
    int stop = 0;  // with several processes: a signal that one of them had, so that all end behind this batch
  };

  StepValues step(const Batch& batch) {
    for (auto& optimiser : optimisers_) optimiser.zero_grad();
    const double batches = static_cast<double>(loader_.batches_per_epoch());
    const double done = (static_cast<double>(position_.epoch) + static_cast<double>(position_.batch) / batches) /
                        static_cast<double>(job_.settings.epochs);
    const double share = static_cast<double>(batch.labels.size(0)) / static_cast<double>(batch.whole);
    std::vector<torch::Tensor> losses;
    StepValues values{{}, -1};
    values.correct = task_.losses(batch, {position_.epoch, position_.batch, done}, [&](const torch::Tensor& loss) {
      losses.push_back(loss.detach());
      (job_.processes ? loss * share : loss).backward();
    });
    for (const auto& loss : losses) values.losses.push_back(loss.item<double>());
    if (job_.processes) add_up(values, share);
    require_finite_losses(values, batch);
    require_finite_gradients(batch);
    for (auto& optimiser : optimisers_) optimiser.step(rate_of(position_.batch));
    if (lookahead_) lookahead_->update();
    if (average_) average_->update();
    return values;
  }

  // Behind the backward pass of this process's share of a batch: gradients and values become those of the whole one.
  void add_up(StepValues& values, double share) {
    // Beside the values, whether anybody has been asked to stop: all have to do so behind the same batch.
    const int stop = stop_asked_for();
    std::vector<double> numbers{stop == SIGINT ? 1.0 : 0.0, stop != SIGINT && stop != 0 ? 1.0 : 0.0,
                                static_cast<double>(values.correct), values.correct < 0 ? 1.0 : 0.0};
    for (const double value : values.losses) numbers.push_back(share * value);
    job_.processes->sum(numbers);  // while gradients are still on their way, which have a connection of their own
    exchange_->finish();
    values.stop = numbers[0] > 0 ? SIGINT : numbers[1] > 0 ? SIGTERM : 0;
    values.correct = numbers[3] > 0 ? -1 : std::llround(numbers[2]);  // one share that is not judged is enough
    for (size_t i = 0; i < values.losses.size(); ++i) values.losses[i] = numbers[4 + i];
  }

  void require_finite_losses(const StepValues& values, const Batch& batch) const {
    for (size_t i = 0; i < values.losses.size(); ++i)
      if (!std::isfinite(values.losses[i]))
        refuse(format("the loss of %s is %g", set_names_[i].c_str(), values.losses[i]), &batch);
  }

  void require_finite_gradients(const Batch& batch) const {
    std::vector<std::pair<std::string, torch::Tensor>> gradients;
    for (const auto& [name, parameter] : parameters_)
      if (parameter.grad().defined()) gradients.emplace_back(name, parameter.grad());
    if (const auto name = first_not_finite(gradients); !name.empty())
      refuse("the gradient of " + name + " is not finite", &batch);
    // With several processes each has its own, of which the first one's count; agree_on_statistics hands them on.
    if (job_.processes) return;
    if (const auto name = first_not_finite(statistics_); !name.empty())
      refuse("the statistic " + name + " is not finite", &batch);
  }

  // Before an epoch's state is saved, whatever came into it.
  void require_finite_state() const {
    if (const auto name = first_not_finite(named_tensors(task_.student())); !name.empty())
      refuse(name + " is not finite", nullptr);
  }

  // batch: in which it was found; null: some time in the epoch.
  [[noreturn]] void refuse(const std::string& what, const Batch* batch) const {
    std::string images;
    if (batch) {
      images = " (" + images_text(*batch) + ")";
      if (is_first())
        write_nonfinite(job_.folder / "nonfinite.json",
                        {job_.step, what, position_.epoch + 1, position_.batch + 1, rate_of(position_.batch)}, *batch);
    }
    auto kept = states_.peek();
    if (kept && !StateFiles::fits(*kept, identity())) kept.reset();
    throw NotFiniteError(
        format("%s: %s in epoch %lld, batch %lld%s; expected a finite number. %s. Try a lower learning rate "
               "(%s.learning_rate is %g)%s",
               job_.step.c_str(), what.c_str(), static_cast<long long>(position_.epoch + 1),
               static_cast<long long>(position_.batch + (batch ? 1 : 0)), images.c_str(),
               kept ? ("The state after " + kept->position.text(kept->identity.epochs) + " is kept").c_str()
                    : "There is no state before it",
               (job_.section.empty() ? job_.step : job_.section).c_str(), job_.settings.learning_rate,
               job_.on_nonfinite == OnNonfinite::rewind ? " or runtime.precision = \"fp32\""
                                                        : ", runtime.precision = \"fp32\", or --on-nonfinite=rewind"));
  }

  void report() {
    const auto& sums = position_.sums;
    const int64_t batches = loader_.batches_per_epoch();
    const auto trained = static_cast<double>(position_.batch);
    Progress progress;
    progress.step = job_.step;
    progress.epoch = position_.epoch + 1;
    progress.epochs = job_.settings.epochs;
    progress.batch = position_.batch;
    progress.batches = batches;
    for (const double sum : sums.losses) progress.loss += sum / trained;
    if (sums.correct >= 0)
      progress.accuracy_percent = 100.0 * static_cast<double>(sums.correct) / static_cast<double>(sums.images);
    progress.images_per_second = static_cast<double>(sums.images) / sums.seconds;
    const double epochs_left = epochs_of_work_left(job_.settings, position_.epoch,
                                                   trained / static_cast<double>(batches), job_.train->height());
    progress.seconds_left_in_step = epochs_left * static_cast<double>(batches) * sums.seconds / trained;
    observer_.on_progress(progress);
  }

  Task& task_;
  const TrainJob& job_;
  Observer& observer_;
  Loader loader_;
  LearningRateSchedule schedule_;
  torch::Device device_;
  StateFiles states_;
  std::vector<std::string> set_names_;
  NamedTensors parameters_, statistics_;
  std::vector<Optimiser> optimisers_;
  std::optional<MovingAverage> average_;
  std::optional<Lookahead> lookahead_;
  std::optional<GradientExchange> exchange_;
  TrainingPosition position_;
  Clock::time_point last_saved_ = Clock::now();
};

}  // namespace

torch::Dtype activation_type(const RuntimeSettings& runtime) {
  return runtime.precision == "bf16" ? torch::kBFloat16 : torch::kFloat32;
}

TrainOutcome train(Task& task, const TrainJob& job, Observer& observer) {
  if (!job.processes || job.processes->is_first()) make_folder(job.folder);
  return Training(task, job, observer).run();
}

}  // namespace mfi
