// A stage that takes a few steps along a learned mean velocity instead of many residual blocks.
//
// Time 1 is the aligned stage input z1 = ReLU(BN(conv(x))), time 0 the stage's output.
#pragma once

#include <memory>
#include <vector>

#include "mfi/nn/arch.h"
#include "mfi/nn/part.h"

namespace mfi {

/// An interval of path time, 0 <= r < t <= 1.
struct Interval {
  double r = 0, t = 1;
};

/// The mean-velocity network u(z, r, t): `enter` C->h, `middle0..` h->h, `leave` h->C, ReLU between. Of these only the
/// middle sees neighbouring pixels: depth * dilation * (kernel / 2) of them in each direction (pointwise: none).
///
/// A linear layer of (r, t - r) gives the biases of enter and middle. `leave` starts at zero, so an
/// untrained stage hands on its aligned input. Since (r, t) is fixed at inference, the folded network
/// has those biases as plain parameters, one row for each step that the module takes.
class VelocityNetwork : public torch::nn::Module {
 public:
  /// folded_steps: 0, or the number of steps whose biases a folded network keeps.
  VelocityNetwork(int64_t channels, const FlowArch& arch, int64_t folded_steps);

  /// z: [N, C, H, W]; r, t: float [N] or [1]. Returns [N, C, H, W] of z's type. Not when folded.
  torch::Tensor forward(const torch::Tensor& z, const torch::Tensor& r, const torch::Tensor& t) const;

  /// du/dz * v + du/dt at (z, r, t), without gradient; v: as z. Not when folded.
  ///
  /// z and its tangent v pass through the same convolutions side by side, as one batch of twice the size,
  /// and through the same ReLUs: where z's value is cut off, so is the tangent. The biases' tangent is what
  /// time_weight has for t - r. Checked against LibTorch's forward-mode differentiation.
  torch::Tensor total_derivative(const torch::Tensor& z, const torch::Tensor& v, const torch::Tensor& r,
                                 const torch::Tensor& t) const;

  /// The same as forward with the folded biases of step `step`. Only when folded.
  torch::Tensor forward_folded(const torch::Tensor& z, int64_t step) const;

  /// length * u(z) with these biases [1, (depth + 1) * h]; length: float []. Its gradient is float32, whatever type z
  /// has: the length scales the weights of `leave`, and not what they give.
  torch::Tensor displacement(const torch::Tensor& z, const torch::Tensor& biases, const torch::Tensor& length) const;

  /// Biases of enter and middle for times r, t: float [N, (depth + 1) * h].
  torch::Tensor time_biases(const torch::Tensor& r, const torch::Tensor& t) const;

  const std::vector<std::shared_ptr<Convolution>>& convs() const { return convs_; }  // enter, middle, leave

  torch::Tensor time_weight;  // [(depth + 1) * h, 2]; undefined when folded
  torch::Tensor time_bias;    // [(depth + 1) * h], or [folded_steps, (depth + 1) * h]

 private:
  torch::Tensor until_leave(const torch::Tensor& z, const torch::Tensor& biases) const;

  int64_t hidden_;
  std::vector<std::shared_ptr<Convolution>> convs_;
};

/// One step through a flow stage: from time t down to r = t - length.
struct TimeStep {
  double r = 0, t = 1, length = 1;
};

/// Alignment, then steps from time 1 to time 0, of equal length or of lengths that are learned.
class FlowStage : public Part {
 public:
  FlowStage(const StageArch& arch, bool folded);

  /// The stage's output after the Arch's number of steps.
  torch::Tensor forward(const torch::Tensor& x) override;

  /// z1 = ReLU(BN(conv(x))), of means of x's pixels where the Arch downsamples by average.
  torch::Tensor align(const torch::Tensor& x) const;

  /// z0 from z1 in `steps` steps, a multiple of the modules: z <- z - (t - r) u(z, r, t). In the Arch's number of steps
  /// these are as long as was learned; in another number, parts of equal length of each module's interval.
  torch::Tensor integrate(const torch::Tensor& z1, int64_t steps) const;

  /// These steps, as they are now. Learned lengths are read: on a GPU that waits for it.
  std::vector<TimeStep> time_steps(int64_t steps) const;

  /// Times between which each module moves: with n modules [1 - (i + 1) / n, 1 - i / n], but where a module's own steps
  /// begin and end if their lengths are learned. They are read then, as above.
  std::vector<Interval> module_intervals() const;

  /// float [steps], where lengths are learned, else undefined. Not folded: step_logits, whose softmax is the lengths of
  /// the steps from time 1 on; zeros, equal lengths, before any training. Folded: step_lengths, these lengths.
  torch::Tensor step_logits, step_lengths;

  const FlowArch& arch() const { return arch_; }
  const std::shared_ptr<ConvNorm>& alignment() const { return alignment_; }
  const std::vector<std::shared_ptr<VelocityNetwork>>& velocities() const { return velocities_; }

 private:
  void require_steps(int64_t steps) const;
  torch::Tensor integrate_learned(const torch::Tensor& z1) const;

  FlowArch arch_;
  bool folded_;
  int64_t pooling_;  // pixels along a side that become one before the alignment; 1: none
  std::shared_ptr<ConvNorm> alignment_;
  std::vector<std::shared_ptr<VelocityNetwork>> velocities_;
};

/// Whether pixels become means before the alignment's convolution: where a stage has a stride to be taken so.
bool pools_first(const StageArch& stage);

/// Shape of a flow stage's alignment.
ConvShape alignment_shape(const StageArch& stage);

/// Shapes of a velocity network's convolutions: enter, middle, leave.
std::vector<ConvShape> velocity_shapes(int64_t channels, const FlowArch& arch);

}  // namespace mfi
