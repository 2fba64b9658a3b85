#include "mfi/exchange/onnx_export.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "mfi/core/error.h"

namespace mfi {
namespace {

std::string bytes_of(const torch::Tensor& tensor) {
  const auto dense = tensor.contiguous();
  return {static_cast<const char*>(dense.const_data_ptr()), static_cast<size_t>(dense.nbytes())};
}

OnnxType onnx_type(torch::ScalarType type) {
  switch (type) {
    case torch::kFloat16:
      return OnnxType::float16;
    case torch::kUInt8:
      return OnnxType::uint8;
    case torch::kInt8:
      return OnnxType::int8;
    case torch::kInt32:
      return OnnxType::int32;
    case torch::kInt64:
      return OnnxType::int64;
    default:
      return OnnxType::float32;
  }
}

class OnnxBuilder {
 public:
  OnnxBuilder(const Graph& graph, const ModelInfo& info, const OnnxSettings& settings)
      : graph_(graph), info_(info), settings_(settings) {
    for (const auto& op : graph.ops)
      for (const auto& input : op.inputs) consumers_[input].push_back(&op);
  }

  OnnxModel build() {
    model_.producer = "mfi";
    model_.graph_name = graph_.arch.name;
    model_.description = "Image classifier " + graph_.arch.name + ", folded for inference";
    const auto& arch = graph_.arch;
    model_.inputs = {{graph_.input, OnnxType::float32, {"N", arch.in_channels, "height", "width"}}};
    add_metadata();
    names_[graph_.input] = quantised(graph_.input, prepared_input());
    for (const auto& op : graph_.ops) names_[op.output] = quantised(op.output, add_op(op));
    add_output();
    return model_;
  }

 private:
  bool is_half() const { return settings_.precision == OnnxPrecision::fp16; }
  bool is_int8() const { return settings_.precision == OnnxPrecision::int8; }

  std::string node(const std::string& op, const std::string& output, std::vector<std::string> inputs,
                   std::map<std::string, OnnxAttribute> attributes = {}) {
    model_.nodes.push_back({output, op, std::move(inputs), {output}, std::move(attributes)});
    return output;
  }

  std::string constant(const std::string& name, const torch::Tensor& value, bool number = false) {
    if (constants_.insert(name).second)
      model_.constants.push_back({name, onnx_type(value.scalar_type()),
                                  number ? std::vector<int64_t>{} : value.sizes().vec(), bytes_of(value)});
    return name;
  }
  std::string integers(const std::string& name, const std::vector<int64_t>& values) {
    return constant(name, torch::tensor(values, torch::kInt64));
  }

  // A layer's weight or bias in the type of the arithmetic.
  std::string parameter(const std::string& name, const torch::Tensor& value) {
    return constant(name, is_half() ? value.to(torch::kFloat16) : value);
  }

  std::string prepared_input() {
    auto value = graph_.input;
    if (settings_.normalise) {
      const auto numbers = [](const std::array<float, 3>& a) {
        return torch::tensor({a[0], a[1], a[2]}).view({1, 3, 1, 1});
      };
      value = node("Sub", "centred", {value, constant("mean", numbers(info_.normalisation.mean))});
      value = node("Div", "normalised", {value, constant("stddev", numbers(info_.normalisation.stddev))});
    }
    if (is_half()) value = node("Cast", "half_images", {value}, {{"to", static_cast<int64_t>(OnnxType::float16)}});
    return value;
  }

  void add_output() {
    // Outputs of nodes cannot be renamed afterwards, so the last operation's has a name of its own.
    auto value = names_.at(graph_.output);
    if (is_half()) value = node("Cast", "float_logits", {value}, {{"to", static_cast<int64_t>(OnnxType::float32)}});
    const std::string name = settings_.softmax ? "probabilities" : "logits";
    if (settings_.softmax)
      node("Softmax", name, {value}, {{"axis", int64_t{1}}});
    else
      node("Identity", name, {value});
    model_.outputs = {{name, OnnxType::float32, {"N", graph_.arch.classes}}};
  }

