#include "mfi/exchange/graph.h"

#include <algorithm>
#include <map>

#include "mfi/core/error.h"
#include "mfi/nn/fold.h"

namespace mfi {
namespace {

class GraphBuilder {
 public:
  Graph build(const Network& network) {
    const auto folded = fold(network);
    const Arch& arch = folded->arch();
    graph_.arch = arch;
    std::string value = conv(*dynamic_cast<const Stem&>(*folded->part(0)).conv->conv, "stem.conv", graph_.input, true);
    if (arch.stem == StemKind::imagenet)
      value = add({.kind = GraphOpKind::max_pool, .output = "stem", .inputs = {value}});
    for (size_t i = 0; i < folded->stage_count(); ++i) {
      const auto name = part_name(arch, i + 1);
      value = arch.stages[i].is_flow()
                  ? flow_stage(folded->flow_stage(i), arch.stages[i], name, value)
                  : blocks_stage(dynamic_cast<const BlocksStage&>(*folded->stage(i)), arch.stages[i], name, value);
    }
    const auto& head = dynamic_cast<const Head&>(*folded->part(folded->part_count() - 1));
    value = add({.kind = GraphOpKind::average, .output = "features", .inputs = {value}});
    add({.kind = GraphOpKind::linear,
         .output = graph_.output,
         .inputs = {value},
         .weight_name = "head.weight",
         .bias_name = "head.bias",
         .weight = head.weight.detach(),
         .bias = head.bias.detach()});
    return graph_;
  }

 private:
  std::string add(GraphOp op) {
    graph_.ops.push_back(std::move(op));
    return graph_.ops.back().output;
  }

  std::string relu(const std::string& name, const std::string& value) {
    return add({.kind = GraphOpKind::relu, .output = name + ".relu", .inputs = {value}});
  }

  std::string conv(const Convolution& layer, const std::string& name, const std::string& value, bool with_relu) {
    const auto out = add({.kind = GraphOpKind::conv,
                          .output = name,
                          .inputs = {value},
                          .weight_name = name + ".weight",
                          .bias_name = name + ".bias",
                          .weight = layer.weight.detach(),
                          .bias = layer.bias.detach(),
                          .stride = layer.shape().stride});
    return with_relu ? relu(name, out) : out;
  }

  std::string blocks_stage(const BlocksStage& stage, const StageArch& arch, const std::string& name,
                           std::string value) {
    const auto& body = std::get<BlocksArch>(arch.body);
    for (size_t i = 0; i < stage.blocks().size(); ++i) {
      const auto& block = *stage.blocks()[i];
      const auto block_name = name + ".block" + std::to_string(i);
      const auto input = value;
      for (size_t j = 0; j < block.convs().size(); ++j)
        value = conv(*block.convs()[j]->conv, block_name + ".conv" + std::to_string(j + 1), value,
                     j + 1 < block.convs().size());
      const auto shortcut = shortcut_of(block, arch, body, i, block_name, input);
      value = relu(block_name, add({.kind = GraphOpKind::add, .output = block_name, .inputs = {value, shortcut}}));
    }
    return value;
  }

  std::string shortcut_of(const ResidualBlock& block, const StageArch& arch, const BlocksArch& body, size_t index,
                          const std::string& name, const std::string& input) {
    if (block.shortcut()) return conv(*block.shortcut()->conv, name + ".shortcut", input, false);
    const bool changes = index == 0 && (arch.stride != 1 || arch.in_channels != arch.out_channels);
    if (!changes) return input;
    const int64_t zeros = arch.out_channels - arch.in_channels;
    const int64_t before = body.shortcut == ShortcutKind::padded ? zeros / 2 : 0;
    return add({.kind = GraphOpKind::padded_shortcut,
                .output = name + ".shortcut",
                .inputs = {input},
                .stride = arch.stride,
                .zeros_before = before,
                .zeros_behind = zeros - before});
  }

