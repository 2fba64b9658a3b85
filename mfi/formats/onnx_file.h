// The part of the ONNX format that classifiers need. No LibTorch here.
//
// A model is a protocol buffer (github.com/onnx/onnx, onnx.proto): a graph of nodes in an order in which they can be
// run, with constant tensors by name.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace mfi {

enum class OnnxType : int32_t { float32 = 1, uint8 = 2, int8 = 3, int32 = 6, int64 = 7, float16 = 10 };

/// Bytes of one element.
size_t element_size(OnnxType type);

struct OnnxTensor {
  std::string name;
  OnnxType type = OnnxType::float32;
  std::vector<int64_t> shape;  // empty: one number
  std::string bytes;           // little-endian
  bool operator==(const OnnxTensor&) const = default;
};

using OnnxAttribute = std::variant<int64_t, float, std::string, std::vector<int64_t>>;

struct OnnxNode {
  std::string name, op;
  std::vector<std::string> inputs, outputs;
  std::map<std::string, OnnxAttribute> attributes;
  bool operator==(const OnnxNode&) const = default;
};

/// What goes in or comes out. A side is a number, or the name of one that is free, as "N".
struct OnnxValue {
  std::string name;
  OnnxType type = OnnxType::float32;
  std::vector<std::variant<int64_t, std::string>> shape;
  bool operator==(const OnnxValue&) const = default;
};

struct OnnxModel {
  int64_t ir_version = 8, opset = 17;
  std::string producer, producer_version, graph_name, description;
  std::vector<OnnxNode> nodes;
  std::vector<OnnxTensor> constants;
  std::vector<OnnxValue> inputs, outputs;
  std::map<std::string, std::string> metadata;
  bool operator==(const OnnxModel&) const = default;
};

/// The file's bytes. The same model gives the same bytes.
std::string write_onnx(const OnnxModel& model);

/// The model in such bytes. `name` stands for the file in messages. Throws CheckpointError for what is no protocol
/// buffer, is cut off, or uses what this reader does not know (tensors that are not raw bytes, other attributes).
OnnxModel parse_onnx(const std::string& bytes, const std::string& name);

/// What is wrong with a model: a name that is used before it is made or made twice, a constant whose bytes do not fit
/// its shape, an output that nothing makes, constants and nodes that nothing uses; "" when nothing is.
std::string onnx_problem(const OnnxModel& model);

}  // namespace mfi
