#include "mfi/formats/onnx_file.h"

#include <gtest/gtest.h>

#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"

namespace mfi {
namespace {

OnnxModel small_model() {
  OnnxModel model;
  model.producer = "test";
  model.graph_name = "g";
  model.inputs = {{"x", OnnxType::float32, {"N", int64_t{2}}}};
  model.outputs = {{"y", OnnxType::float32, {"N", int64_t{2}}}};
  model.constants = {{"w", OnnxType::float32, {2}, std::string(8, '\x01')},
                     {"zero", OnnxType::uint8, {}, std::string(1, '\0')}};
  model.nodes = {{"first", "Mul", {"x", "w"}, {"m"}, {}},
                 {"second",
                  "Thing",
                  {"m", "", "zero"},
                  {"y"},
                  {{"axis", int64_t{-1}},
                   {"alpha", 0.5f},
                   {"mode", std::string("constant")},
                   {"pads", std::vector<int64_t>{0, 1, -2}}}}};
  model.metadata = {{"key", "value"}, {"empty", ""}};
  return model;
}

TEST(OnnxFile, ReadsWhatItWrites) {
  const auto model = small_model();
  EXPECT_EQ(onnx_problem(model), "");
  const auto bytes = write_onnx(model);
  EXPECT_EQ(parse_onnx(bytes, "x"), model);
  EXPECT_EQ(write_onnx(model), bytes);
}

TEST(OnnxFile, SaysWhatIsWrongWithAModel) {
  const auto problem = [](auto change) {
    auto model = small_model();
    change(model);
    return onnx_problem(model);
  };
  EXPECT_EQ(problem([](auto& m) { std::swap(m.nodes[0], m.nodes[1]); }),
            "the node 'second' uses 'm' before it is made");
  EXPECT_EQ(problem([](auto& m) { m.nodes[1].outputs = {"m"}; }), "'m' is made twice");
  EXPECT_EQ(problem([](auto& m) { m.outputs[0].name = "z"; }), "nothing makes the output 'z'");
  EXPECT_EQ(problem([](auto& m) { m.outputs.clear(); }), "nothing comes out");
  EXPECT_EQ(problem([](auto& m) { m.constants[0].bytes.pop_back(); }),
            "the constant 'w' has 7 bytes, its shape needs 8");
  EXPECT_EQ(problem([](auto& m) {
              m.constants.push_back({"spare", OnnxType::int8, {1}, "a"});
            }),
            "nothing uses 'spare'");
  EXPECT_EQ(problem([](auto& m) { m.nodes[0].op.clear(); }), "the node 'first' does or makes nothing");
  EXPECT_NE(problem([](auto& m) {
              m.constants[0].shape = {INT64_MAX, INT64_MAX};
            }).find("not sound"),
            std::string::npos);
}

TEST(OnnxFile, RefusesAFileCutOffAnywhereButBetweenFields) {
  const auto bytes = write_onnx(small_model());
  for (size_t size = 0; size < bytes.size(); ++size) {
    try {
      // What is cut between two fields is a smaller message; its structure then tells.
      const auto model = parse_onnx(bytes.substr(0, size), "net.onnx");
      EXPECT_TRUE(onnx_problem(model) != "" || model != small_model()) << size;
    } catch (const CheckpointError& error) {
      EXPECT_NE(std::string(error.what()).find("net.onnx: not an ONNX file, or cut off"), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace mfi