  std::string flow_stage(const FlowStage& stage, const StageArch& stage_arch, const std::string& name,
                         const std::string& input) {
    const auto& arch = stage.arch();
    auto z = input;
    if (pools_first(stage_arch))
      z = add(
          {.kind = GraphOpKind::average_pool, .output = name + ".pooled", .inputs = {z}, .stride = stage_arch.stride});
    z = conv(*stage.alignment()->conv, name + ".alignment", z, true);
    const int64_t each = arch.steps / arch.modules;
    const auto steps = stage.time_steps(arch.steps);
    for (int64_t i = 0; i < arch.steps; ++i) {
      const auto module = static_cast<size_t>(i / each);
      const auto& velocity = *stage.velocities()[module];
      const auto base = name + ".velocity" + std::to_string(module), step = name + ".step" + std::to_string(i);
      const auto biases = velocity.time_bias.detach()[i % each];
      auto value = z;
      for (size_t j = 0; j < velocity.convs().size(); ++j) {
        const auto& layer = *velocity.convs()[j];
        const bool last = j + 1 == velocity.convs().size();
        const auto layer_name = ".conv" + std::to_string(j + 1);
        GraphOp op{.kind = GraphOpKind::conv,
                   .output = step + layer_name,
                   .inputs = {value},
                   .weight_name = base + layer_name + ".weight",
                   .weight = layer.weight.detach(),
                   .dilation = layer.shape().dilation,
                   .groups = layer.shape().groups};
        if (last) {
          // Where steps are equally long, those of a module have the same weights.
          const auto whose = arch.learns_steps() ? step : base;
          const double length = steps[static_cast<size_t>(i)].length;
          op.weight = op.weight * length;
          op.weight_name = whose + layer_name + ".weight";
          op.bias = layer.bias.detach() * length;
          op.bias_name = whose + layer_name + ".bias";
        } else {
          op.bias = biases.narrow(0, static_cast<int64_t>(j) * arch.hidden, arch.hidden).contiguous();
          op.bias_name = step + layer_name + ".bias";
        }
        value = add(op);
        if (!last) value = relu(step + layer_name, value);
      }
      z = add({.kind = GraphOpKind::subtract, .output = step, .inputs = {z, value}});
    }
    return z;
  }

  Graph graph_;
};

torch::Tensor run_op(const GraphOp& op, const std::vector<torch::Tensor>& in) {
  switch (op.kind) {
    case GraphOpKind::conv: {
      const int64_t padding = op.dilation * (op.weight.size(2) / 2);
      return at::conv2d(in[0], op.weight, op.bias, {op.stride, op.stride}, {padding, padding},
                        {op.dilation, op.dilation}, op.groups);
    }
    case GraphOpKind::relu:
      return in[0].relu();
    case GraphOpKind::add:
      return in[0] + in[1];
    case GraphOpKind::subtract:
      return in[0] - in[1];
    case GraphOpKind::max_pool:
      return at::max_pool2d(in[0], {3, 3}, {2, 2}, {1, 1});
    case GraphOpKind::average_pool:
      return at::avg_pool2d(in[0], {op.stride, op.stride}, {op.stride, op.stride}, {0, 0}, /*ceil_mode=*/true,
                            /*count_include_pad=*/false);
    case GraphOpKind::padded_shortcut:
      return at::constant_pad_nd(in[0].slice(2, 0, c10::nullopt, op.stride).slice(3, 0, c10::nullopt, op.stride),
                                 {0, 0, 0, 0, op.zeros_before, op.zeros_behind});
    case GraphOpKind::average:
      return in[0].mean({2, 3});
    case GraphOpKind::linear:
      return at::linear(in[0], op.weight, op.bias);
  }
  return {};
}

}  // namespace

Graph graph_of(const Network& network) {
  torch::NoGradGuard no_grad;
  return GraphBuilder().build(network);
}

void check_graph(const Graph& graph, const Network& network) {
  torch::NoGradGuard no_grad;
  const auto& arch = graph.arch;
  auto generator = at::make_generator<at::CPUGeneratorImpl>(1);
  const auto images = torch::randn({2, arch.in_channels, arch.image_size, arch.image_size}, generator)
                          .contiguous(torch::MemoryFormat::ChannelsLast);
  const auto expected = fold(network)->forward(images);
  const double difference = (run_graph(graph, images) - expected).abs().max().item<double>();
  const double largest = std::max(1.0, expected.abs().max().item<double>());
  if (!(difference <= 1e-4 * largest))
    throw Error(ExitCode::internal,
                "the export is not the network: its logits differ by " + std::to_string(difference));
}

torch::Tensor run_graph(const Graph& graph, const torch::Tensor& images,
                        const std::function<void(const std::string&, const torch::Tensor&)>& visit) {
  torch::NoGradGuard no_grad;
  std::map<std::string, int64_t> uses;  // a value is dropped after its last
  for (const auto& op : graph.ops)
    for (const auto& input : op.inputs) ++uses[input];
  std::map<std::string, torch::Tensor> values{{graph.input, images}};
  for (const auto& op : graph.ops) {
    std::vector<torch::Tensor> inputs;
    for (const auto& input : op.inputs) {
      inputs.push_back(values.at(input));
      if (--uses[input] == 0) values.erase(input);
    }
    const auto value = values[op.output] = run_op(op, inputs);
    if (visit) visit(op.output, value);
  }
  return values.at(graph.output);
}

}  // namespace mfi
