#include "mfi/train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/stop_signal.h"
#include "mfi/core/text.h"
#include "mfi/formats/safetensors.h"
#include "mfi/nn/network.h"
#include "mfi/train/checkpoint.h"
#include "mfi/train/gradient_exchange.h"
#include "mfi/train/metrics_file.h"
#include "mfi/train/moving_average.h"
#include "mfi/train/optimiser.h"
#include "mfi/train/schedule.h"

namespace mfi {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

LoaderSettings loader_settings(const TrainJob& job) {
  LoaderSettings out;
  out.batch_size = job.settings.batch_size;
  out.augment = job.settings.augment;
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
          job.step.c_str(), static_cast<long long>(out.batch_size), static_cast<long long>(job.train->size()),
          static_cast<long long>(out.share.count)));
  }
  return out;
}

// One training in progress: what the checkpoint holds, and the loop over it.
class Training {
 public:
  Training(Task& task, const TrainJob& job, Observer& observer)
      : task_(task),
        job_(job),
        observer_(observer),
        loader_(*job.train, loader_settings(job)),
        schedule_(job.settings, loader_.batches_per_epoch()),
        device_(job.processes ? job.processes->device(job.runtime.device) : torch::Device(job.runtime.device)) {
    std::vector<torch::Tensor> parameters;
    for (const auto& set : task.parameter_sets()) {
      set_names_.push_back(set.name);
      optimisers_.emplace_back(set, job.settings);
      for (const auto& [name, parameter] : set.parameters) parameters.push_back(parameter);
    }
    if (job.processes) exchange_.emplace(parameters, *job.processes);
    if (job.settings.ema > 0) average_.emplace(task.student(), job.settings.ema);
  }

  TrainOutcome run() {
    resume();
    while (epoch_ < job_.settings.epochs) {
      const auto start = Clock::now();
      auto row = run_epoch();
      ++epoch_;
      if (job_.processes) agree_on_statistics();
      if (job_.validation && job_.validation->size() > 0) {
        if (average_) average_->swap();
        for (const auto& [name, value] : task_.evaluate(*job_.validation))
          row.emplace_back("validation_" + name, value);
        if (average_) average_->swap();
      }
      outcome_.seconds += seconds_since(start);
      outcome_.rows.push_back(row);
      save();
      observer_.on_epoch(job_.step, row);
    }
    if (average_) average_->swap();
    task_.student().eval();
    return outcome_;
  }

 private:
  std::filesystem::path state_file() const { return job_.folder / "state.safetensors"; }

  NamedTensors state() const {
    NamedTensors out;
    const auto add = [&](const std::string& prefix, const NamedTensors& tensors) {
      for (const auto& [name, tensor] : tensors) out.emplace_back(prefix + name, tensor);
    };
    add("student.", named_tensors(task_.student()));
    for (const auto& optimiser : optimisers_) add("optimiser.", optimiser.state());
    if (average_) add("average.", average_->state());
    return out;
  }

  bool is_first() const { return !job_.processes || job_.processes->is_first(); }

  // Weights are the same in all processes by themselves; what batch norms have seen is not.
  void agree_on_statistics() {
    std::vector<torch::Tensor> tensors = task_.student().buffers();
    if (average_)
      for (const auto& [name, tensor] : average_->state()) tensors.push_back(tensor);
    job_.processes->broadcast(tensors);
  }

  void save() const {
    if (!is_first()) return;
    save_tensors(state_file(), state(),
                 {{"mfi.format", "state-1"},
                  {"mfi.fingerprint", job_.fingerprint},
                  {"mfi.position", nlohmann::json{{"epoch", epoch_},
                                                  {"seed", job_.seed},
                                                  {"seconds", outcome_.seconds},
                                                  {"seconds_per_step", outcome_.seconds_per_step}}
                                       .dump()},
                  {"mfi.metrics", metrics_to_json(outcome_.rows)}});
    write_metrics_csv(job_.folder / "metrics.csv", outcome_.rows);
  }

