#include "mfi/train/tensor_types.h"

#include "mfi/core/error.h"
#include "mfi/core/text.h"

namespace mfi {
namespace {

struct TypePair {
  torch::ScalarType torch;
  TensorType file;
  const char* name;
};

constexpr TypePair kTypes[] = {{torch::kFloat64, TensorType::f64, "float64"},
                               {torch::kFloat32, TensorType::f32, "float32"},
                               {torch::kFloat16, TensorType::f16, "float16"},
                               {torch::kBFloat16, TensorType::bf16, "bfloat16"},
                               {torch::kInt64, TensorType::i64, "int64"},
                               {torch::kInt32, TensorType::i32, "int32"},
                               {torch::kInt16, TensorType::i16, "int16"},
                               {torch::kInt8, TensorType::i8, "int8"},
                               {torch::kUInt8, TensorType::u8, "uint8"},
                               {torch::kBool, TensorType::boolean, "bool"},
                               {torch::kUInt16, TensorType::u16, "uint16"},
                               {torch::kUInt32, TensorType::u32, "uint32"},
                               {torch::kUInt64, TensorType::u64, "uint64"},
                               {torch::kFloat8_e4m3fn, TensorType::f8_e4m3, "float8_e4m3fn"},
                               {torch::kFloat8_e5m2, TensorType::f8_e5m2, "float8_e5m2"}};

const TypePair& entry(TensorType type) {
  for (const auto& pair : kTypes)
    if (pair.file == type) return pair;
  throw ShapeError("an unknown tensor type");
}

}  // namespace

torch::ScalarType torch_type(TensorType type) { return entry(type).torch; }

TensorType file_type(torch::ScalarType type) {
  for (const auto& pair : kTypes)
    if (pair.torch == type) return pair.file;
  throw ShapeError("a tensor type that safetensors files do not hold");
}

std::string type_name(TensorType type) { return entry(type).name; }

std::string shape_text(const std::vector<int64_t>& shape) {
  std::vector<std::string> sizes;
  for (const auto size : shape) sizes.push_back(std::to_string(size));
  return "[" + join(sizes, ", ") + "]";
}

}  // namespace mfi