  void add_metadata() {
    nlohmann::ordered_json preprocessing{{"channels", "RGB"},
                                         {"pixels", settings_.normalise ? "0 to 1" : "(0 to 1 - mean) / stddev"},
                                         {"mean", info_.normalisation.mean},
                                         {"stddev", info_.normalisation.stddev},
                                         {"normalised_inside", settings_.normalise},
                                         {"image_size", graph_.arch.image_size},
                                         {"resize", info_.resize},
                                         {"crop", info_.crop}};
    model_.metadata = {{"mfi.classes", nlohmann::json(info_.class_names).dump()},
                       {"mfi.preprocessing", preprocessing.dump()},
                       {"mfi.arch", arch_to_json(graph_.arch)},
                       {"mfi.dataset", info_.dataset}};
  }

  // ---- int8 ----

  // Whether only a ReLU takes the value: then it is rounded behind that.
  bool is_inside(const std::string& value) const {
    const auto found = consumers_.find(value);
    return found != consumers_.end() && found->second.size() == 1 && found->second[0]->kind == GraphOpKind::relu;
  }

  // One step of a value's 8-bit numbers.
  float value_scale(const std::string& value) const {
    const auto found = settings_.ranges.find(value);
    if (found == settings_.ranges.end()) throw ShapeError("onnx_model: no range for " + value);
    const float low = std::min(found->second.low, 0.0f), high = std::max(found->second.high, 0.0f);
    return std::max((high - low) / 255, 1e-8f);
  }

  // The value as 8-bit numbers would have it.
  std::string quantised(const std::string& value, const std::string& made) {
    if (!is_int8() || value == graph_.output || is_inside(value)) return made;
    const auto found = settings_.ranges.find(value);
    if (found == settings_.ranges.end()) throw ShapeError("onnx_model: no range for " + value);
    // Zero must be one of the numbers, as it is what images are padded with.
    const float low = std::min(found->second.low, 0.0f), scale = value_scale(value);
    const auto zero = static_cast<int64_t>(std::clamp(std::round(-low / scale), 0.0f, 255.0f));
    return round_trip(made, torch::tensor(scale), torch::tensor(zero, torch::kUInt8));
  }

  std::string round_trip(const std::string& made, const torch::Tensor& scale, const torch::Tensor& zero) {
    const auto s = constant(made + ".scale", scale, true), z = constant(made + ".zero", zero, true);
    return node("DequantizeLinear", made + ".rounded", {node("QuantizeLinear", made + ".int8", {made, s, z}), s, z});
  }

  // One step of a weight's numbers, by output channel. A channel whose weights are all but zero still has a bias, which
  // is counted in steps of weight times input and must not take more than 31 bits of them, whichever use it is of.
  torch::Tensor weight_scale(const GraphOp& op) const {
    constexpr double kMostBiasSteps = 1 << 30;
    const int64_t out = op.weight.size(0);
    auto scale = (op.weight.reshape({out, -1}).abs().amax(1) / 127).clamp_min(1e-8);
    for (const auto& use : graph_.ops)
      if (use.weight_name == op.weight_name && use.bias.defined())
        scale = scale.maximum(use.bias.abs() / (kMostBiasSteps * value_scale(use.inputs[0])));
    return scale;
  }

  // Weights by output channel, symmetric; the bias in steps of their product with the input's.
  std::vector<std::string> quantised_parameters(const GraphOp& op) {
    const int64_t out = op.weight.size(0);
    const auto scale = weight_scale(op);
    std::vector<int64_t> sides(static_cast<size_t>(op.weight.dim()), 1);
    sides[0] = out;
    const auto weight = (op.weight / scale.view(sides)).round().clamp(-127, 127).to(torch::kInt8);
    const auto name = op.weight_name;
    const std::map<std::string, OnnxAttribute> by_channel{{"axis", int64_t{0}}};
    const auto dequantised = [&](const std::string& what, const torch::Tensor& numbers, const torch::Tensor& steps) {
      const auto made = what + ".rounded";
      if (!constants_.contains(what + ".int"))
        node("DequantizeLinear", made,
             {constant(what + ".int", numbers), constant(what + ".scale", steps),
              constant(what + ".zero", torch::zeros({out}, numbers.scalar_type()))},
             by_channel);
      return made;
    };
    const auto weight_name = dequantised(name, weight, scale);
    const auto bias_scale = scale * value_scale(op.inputs[0]);
    const auto bias = (op.bias / bias_scale).round().to(torch::kInt32);
    // One bias may follow inputs of different steps: it is named by the operation.
    return {weight_name, dequantised(op.output + ".bias", bias, bias_scale)};
  }

  // ---- operations ----

