#include "mfi/train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
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
        device_(job.runtime.device) {
    for (const auto& set : task.parameter_sets()) {
      set_names_.push_back(set.name);
      optimisers_.emplace_back(set, job.settings);
    }
    if (job.settings.ema > 0) average_.emplace(task.student(), job.settings.ema);
  }

  TrainOutcome run() {
    resume();
    while (epoch_ < job_.settings.epochs) {
      const auto start = Clock::now();
      auto row = run_epoch();
      ++epoch_;
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

  void save() const {
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

  void resume() {
    if (!std::filesystem::exists(state_file())) return;
    const auto metadata = read_safetensors_metadata(state_file());
    const auto found = metadata.find("mfi.fingerprint");
    if (found == metadata.end() || found->second != job_.fingerprint) {
      observer_.on_message(job_.step + ": settings or inputs have changed since it was interrupted; starting it anew");
      return;
    }
    load_tensors(state_file(), state());
    const auto position = nlohmann::json::parse(metadata.at("mfi.position"));
    epoch_ = position.at("epoch");
    outcome_.seconds = position.at("seconds");
    outcome_.seconds_per_step = position.at("seconds_per_step");
    outcome_.rows = metrics_from_json(metadata.at("mfi.metrics"));
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
      throw_if_stopped();
      const auto step_start = Clock::now();
      batch->images = batch->images.to(device_);
      batch->labels = batch->labels.to(device_);
      rate = schedule_.at(epoch_ * batches + batch_index);
      const auto result = step(*batch, batch_index, rate);
      for (size_t i = 0; i < result.losses.size(); ++i) loss_sums[i] += result.losses[i];
      images += batch->labels.size(0);
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
    for (size_t i = 0; i < result.losses.size(); ++i) {
      const double value = result.losses[i].item<double>();
      if (!std::isfinite(value))
        throw DivergedError(format(
            "%s: the loss of %s is %g in epoch %lld, batch %lld; expected a finite number. The state after epoch %lld "
            "is kept. Try a lower learning rate (%s.learning_rate is %g) or runtime.precision = \"fp32\"",
            job_.step.c_str(), set_names_[i].c_str(), value, static_cast<long long>(epoch_ + 1),
            static_cast<long long>(batch_index + 1), static_cast<long long>(epoch_), job_.step.c_str(),
            job_.settings.learning_rate));
      values.losses.push_back(value);
      total = total.defined() ? total + result.losses[i] : result.losses[i];
    }
    total.backward();
    for (auto& optimiser : optimisers_) optimiser.step(rate);
    if (average_) average_->update();
    return values;
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
  int64_t epoch_ = 0;  // epochs finished
  TrainOutcome outcome_;
};

}  // namespace

torch::Dtype activation_type(const RuntimeSettings& runtime) {
  return runtime.precision == "bf16" ? torch::kBFloat16 : torch::kFloat32;
}

TrainOutcome train(Task& task, const TrainJob& job, Observer& observer) {
  make_folder(job.folder);
  return Training(task, job, observer).run();
}

}  // namespace mfi
