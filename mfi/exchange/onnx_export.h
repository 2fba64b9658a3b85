// A network as an ONNX model.
#pragma once

#include <map>
#include <string>

#include "mfi/exchange/graph.h"
#include "mfi/formats/onnx_file.h"
#include "mfi/train/checkpoint.h"

namespace mfi {

enum class OnnxPrecision {
  fp32,
  fp16,  // weights and arithmetic; what goes in and comes out stays float32
  int8,  // weights and activations, by pairs of QuantizeLinear and DequantizeLinear; needs ranges
};

/// The least and the largest that a value takes on pictures.
struct ValueRange {
  float low = 0, high = 0;
};
using ValueRanges = std::map<std::string, ValueRange>;  // by the value's name

struct OnnxSettings {
  OnnxPrecision precision = OnnxPrecision::fp32;
  bool normalise = false;  // takes pixels from 0 to 1; else normalised ones
  bool softmax = false;    // gives probabilities; else logits
  ValueRanges ranges;      // for int8
};

/// The graph as a model of opset 17. Input "images" [N, 3, height, width], float32, any N; output "logits" or
/// "probabilities" [N, classes], float32. Metadata tell what a program needs to feed it: classes, mean and standard
/// deviation, the image's size, whether both are done inside.
/// Throws ShapeError where a range is missing.
OnnxModel onnx_model(const Graph& graph, const ModelInfo& info, const OnnxSettings& settings);

/// The file's bytes, read back and held against the model. Throws Error (a defect of mfi) when they differ or when
/// onnx_problem finds something.
std::string checked_onnx(const OnnxModel& model);

/// Widens `ranges` to what the graph's values take on normalised images [N, 3, H, W].
void widen_ranges(const Graph& graph, const torch::Tensor& images, ValueRanges& ranges);

}  // namespace mfi