  // Puts a saved state into place; its position and its metrics, or nothing when there is none.
  std::optional<std::pair<std::string, std::string>> load_state() {
    if (!std::filesystem::exists(state_file())) return std::nullopt;
    const auto metadata = read_safetensors_metadata(state_file());
    const auto found = metadata.find("mfi.fingerprint");
    if (found == metadata.end() || found->second != job_.fingerprint) {
      observer_.on_message(job_.step + ": settings or inputs have changed since it was interrupted; starting it anew");
      return std::nullopt;
    }
    load_tensors(state_file(), state());
    return std::pair(metadata.at("mfi.position"), metadata.at("mfi.metrics"));
  }

  void resume() {
    std::optional<std::pair<std::string, std::string>> found;
    if (is_first()) found = load_state();
    if (job_.processes) {
      const auto position = job_.processes->broadcast(found ? found->first : "");
      if (position.empty()) return;
      found = {position, job_.processes->broadcast(found ? found->second : "")};
      std::vector<torch::Tensor> tensors;
      for (const auto& [name, tensor] : state()) tensors.push_back(tensor);
      job_.processes->broadcast(tensors);
    }
    if (!found) return;
    const auto position = nlohmann::json::parse(found->first);
    epoch_ = position.at("epoch");
    outcome_.seconds = position.at("seconds");
    outcome_.seconds_per_step = position.at("seconds_per_step");
    outcome_.rows = metrics_from_json(found->second);
    observer_.on_message(format("%s: going on after epoch %lld of %lld", job_.step.c_str(),
                                static_cast<long long>(epoch_), static_cast<long long>(job_.settings.epochs)));
  }

  Metrics run_epoch() {
    const int64_t batches = loader_.batches_per_epoch();
    const auto start = Clock::now();
    std::vector<double> loss_sums(optimisers_.size(), 0), step_seconds;
    int64_t images = 0, correct = 0, batch_index = 0;
    bool classifies = false;
    double rate = 0;
    task_.set_training_mode();
    loader_.start_epoch(epoch_);
    for (auto batch = loader_.next(); batch; batch = loader_.next(), ++batch_index) {
      if (!job_.processes) throw_if_stopped();  // else step() finds it out, for all of them
      const auto step_start = Clock::now();
      batch->images = batch->images.to(device_);
      batch->labels = batch->labels.to(device_);
      rate = schedule_.at(epoch_ * batches + batch_index);
      const auto result = step(*batch, batch_index, rate);
      for (size_t i = 0; i < result.losses.size(); ++i) loss_sums[i] += result.losses[i];
      images += batch->whole;
      classifies = result.correct >= 0;
      correct += std::max<int64_t>(result.correct, 0);
      step_seconds.push_back(seconds_since(step_start));
      report(batch_index + 1, batches, loss_sums, images, classifies ? correct : -1, seconds_since(start));
    }
    std::nth_element(step_seconds.begin(), step_seconds.begin() + step_seconds.size() / 2, step_seconds.end());
    outcome_.seconds_per_step = step_seconds[step_seconds.size() / 2];

    const double seconds = seconds_since(start), steps = static_cast<double>(batch_index);
    Metrics row{{"epoch", static_cast<double>(epoch_ + 1)}, {"learning_rate", rate}};
    for (size_t i = 0; i < loss_sums.size(); ++i)
      row.emplace_back(loss_sums.size() == 1 ? "loss" : set_names_[i] + "_loss", loss_sums[i] / steps);
    if (classifies)
      row.emplace_back("train_percent", 100.0 * static_cast<double>(correct) / static_cast<double>(images));
    row.emplace_back("seconds", seconds);
    row.emplace_back("images_per_second", static_cast<double>(images) / seconds);
    return row;
  }

  // What a step came to, as plain numbers: reading them is what waits for a GPU, so it is done once.
  struct StepValues {
    std::vector<double> losses;
    int64_t correct;
  };

