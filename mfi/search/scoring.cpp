#include "mfi/search/scoring.h"

#include <algorithm>
#include <cmath>

#include "mfi/core/stop_signal.h"
#include "mfi/nn/fold.h"
#include "mfi/train/evaluate.h"

namespace mfi {
namespace {

constexpr double kNoAnswer = 1000;  // nats, of answers that are not finite

// Candidates see the teacher's features in eval mode: their batch norms use the statistics that they have learnt.
class Scorer {
 public:
  Scorer(const Network& teacher, const CandidateSet& candidates) : teacher_(fold(teacher)), candidates_(candidates) {
    teacher_->eval();
    const auto& all = candidates.candidates();
    for (size_t stage = 0; stage < all.size(); ++stage) {
      sums_.single.emplace_back(all[stage].size(), 0);
      combinations_ += static_cast<int64_t>(all[stage].size()) - 1;
      if (stage + 1 == all.size()) continue;
      sums_.pair.emplace_back(all[stage].size(), std::vector<double>(all[stage + 1].size(), 0));
      combinations_ += static_cast<int64_t>((all[stage].size() - 1) * (all[stage + 1].size() - 1));
    }
  }

  void add(const torch::Tensor& images, const std::function<void()>& done_one) {
    const auto features = teacher_->features(images);
    const auto target = at::log_softmax(run_head(features.back()), 1);
    for (size_t stage = 0; stage < sums_.single.size(); ++stage)
      for (size_t a = 0; !candidates_.is_teachers(stage, a); ++a) {
        const auto output = candidates_.part(stage, a)->forward(features[stage]);
        sums_.single[stage][a] += divergence(target, output, stage);
        done_one();
        for (size_t b = 0; stage + 1 < sums_.single.size() && !candidates_.is_teachers(stage + 1, b); ++b) {
          throw_if_stopped();
          sums_.pair[stage][a][b] += divergence(target, candidates_.part(stage + 1, b)->forward(output), stage + 1);
          done_one();
        }
      }
    images_ += images.size(0);
  }

  int64_t combinations() const { return combinations_; }

  Divergences means() const {
    auto out = sums_;
    const auto count = static_cast<double>(images_);
    for (auto& stage : out.single)
      for (auto& sum : stage) sum /= count;
    for (size_t stage = 0; stage < out.pair.size(); ++stage)
      for (size_t a = 0; a < out.pair[stage].size(); ++a)
        for (size_t b = 0; b < out.pair[stage][a].size(); ++b) {
          auto& pair = out.pair[stage][a][b];
          // Beside the teacher's own stage a candidate is alone.
          if (candidates_.is_teachers(stage, a))
            pair = out.single[stage + 1][b];
          else if (candidates_.is_teachers(stage + 1, b))
            pair = out.single[stage][a];
          else
            pair /= count;
        }
    return out;
  }

 private:
  torch::Tensor run_head(const torch::Tensor& x) const {
    return teacher_->run(x, teacher_->part_count() - 1, teacher_->part_count());
  }

  // Sum over the images, with the teacher's stages behind `stage`.
  double divergence(const torch::Tensor& target, const torch::Tensor& stage_output, size_t stage) const {
    const auto logits = teacher_->run(stage_output, stage + 2, teacher_->part_count());
    const auto sum =
        at::kl_div(at::log_softmax(logits, 1), target, at::Reduction::Sum, /*log_target=*/true).item<double>();
    // The worst there can be, and no reason to end a search.
    return std::isfinite(sum) ? sum : kNoAnswer * static_cast<double>(target.size(0));
  }

  std::shared_ptr<Network> teacher_;
  const CandidateSet& candidates_;
  Divergences sums_;
  int64_t images_ = 0, combinations_ = 0;
};

}  // namespace

double mean_divergence(const torch::Tensor& teacher_logits, const torch::Tensor& logits) {
  const auto target = at::log_softmax(teacher_logits, 1);
  const auto each = at::kl_div(at::log_softmax(logits, 1), target, at::Reduction::None, /*log_target=*/true).sum(1);
  // Of answers that are the same but for rounding it may be a hair below 0.
  return std::max(0.0, at::where(each.isfinite(), each, kNoAnswer).mean().item<double>());
}

Divergences score(const Network& teacher, const CandidateSet& candidates, const Dataset& data,
                  const Normalisation& normalisation, torch::Dtype dtype, const ScoringProgress& progress) {
  torch::NoGradGuard no_grad;
  Scorer scorer(teacher, candidates);
  constexpr int64_t kBatch = 250;
  const int64_t all = scorer.combinations() * ((data.size() + kBatch - 1) / kBatch);
  int64_t done = 0;
  auto loader = evaluation_loader(data, normalisation, dtype, nullptr, kBatch);
  loader.start_epoch(0);
  const auto device = teacher.parameters().front().device();
  while (const auto batch = loader.next())
    scorer.add(batch->images.to(device), [&] {
      if (progress) progress(++done, all);
    });
  return scorer.means();
}

}  // namespace mfi
