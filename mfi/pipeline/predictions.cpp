#include "mfi/pipeline/predictions.h"

#include <cstring>

#include "mfi/core/error.h"
#include "mfi/formats/safetensors.h"

namespace mfi {
namespace {

template <class Value>
TensorBytes tensor(const std::string& name, TensorType type, const std::vector<Value>& values) {
  return {name,
          type,
          {static_cast<int64_t>(values.size())},
          reinterpret_cast<const std::byte*>(values.data()),
          values.size() * sizeof(Value)};
}

template <class Value>
void take(const std::filesystem::path& path, const SafetensorsFile& file, const std::string& name, TensorType type,
          std::vector<Value>& to) {
  const auto* found = file.find(name);
  if (!found || found->type != type || found->shape.size() != 1)
    throw CheckpointError(path.string() + ": expected a step's answers, with a row of numbers named " + name +
                          "; run the step again with --force");
  to.resize(static_cast<size_t>(found->shape[0]));
  if (!to.empty()) std::memcpy(to.data(), found->data, found->bytes);
}

}  // namespace

void write_predictions(const std::filesystem::path& file, const Answers& answers) {
  const std::vector<TensorBytes> tensors{tensor("class", TensorType::i64, answers.classes),
                                         tensor("probability", TensorType::f32, answers.probabilities),
                                         tensor("label", TensorType::i64, answers.labels)};
  write_safetensors(file, tensors, with_hashes({{"mfi.format", "predictions-1"}}, tensors));
}

Answers read_predictions(const std::filesystem::path& file) {
  const auto read = read_safetensors(file);
  Answers out;
  take(file, read, "class", TensorType::i64, out.classes);
  take(file, read, "probability", TensorType::f32, out.probabilities);
  take(file, read, "label", TensorType::i64, out.labels);
  if (out.classes.size() != out.labels.size() || out.probabilities.size() != out.labels.size())
    throw CheckpointError(file.string() + ": the numbers of classes, probabilities and labels differ");
  return out;
}

}  // namespace mfi
