// A whole network, built from its Arch.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "mfi/nn/arch.h"
#include "mfi/nn/blocks.h"
#include "mfi/nn/flow_stage.h"
#include "mfi/nn/part.h"

namespace mfi {

/// Convolution, batch norm, ReLU; and pooling, for ImageNet.
class Stem : public Part {
 public:
  explicit Stem(const Arch& arch);
  torch::Tensor forward(const torch::Tensor& x) override;
  std::shared_ptr<ConvNorm> conv;

 private:
  StemKind kind_;
};

/// Of the stem's convolution.
ConvShape stem_shape(const Arch& arch);

/// Global average pool and a linear layer, in float32 (float64 stays). Returns logits [N, classes].
class Head : public Part {
 public:
  Head(int64_t features, int64_t classes);
  torch::Tensor forward(const torch::Tensor& x) override;
  torch::Tensor weight, bias;  // [classes, features], [classes]
};

/// Stem, stages, head. Its parts are numbered: 0 the stem, 1..S the stages, S + 1 the head; their
/// names in a file are stem, stage1.., head.
class Network : public torch::nn::Module {
 public:
  /// All weights at their starting values of zero or one; see initialise().
  explicit Network(const Arch& arch);

  const Arch& arch() const { return arch_; }
  size_t stage_count() const { return arch_.stages.size(); }
  size_t part_count() const { return parts_.size(); }
  const std::shared_ptr<Part>& part(size_t index) const { return parts_.at(index); }
  const std::shared_ptr<Part>& stage(size_t index) const { return parts_.at(index + 1); }
  /// The flow stage at `index` (from 0). Throws ShapeError when that stage has blocks.
  FlowStage& flow_stage(size_t index) const;

  /// images: [N, 3, H, W] float32 or bfloat16, normalised. Returns float32 logits [N, classes].
  torch::Tensor forward(const torch::Tensor& images) const;

  /// The stem's output and then each stage's output.
  std::vector<torch::Tensor> features(const torch::Tensor& images) const;

  /// Runs parts [first, last) on x.
  torch::Tensor run(const torch::Tensor& x, size_t first, size_t last) const;

 private:
  Arch arch_;
  std::vector<std::shared_ptr<Part>> parts_;
};

/// "stem", "stage1", ..., "head".
std::string part_name(const Arch& arch, size_t part);

/// Draws starting weights for a network, or for a part that stands alone: He normal (fan out) for convolutions, uniform
/// +-1/sqrt(fan in) for the linear layers, zero for the last layer of a velocity network. What a tensor gets depends on
/// seed and its name only.
void initialise(torch::nn::Module& network, uint64_t seed);

/// Copies part `part` of `from` (weights and statistics) into the same part of `to`, which must have
/// the same Arch there, or a stage of fewer of its residual blocks: then it gets the first ones; or of narrower blocks,
/// as copy_blocks() says (mfi/nn/narrower.h). Throws ShapeError naming the first difference.
void copy_part(const Network& from, Network& to, size_t part);

/// Copies what `to` has, weights and statistics, from what `from` has under the same names. Everything must be there.
void copy_tensors(const torch::nn::Module& from, torch::nn::Module& to);

/// A network of its own with the same Arch, weights and statistics.
std::shared_ptr<Network> clone_network(const Network& network);

/// All parameters and buffers by name, in a fixed order; the tensors are shared, not copied.
std::vector<std::pair<std::string, torch::Tensor>> named_tensors(const torch::nn::Module& module);

}  // namespace mfi