  std::string add_op(const GraphOp& op) {
    std::vector<std::string> inputs;
    for (const auto& input : op.inputs) inputs.push_back(names_.at(input));
    const bool is_last = op.output == graph_.output;
    const auto output = is_last ? "head" : op.output;
    switch (op.kind) {
      case GraphOpKind::conv:
      case GraphOpKind::linear: {
        const auto parameters =
            is_int8() ? quantised_parameters(op)
                      : std::vector{parameter(op.weight_name, op.weight), parameter(op.bias_name, op.bias)};
        inputs.insert(inputs.end(), parameters.begin(), parameters.end());
        if (op.kind == GraphOpKind::linear) return node("Gemm", output, inputs, {{"transB", int64_t{1}}});
        const int64_t kernel = op.weight.size(2);
        std::map<std::string, OnnxAttribute> attributes{{"kernel_shape", std::vector<int64_t>{kernel, kernel}},
                                                        {"pads", std::vector<int64_t>(4, op.dilation * (kernel / 2))},
                                                        {"strides", std::vector<int64_t>{op.stride, op.stride}}};
        if (op.dilation != 1) attributes["dilations"] = std::vector<int64_t>{op.dilation, op.dilation};
        if (op.groups != 1) attributes["group"] = op.groups;
        return node("Conv", output, inputs, attributes);
      }
      case GraphOpKind::relu:
        return node("Relu", output, inputs);
      case GraphOpKind::add:
        return node("Add", output, inputs);
      case GraphOpKind::subtract:
        return node("Sub", output, inputs);
      case GraphOpKind::max_pool:
        return node("MaxPool", output, inputs,
                    {{"kernel_shape", std::vector<int64_t>{3, 3}},
                     {"pads", std::vector<int64_t>(4, 1)},
                     {"strides", std::vector<int64_t>{2, 2}}});
      case GraphOpKind::average_pool:
        return node("AveragePool", output, inputs,
                    {{"kernel_shape", std::vector<int64_t>{op.stride, op.stride}},
                     {"ceil_mode", int64_t{1}},
                     {"strides", std::vector<int64_t>{op.stride, op.stride}}});
      case GraphOpKind::padded_shortcut: {
        const auto pixels = node("Slice", output + ".pixels",
                                 {inputs[0], integers("first_pixel", {0, 0}),
                                  integers("last_pixel", {INT64_MAX, INT64_MAX}), integers("pixel_axes", {2, 3}),
                                  integers("pixel_step" + std::to_string(op.stride), {op.stride, op.stride})});
        return node("Pad", output,
                    {pixels, integers(output + ".zeros", {0, op.zeros_before, 0, 0, 0, op.zeros_behind, 0, 0})},
                    {{"mode", std::string("constant")}});
      }
      case GraphOpKind::average:
        return node("Flatten", output, {node("GlobalAveragePool", output + ".pooled", inputs)}, {{"axis", int64_t{1}}});
    }
    return "";
  }

  const Graph& graph_;
  const ModelInfo& info_;
  const OnnxSettings& settings_;
  OnnxModel model_;
  std::map<std::string, std::string> names_;  // of the graph's values in the model
  std::set<std::string> constants_;
  std::map<std::string, std::vector<const GraphOp*>> consumers_;
};

}  // namespace

OnnxModel onnx_model(const Graph& graph, const ModelInfo& info, const OnnxSettings& settings) {
  torch::NoGradGuard no_grad;
  return OnnxBuilder(graph, info, settings).build();
}

std::string checked_onnx(const OnnxModel& model) {
  const auto bytes = write_onnx(model);
  auto problem = onnx_problem(model);
  if (problem.empty() && parse_onnx(bytes, "the export") != model) problem = "it reads back as another model";
  if (!problem.empty()) throw Error(ExitCode::internal, "the ONNX export is not sound: " + problem);
  return bytes;
}

void widen_ranges(const Graph& graph, const torch::Tensor& images, ValueRanges& ranges) {
  const auto widen = [&](const std::string& name, const torch::Tensor& value) {
    const auto [low, high] = value.aminmax();
    const auto [entry, fresh] = ranges.emplace(name, ValueRange{low.item<float>(), high.item<float>()});
    if (fresh) return;
    entry->second.low = std::min(entry->second.low, low.item<float>());
    entry->second.high = std::max(entry->second.high, high.item<float>());
  };
  widen(graph.input, images);
  run_graph(graph, images, widen);
}

}  // namespace mfi