  StepValues step(const Batch& batch, int64_t batch_index, double rate) {
    for (auto& optimiser : optimisers_) optimiser.zero_grad();
    const auto result = task_.step(batch, {epoch_, batch_index});
    StepValues values{{}, result.correct};
    torch::Tensor total;
    for (const auto& loss : result.losses) {
      values.losses.push_back(loss.item<double>());
      total = total.defined() ? total + loss : loss;
    }
    if (job_.processes) {
      backward_together(total, batch, values);
      refuse_divergence(values, batch_index);
    } else {
      refuse_divergence(values, batch_index);
      total.backward();
    }
    for (auto& optimiser : optimisers_) optimiser.step(rate);
    if (average_) average_->update();
    return values;
  }

  // The backward pass of this process's share, so that gradients and values become those of the whole batch.
  void backward_together(const torch::Tensor& loss, const Batch& batch, StepValues& values) {
    const double weight = static_cast<double>(batch.labels.size(0)) / static_cast<double>(batch.whole);
    // Beside the values, whether anybody has been asked to stop: all have to do so behind the same batch.
    const int stop = stop_asked_for();
    std::vector<double> numbers{stop == SIGINT ? 1.0 : 0.0, stop == SIGTERM ? 1.0 : 0.0,
                                static_cast<double>(values.correct)};
    for (const double value : values.losses) numbers.push_back(weight * value);
    const auto sums = torch::tensor(numbers, torch::kFloat64);
    const auto pending = job_.processes->sum_later(sums);
    (loss * weight).backward();
    exchange_->finish();
    job_.processes->wait(pending);
    const auto* sum = sums.const_data_ptr<double>();
    if (sum[0] > 0) throw_stopped(SIGINT);
    if (sum[1] > 0) throw_stopped(SIGTERM);
    if (values.correct >= 0) values.correct = std::llround(sum[2]);
    for (size_t i = 0; i < values.losses.size(); ++i) values.losses[i] = sum[3 + i];
  }

  void refuse_divergence(const StepValues& values, int64_t batch_index) const {
    for (size_t i = 0; i < values.losses.size(); ++i)
      if (!std::isfinite(values.losses[i]))
        throw DivergedError(format(
            "%s: the loss of %s is %g in epoch %lld, batch %lld; expected a finite number. The state after epoch %lld "
            "is kept. Try a lower learning rate (%s.learning_rate is %g) or runtime.precision = \"fp32\"",
            job_.step.c_str(), set_names_[i].c_str(), values.losses[i], static_cast<long long>(epoch_ + 1),
            static_cast<long long>(batch_index + 1), static_cast<long long>(epoch_), job_.step.c_str(),
            job_.settings.learning_rate));
  }

  void report(int64_t batch, int64_t batches, const std::vector<double>& loss_sums, int64_t images, int64_t correct,
              double seconds) {
    Progress progress;
    progress.step = job_.step;
    progress.epoch = epoch_ + 1;
    progress.epochs = job_.settings.epochs;
    progress.batch = batch;
    progress.batches = batches;
    for (const double sum : loss_sums) progress.loss += sum / static_cast<double>(batch);
    if (correct >= 0) progress.accuracy_percent = 100.0 * static_cast<double>(correct) / static_cast<double>(images);
    progress.images_per_second = static_cast<double>(images) / seconds;
    const double epochs_left =
        static_cast<double>(job_.settings.epochs - epoch_) - static_cast<double>(batch) / static_cast<double>(batches);
    progress.seconds_left_in_step = epochs_left * static_cast<double>(batches) * seconds / static_cast<double>(batch);
    observer_.on_progress(progress);
  }

  Task& task_;
  const TrainJob& job_;
  Observer& observer_;
  Loader loader_;
  LearningRateSchedule schedule_;
  torch::Device device_;
  std::vector<std::string> set_names_;
  std::vector<Optimiser> optimisers_;
  std::optional<MovingAverage> average_;
  std::optional<GradientExchange> exchange_;
  int64_t epoch_ = 0;  // epochs finished
  TrainOutcome outcome_;
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
