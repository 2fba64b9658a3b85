// A network as plain operations in the order in which they are done: what exports are written from.
#pragma once

#include "mfi/core/torch.h"

#include <functional>
#include <string>
#include <vector>

#include "mfi/nn/network.h"

namespace mfi {

enum class GraphOpKind {
  conv,  // of inputs[0], with weight and bias; pads by dilation * (kernel / 2)
  relu,
  add,              // inputs[0] + inputs[1]
  subtract,         // inputs[0] - inputs[1]
  max_pool,         // 3x3, stride 2, padded by 1
  average_pool,     // stride x stride pixels become their mean; at an odd size's edge, of those that there are
  padded_shortcut,  // every stride-th pixel, and channels of zeros around
  average,          // over all pixels: [N, C]
  linear,           // of [N, C], with weight and bias
};

struct GraphOp {
  GraphOpKind kind = GraphOpKind::relu;
  std::string output;               // the value's name, which no other has
  std::vector<std::string> inputs;  // values
  std::string weight_name{}, bias_name{};
  torch::Tensor weight{}, bias{};  // float32; ops with the same name share them
  int64_t stride = 1, dilation = 1, groups = 1;
  int64_t zeros_before = 0, zeros_behind = 0;
};

struct Graph {
  Arch arch;
  std::string input = "images", output = "logits";
  std::vector<GraphOp> ops;
};

/// The operations of a network, which is folded first if it is not. The length of a flow's step is multiplied into the
/// velocity network's last convolution, so logits may differ by rounding.
Graph graph_of(const Network& network);

/// Throws Error (a defect of mfi) when the graph's logits for random images are not the network's, within 1e-4 of the
/// largest.
void check_graph(const Graph& graph, const Network& network);

/// Runs the operations on images [N, 3, H, W], float32, and returns the logits. visit, if given, sees every value.
torch::Tensor run_graph(const Graph& graph, const torch::Tensor& images,
                        const std::function<void(const std::string& value, const torch::Tensor&)>& visit = {});

}  // namespace mfi
