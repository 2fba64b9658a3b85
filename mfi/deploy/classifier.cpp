#include "mfi/deploy/classifier.h"

#include <algorithm>

#include "mfi/core/all_cores.h"
#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/data/augment.h"
#include "mfi/formats/resize.h"
#include "mfi/nn/fold.h"
#include "mfi/train/checkpoint.h"

namespace mfi {
namespace {

RgbImage read_picture(const std::filesystem::path& file) { return decode_picture(read_file(file), file.string()); }

}  // namespace

struct Classifier::State {
  ModelInfo info;
  std::shared_ptr<Network> network;  // folded
  torch::Dtype dtype;

  int64_t image_size() const { return network->arch().image_size; }

  torch::Tensor make_batch(size_t pictures) const {
    return torch::zeros({static_cast<int64_t>(pictures), 3, image_size(), image_size()}, torch::kUInt8);
  }

  // Writes a picture into its place in a batch.
  void put(const RgbImage& picture, const torch::Tensor& batch, size_t place) const {
    write_planes(fitted(picture, image_size(), info.crop, resize_filter(info.resize)),
                 batch.mutable_data_ptr<uint8_t>() + static_cast<int64_t>(place) * 3 * image_size() * image_size());
  }

  std::vector<std::vector<Prediction>> predict(const torch::Tensor& batch, int64_t top) const {
    torch::NoGradGuard no_grad;
    const auto logits = network->forward(normalise(batch, info.normalisation, dtype));
    const auto [best, classes] = logits.softmax(1).topk(std::clamp<int64_t>(top, 1, logits.size(1)), 1);
    std::vector<std::vector<Prediction>> out(static_cast<size_t>(batch.size(0)));
    for (int64_t i = 0; i < batch.size(0); ++i)
      for (int64_t k = 0; k < best.size(1); ++k) {
        const auto index = classes[i][k].item<int64_t>();
        out[static_cast<size_t>(i)].push_back(
            {index, info.class_names.at(static_cast<size_t>(index)), best[i][k].item<double>()});
      }
    return out;
  }
};

Classifier Classifier::load(const std::filesystem::path& model_file, ClassifierPrecision precision) {
  return Classifier(load_model(model_file), precision);
}

Classifier::Classifier(const Model& model, ClassifierPrecision precision)
    : state_(
          std::make_shared<State>(State{model.info, fold(*model.network),
                                        precision == ClassifierPrecision::bf16 ? torch::kBFloat16 : torch::kFloat32})) {
}

const std::vector<std::string>& Classifier::class_names() const { return state_->info.class_names; }

std::vector<Prediction> Classifier::classify(const RgbImage& picture, int64_t top) const {
  const auto batch = state_->make_batch(1);
  state_->put(picture, batch, 0);
  return state_->predict(batch, top)[0];
}

std::vector<Prediction> Classifier::classify(const std::filesystem::path& picture_file, int64_t top) const {
  return classify(read_picture(picture_file), top);
}

std::vector<FilePredictions> Classifier::classify_files(const std::vector<std::filesystem::path>& files,
                                                        int64_t top) const {
  std::vector<FilePredictions> out(files.size());
  if (files.empty()) return out;
  const auto batch = state_->make_batch(files.size());
  on_all_cores(files.size(), [&](size_t i) {
    out[i].file = files[i];
    try {
      state_->put(read_picture(files[i]), batch, i);
    } catch (const Error& error) {
      out[i].problem = error.what();
    }
  });
  auto predictions = state_->predict(batch, top);
  for (size_t i = 0; i < out.size(); ++i)
    if (out[i].problem.empty()) out[i].predictions = std::move(predictions[i]);
  return out;
}

}  // namespace mfi
