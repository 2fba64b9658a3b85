#include "mfi/nn/network.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "mfi/core/error.h"
#include "mfi/core/random.h"
#include "mfi/nn/narrower.h"

namespace mfi {

ConvShape stem_shape(const Arch& arch) {
  const bool large = arch.stem == StemKind::imagenet;
  return {arch.in_channels, arch.stem_channels, large ? 7 : 3, large ? 2 : 1};
}

Stem::Stem(const Arch& arch) : kind_(arch.stem) {
  conv = register_module("conv", std::make_shared<ConvNorm>(stem_shape(arch), arch.folded));
}

torch::Tensor Stem::forward(const torch::Tensor& x) {
  const auto y = conv->forward(x, /*shortcut=*/{}, /*relu=*/true);
  return kind_ == StemKind::imagenet ? at::max_pool2d(y, {3, 3}, {2, 2}, {1, 1}) : y;
}

Head::Head(int64_t features, int64_t classes) {
  weight = register_parameter("weight", torch::zeros({classes, features}));
  bias = register_parameter("bias", torch::zeros({classes}));
}

torch::Tensor Head::forward(const torch::Tensor& x) {
  return at::linear(x.to(weight.scalar_type()).mean({2, 3}), weight, bias);
}

Network::Network(const Arch& arch) : arch_(arch) {
  arch.validate();
  parts_.push_back(std::make_shared<Stem>(arch));
  for (const auto& stage : arch.stages) {
    if (stage.is_flow())
      parts_.push_back(std::make_shared<FlowStage>(stage, arch.folded));
    else
      parts_.push_back(std::make_shared<BlocksStage>(stage, arch.folded));
  }
  parts_.push_back(std::make_shared<Head>(arch.head_features(), arch.classes));
  for (size_t i = 0; i < parts_.size(); ++i) register_module(part_name(arch, i), parts_[i]);
}

FlowStage& Network::flow_stage(size_t index) const {
  auto* flow = dynamic_cast<FlowStage*>(stage(index).get());
  if (!flow)
    throw ShapeError("stage " + std::to_string(index + 1) + " of " + arch_.name +
                     " has residual blocks, expected a flow stage");
  return *flow;
}

torch::Tensor Network::run(const torch::Tensor& x, size_t first, size_t last) const {
  auto y = x;
  for (size_t i = first; i < last; ++i) y = parts_[i]->forward(y);
  return y;
}

torch::Tensor Network::forward(const torch::Tensor& images) const { return run(images, 0, parts_.size()); }

std::vector<torch::Tensor> Network::features(const torch::Tensor& images) const {
  std::vector<torch::Tensor> out;
  auto y = images;
  for (size_t i = 0; i + 1 < parts_.size(); ++i) {
    y = parts_[i]->forward(y);
    out.push_back(y);
  }
  return out;
}

std::string part_name(const Arch& arch, size_t part) {
  if (part == 0) return "stem";
  return part <= arch.stages.size() ? "stage" + std::to_string(part) : "head";
}

namespace {

uint64_t name_hash(const std::string& name) {  // FNV-1a
  uint64_t hash = 0xCBF29CE484222325ull;
  for (const unsigned char c : name) hash = (hash ^ c) * 0x100000001B3ull;
  return hash;
}

at::Generator generator_for(uint64_t seed, const std::string& name) {
  return at::make_generator<at::CPUGeneratorImpl>(RandomStream(seed, name_hash(name), 0).next());
}

}  // namespace

void initialise(torch::nn::Module& network, uint64_t seed) {
  torch::NoGradGuard no_grad;
  for (auto& item : network.named_modules("", /*include_self=*/false)) {
    const auto& name = item.key();
    auto generator = generator_for(seed, name);
    if (auto* conv = dynamic_cast<Convolution*>(item.value().get())) {
      const bool leaves = name.size() >= 6 && name.compare(name.size() - 6, 6, ".leave") == 0;
      const auto& s = conv->shape();
      const int64_t fan_out = s.out / s.groups * s.kernel * s.kernel;
      const double stddev = leaves ? 0 : std::sqrt(2.0 / static_cast<double>(fan_out));
      // Drawn contiguous, so that the values do not depend on the memory format.
      conv->weight.copy_(torch::empty(conv->weight.sizes()).normal_(0, 1, generator) * stddev);
      if (conv->bias.defined()) conv->bias.zero_();
    } else if (auto* velocity = dynamic_cast<VelocityNetwork*>(item.value().get())) {
      if (velocity->time_weight.defined()) {
        velocity->time_weight.uniform_(-1 / std::sqrt(2.0), 1 / std::sqrt(2.0), generator);
        velocity->time_bias.zero_();
      }
    } else if (auto* head = dynamic_cast<Head*>(item.value().get())) {
      const double bound = 1 / std::sqrt(static_cast<double>(head->weight.size(1)));
      head->weight.uniform_(-bound, bound, generator);
      head->bias.uniform_(-bound, bound, generator);
    }
  }
}

std::vector<std::pair<std::string, torch::Tensor>> named_tensors(const torch::nn::Module& module) {
  std::vector<std::pair<std::string, torch::Tensor>> out;
  for (const auto& item : module.named_parameters()) out.emplace_back(item.key(), item.value());
  for (const auto& item : module.named_buffers()) out.emplace_back(item.key(), item.value());
  return out;
}

void copy_tensors(const torch::nn::Module& from, torch::nn::Module& to) {
  torch::NoGradGuard no_grad;
  std::map<std::string, torch::Tensor> source;
  for (const auto& [name, tensor] : named_tensors(from)) source[name] = tensor;
  for (const auto& [name, tensor] : named_tensors(to)) tensor.copy_(source.at(name));
}

namespace {

// The Arch reduced to one part, for comparing.
Arch only_part(const Arch& arch, size_t part) {
  Arch out = arch;
  out.name.clear();
  out.image_size = 0;
  if (part != 0) {
    out.in_channels = out.stem_channels = 0;
    out.stem = {};
  }
  if (part <= arch.stages.size()) out.classes = 0;
  if (part >= 1 && part <= arch.stages.size())
    out.stages = {arch.stages[part - 1]};
  else if (part == 0)
    out.stages.clear();
  else {
    out.stages = {StageArch{0, arch.head_features(), 0, {}}};
    out.folded = false;  // a head has nothing to fold
  }
  return out;
}

}  // namespace

void copy_part(const Network& from, Network& to, size_t part) {
  std::string difference = "number of stages";
  if (part < from.part_count() && part < to.part_count() && from.stage_count() == to.stage_count()) {
    auto source = only_part(from.arch(), part);
    const auto target = only_part(to.arch(), part);
    if (part >= 1 && part <= from.stage_count()) {
      auto* all = std::get_if<BlocksArch>(&source.stages[0].body);
      const auto* kept = std::get_if<BlocksArch>(&target.stages[0].body);
      if (all && kept) {
        all->count = std::min(all->count, kept->count);
        if (!from.arch().folded) all->width = std::min(all->width, kept->width);
      }
    }
    difference = first_difference(source, target);
  }
  if (!difference.empty())
    throw ShapeError("copy_part: " + part_name(to.arch(), part) + " differs between " + from.arch().name + " and " +
                     to.arch().name + ": " + difference);
  const auto* blocks = dynamic_cast<const BlocksStage*>(from.part(part).get());
  if (blocks)
    copy_blocks(*blocks, dynamic_cast<BlocksStage&>(*to.part(part)));
  else
    copy_tensors(*from.part(part), *to.part(part));
}

std::shared_ptr<Network> clone_network(const Network& network) {
  auto copy = std::make_shared<Network>(network.arch());
  const auto like = network.parameters().front();
  copy->to(like.device(), like.scalar_type());
  copy_tensors(network, *copy);
  copy->train(network.is_training());
  return copy;
}

}  // namespace mfi
