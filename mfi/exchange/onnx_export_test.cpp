// What ONNX Runtime makes of the models is shown by 'mfi verify' (cli/exchange_test.cpp, where it is installed). Here:
// their structure, and that 8-bit numbers and constants are what they should be.
#include "mfi/exchange/onnx_export.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "mfi/core/error.h"
#include "mfi/exchange/test_networks.h"

namespace mfi {
namespace {

ModelInfo info_of(const Arch& arch) {
  ModelInfo info;
  for (int64_t i = 0; i < arch.classes; ++i) info.class_names.push_back("class \"" + std::to_string(i) + "\"");
  info.normalisation = {{0.4f, 0.5f, 0.6f}, {0.2f, 0.25f, 0.3f}};
  info.dataset = "cifar-10";
  return info;
}

int64_t count(const OnnxModel& model, const std::string& op) {
  return std::count_if(model.nodes.begin(), model.nodes.end(), [&](const auto& node) { return node.op == op; });
}

const OnnxTensor& constant(const OnnxModel& model, const std::string& name) {
  for (const auto& tensor : model.constants)
    if (tensor.name == name) return tensor;
  ADD_FAILURE() << "no constant " << name;
  return model.constants.front();
}

ValueRanges ranges_of(const Graph& graph) {
  ValueRanges ranges;
  torch::manual_seed(1);
  widen_ranges(graph, torch::randn({4, 3, graph.arch.image_size, graph.arch.image_size}), ranges);
  return ranges;
}

TEST(OnnxExport, IsSoundForEveryNetworkAndPrecision) {
  for (const auto& [name, arch] : every_kind_of_network()) {
    const auto graph = graph_of(*lively_network(arch));
    for (const auto precision : {OnnxPrecision::fp32, OnnxPrecision::fp16, OnnxPrecision::int8})
      for (const bool inside : {false, true}) {
        OnnxSettings settings{precision, inside, inside, {}};
        if (precision == OnnxPrecision::int8) settings.ranges = ranges_of(graph);
        const auto model = onnx_model(graph, info_of(arch), settings);
        EXPECT_EQ(onnx_problem(model), "") << name;
        EXPECT_FALSE(checked_onnx(model).empty());
        EXPECT_EQ(model.outputs[0].name, inside ? "probabilities" : "logits");
        EXPECT_EQ(std::get<std::string>(model.inputs[0].shape[0]), "N");
      }
  }
}

TEST(OnnxExport, HoldsTheNetworksOperationsAndWeights) {
  const auto arch = every_kind_of_network()[0].second;
  const auto graph = graph_of(*lively_network(arch));
  const auto model = onnx_model(graph, info_of(arch), {});
  EXPECT_EQ(count(model, "Conv"), 20);
  EXPECT_EQ(count(model, "Add"), 8);
  EXPECT_EQ(count(model, "Gemm"), 1);
  EXPECT_EQ(count(model, "BatchNormalization"), 0);
  const auto& first = graph.ops.front();
  const auto& stored = constant(model, "stem.conv.weight");
  EXPECT_EQ(stored.shape, first.weight.sizes().vec());
  const auto dense = first.weight.contiguous();
  EXPECT_EQ(std::memcmp(stored.bytes.data(), dense.const_data_ptr(), stored.bytes.size()), 0);
}

TEST(OnnxExport, SharesTheWeightsOfAModuleThatIsUsedSeveralTimes) {
  const auto arch = every_kind_of_network()[4].second;  // two modules, four steps
  const auto model = onnx_model(graph_of(*lively_network(arch)), info_of(arch), {});
  EXPECT_EQ(std::count_if(model.constants.begin(), model.constants.end(),
                          [](const auto& t) {
                            return t.name.find("velocity") != std::string::npos && t.name.ends_with("conv1.weight");
                          }),
            2);
  EXPECT_EQ(count(model, "Sub"), 4);
}

TEST(OnnxExport, SaysGroupsDilationAndPoolingWhereThereAreAny) {
  const auto arch = every_kind_of_network()[6].second;
  const auto model = onnx_model(graph_of(*lively_network(arch)), info_of(arch), {});
  EXPECT_EQ(count(model, "AveragePool"), 2);
  const auto node = [&](const std::string& name) {
    const auto found =
        std::find_if(model.nodes.begin(), model.nodes.end(), [&](const auto& n) { return n.outputs[0] == name; });
    return found == model.nodes.end() ? OnnxNode{} : *found;
  };
  const auto integers = [](std::initializer_list<int64_t> values) {
    return OnnxAttribute(std::vector<int64_t>(values));
  };
  const auto far = node("stage4.step0.conv2").attributes;
  EXPECT_EQ(far.at("group"), OnnxAttribute(int64_t{7}));
  EXPECT_EQ(far.at("dilations"), integers({4, 4}));
  EXPECT_EQ(far.at("pads"), integers({12, 12, 12, 12}));
  const auto pooling = node("stage2.pooled").attributes;
  EXPECT_EQ(pooling.at("kernel_shape"), integers({2, 2}));
  EXPECT_EQ(pooling.at("strides"), integers({2, 2}));
  EXPECT_EQ(pooling.at("ceil_mode"), OnnxAttribute(int64_t{1}));
  EXPECT_FALSE(node("stem.conv").attributes.contains("group"));
  EXPECT_FALSE(node("stem.conv").attributes.contains("dilations"));
}

TEST(OnnxExport, RoundsWeightsByChannelAndActivationsToEightBits) {
  const auto arch = every_kind_of_network()[0].second;
  const auto graph = graph_of(*lively_network(arch));
  OnnxSettings settings;
  settings.precision = OnnxPrecision::int8;
  settings.ranges = ranges_of(graph);
  const auto model = onnx_model(graph, info_of(arch), settings);
  const auto& numbers = constant(model, "stem.conv.weight.int");
  const auto& scales = constant(model, "stem.conv.weight.scale");
  const auto weight = graph.ops.front().weight.contiguous();
  const int64_t each = weight.numel() / weight.size(0);
  for (int64_t i = 0; i < weight.numel(); ++i) {
    float scale;
    std::memcpy(&scale, scales.bytes.data() + i / each * 4, 4);
    const float rounded = scale * static_cast<float>(static_cast<int8_t>(numbers.bytes[static_cast<size_t>(i)]));
    EXPECT_NEAR(rounded, weight.data_ptr<float>()[i], 0.5001f * scale);
  }
  // One pair for the picture, each value that more than a ReLU reads, and none for logits.
  EXPECT_EQ(count(model, "QuantizeLinear"), count(model, "DequantizeLinear") - 2 * 21);
  settings.ranges.erase("stage1.block0.relu");
  EXPECT_THROW(onnx_model(graph, info_of(arch), settings), ShapeError);
}

// A batch norm that has switched a channel off leaves a bias and nothing else.
TEST(OnnxExport, KeepsTheBiasOfAChannelWithoutWeights) {
  const auto arch = every_kind_of_network()[0].second;
  auto graph = graph_of(*lively_network(arch));
  graph.ops.front().weight = graph.ops.front().weight.clone();
  graph.ops.front().weight[1].zero_();
  graph.ops.front().bias = graph.ops.front().bias.clone();
  graph.ops.front().bias[1] = 2;
  OnnxSettings settings;
  settings.precision = OnnxPrecision::int8;
  settings.ranges = ranges_of(graph);
  const auto model = onnx_model(graph, info_of(arch), settings);
  const auto name = graph.ops.front().output + ".bias";
  int32_t steps;
  float step;
  std::memcpy(&steps, constant(model, name + ".int").bytes.data() + sizeof steps, sizeof steps);
  std::memcpy(&step, constant(model, name + ".scale").bytes.data() + sizeof step, sizeof step);
  EXPECT_NEAR(static_cast<double>(steps) * static_cast<double>(step), 2, 1e-5);
}

TEST(OnnxExport, TellsHowToFeedIt) {
  const auto arch = every_kind_of_network()[0].second;
  OnnxSettings settings;
  settings.normalise = true;
  const auto model = onnx_model(graph_of(*lively_network(arch)), info_of(arch), settings);
  EXPECT_NE(model.metadata.at("mfi.preprocessing").find("\"normalised_inside\":true"), std::string::npos);
  EXPECT_NE(model.metadata.at("mfi.classes").find(R"("class \"0\"")"), std::string::npos);
  EXPECT_EQ(model.metadata.at("mfi.dataset"), "cifar-10");
}

}  // namespace
}  // namespace mfi
