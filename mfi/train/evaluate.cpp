#include "mfi/train/evaluate.h"

#include <cmath>
#include <optional>
#include <vector>

#include "mfi/core/error.h"
#include "mfi/core/stop_signal.h"
#include "mfi/nn/fold.h"

namespace mfi {

Loader evaluation_loader(const Dataset& data, const Normalisation& normalisation, torch::Dtype dtype,
                         const Processes* processes, int64_t batch_size) {
  LoaderSettings settings;
  if (processes) settings.share = processes->share();
  settings.batch_size = batch_size;
  settings.shuffle = settings.augment = settings.drop_last = false;
  settings.dtype = dtype;
  settings.normalisation = normalisation;
  return Loader(data, settings);
}

namespace {

void require_same_classes(const Network& network, const Dataset& data) {
  if (static_cast<int64_t>(data.class_names.size()) != network.arch().classes)
    throw DataError("the dataset has " + std::to_string(data.class_names.size()) + " classes, the network " +
                    std::to_string(network.arch().classes) + "; they must be the same");
}

// What is answered to the images of a dataset, of which this process may see but a share.
class AnswerSheet {
 public:
  AnswerSheet(const Dataset& data, const LoaderSettings& loader)
      : labels_(data.labels.to(torch::kInt64).contiguous()),
        loader_(loader),
        size_(static_cast<size_t>(data.size())),
        values_(2 * size_) {}

  // The logits of the next batch's share. Only of the last batch a process may have none.
  void add(const torch::Tensor& logits) {
    const auto [probability, best] = logits.softmax(1, torch::kFloat32).max(1);
    const auto probabilities = probability.to(torch::kCPU).contiguous(), classes = best.to(torch::kCPU).contiguous();
    for (int64_t i = 0; i < classes.size(0); ++i) {
      const auto image = static_cast<size_t>(first_ + loader_.share.index + i * loader_.share.count);
      values_[image] = static_cast<double>(classes.const_data_ptr<int64_t>()[i]);
      values_[size_ + image] = probabilities.const_data_ptr<float>()[i];
    }
    first_ += loader_.batch_size;
  }

  // Every image is in one process's share, and zero in all others.
  Answers whole(Processes* processes) {
    if (processes) processes->sum(values_);
    Answers out;
    for (size_t i = 0; i < size_; ++i) {
      out.classes.push_back(std::llround(values_[i]));
      out.probabilities.push_back(static_cast<float>(values_[size_ + i]));
      out.labels.push_back(labels_.const_data_ptr<int64_t>()[i]);
    }
    return out;
  }

 private:
  torch::Tensor labels_;
  LoaderSettings loader_;
  size_t size_;
  std::vector<double> values_;  // classes, and then probabilities
  int64_t first_ = 0;           // image of the next batch
};

}  // namespace

torch::Tensor classifier_logits(const Network& network, const Dataset& data, const Normalisation& normalisation,
                                torch::Dtype dtype) {
  require_same_classes(network, data);
  torch::NoGradGuard no_grad;
  const auto folded = fold(network);
  const auto device = folded->parameters().front().device();
  std::vector<torch::Tensor> logits;
  auto loader = evaluation_loader(data, normalisation, dtype, nullptr);
  loader.start_epoch(0);
  while (const auto batch = loader.next()) {
    throw_if_stopped();
    logits.push_back(folded->forward(batch->images.to(device)).to(torch::kCPU));
  }
  return torch::cat(logits);
}

double calibration_error_percent(const torch::Tensor& logits, const torch::Tensor& labels) {
  constexpr int64_t kRanges = 15;
  const auto [confidence, best] = logits.to(torch::kFloat64).softmax(1).max(1);
  const auto right = best.eq(labels).to(torch::kFloat64);
  const auto range = (confidence * kRanges).ceil().clamp(1, kRanges) - 1;
  double error = 0;
  for (int64_t i = 0; i < kRanges; ++i) {
    const auto mine = range.eq(i);
    if (!mine.any().item<bool>()) continue;
    error += (confidence.masked_select(mine) - right.masked_select(mine)).sum().abs().item<double>();
  }
  return 100 * error / static_cast<double>(labels.size(0));
}

Accuracy evaluate_classifier(const Network& network, const Dataset& data, const Normalisation& normalisation,
                             torch::Dtype dtype, Processes* processes, Answers* answers) {
  require_same_classes(network, data);
  torch::NoGradGuard no_grad;
  const auto folded = fold(network);
  const auto device = folded->parameters().front().device();
  Accuracy out;
  double loss = 0;
  int64_t correct = 0;
  auto loader = evaluation_loader(data, normalisation, dtype, processes);
  std::optional<AnswerSheet> sheet;
  if (answers) sheet.emplace(data, loader.settings());
  loader.start_epoch(0);
  while (const auto batch = loader.next()) {
    throw_if_stopped();
    const auto labels = batch->labels.to(device);
    const auto logits = folded->forward(batch->images.to(device));
    if (sheet) sheet->add(logits);
    loss += at::cross_entropy_loss(logits, labels, {}, at::Reduction::Sum).item<double>();
    correct += logits.argmax(1).eq(labels).sum().item<int64_t>();
    out.images += labels.size(0);
  }
  if (processes) {
    std::vector<double> sums{loss, static_cast<double>(correct), static_cast<double>(out.images)};
    processes->sum(sums);
    loss = sums[0];
    correct = std::llround(sums[1]);
    out.images = std::llround(sums[2]);
  }
  if (sheet) *answers = sheet->whole(processes);
  out.top1_percent = 100.0 * static_cast<double>(correct) / static_cast<double>(out.images);
  out.loss = loss / static_cast<double>(out.images);
  return out;
}

}  // namespace mfi
