#include "mfi/train/checkpoint.h"

#include <cstring>
#include <nlohmann/json.hpp>

#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/formats/safetensors.h"

namespace mfi {
namespace {

struct TypePair {
  torch::ScalarType torch;
  TensorType file;
  const char* name;
};

constexpr TypePair kTypes[] = {
    {torch::kFloat64, TensorType::f64, "float64"}, {torch::kFloat32, TensorType::f32, "float32"},
    {torch::kFloat16, TensorType::f16, "float16"}, {torch::kBFloat16, TensorType::bf16, "bfloat16"},
    {torch::kInt64, TensorType::i64, "int64"},     {torch::kInt32, TensorType::i32, "int32"},
    {torch::kInt16, TensorType::i16, "int16"},     {torch::kInt8, TensorType::i8, "int8"},
    {torch::kUInt8, TensorType::u8, "uint8"},      {torch::kBool, TensorType::boolean, "bool"}};

const TypePair& type_of(torch::ScalarType type) {
  for (const auto& pair : kTypes)
    if (pair.torch == type) return pair;
  throw ShapeError("a tensor type that safetensors files do not hold");
}

const TypePair& type_of(TensorType type) {
  for (const auto& pair : kTypes)
    if (pair.file == type) return pair;
  throw ShapeError("an unknown tensor type");
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::vector<std::string> sizes;
  for (const auto size : shape) sizes.push_back(std::to_string(size));
  return "[" + join(sizes, ", ") + "]";
}

// Checks every tensor before copying any, so that a failure leaves the target as it was.
void copy_checked(const std::filesystem::path& path, const SafetensorsFile& file, const NamedTensors& into) {
  torch::NoGradGuard no_grad;
  std::vector<const TensorBytes*> sources;
  for (const auto& [name, target] : into) {
    const auto* source = file.find(name);
    const auto& type = type_of(target.scalar_type());
    if (!source)
      throw CheckpointError(path.string() + ": tensor '" + name + "' is missing; the file is of another network");
    if (source->shape != target.sizes().vec() || source->type != type.file)
      throw CheckpointError(path.string() + ": tensor '" + name + "' is " + type_of(source->type).name + " " +
                            shape_text(source->shape) + ", expected " + type.name + " " +
                            shape_text(target.sizes().vec()) + "; the file is of another network");
    sources.push_back(source);
  }
  if (file.tensors.size() != into.size())
    for (const auto& tensor : file.tensors) {
      const auto known = std::any_of(into.begin(), into.end(), [&](const auto& t) { return t.first == tensor.name; });
      if (!known)
        throw CheckpointError(path.string() + ": tensor '" + tensor.name +
                              "' has no place in this network; the file is of another network");
    }
  for (size_t i = 0; i < into.size(); ++i)
    into[i].second.copy_(torch::from_blob(const_cast<std::byte*>(sources[i]->data), into[i].second.sizes(),
                                          into[i].second.scalar_type()));
}

}  // namespace

void save_tensors(const std::filesystem::path& file, const NamedTensors& tensors,
                  const std::map<std::string, std::string>& metadata) {
  std::vector<torch::Tensor> keep_alive;
  std::vector<TensorBytes> bytes;
  for (const auto& [name, tensor] : tensors) {
    keep_alive.push_back(tensor.detach().to(torch::kCPU).contiguous());
    const auto& t = keep_alive.back();
    bytes.push_back({name, type_of(t.scalar_type()).file, t.sizes().vec(), static_cast<const std::byte*>(t.data_ptr()),
                     static_cast<size_t>(t.nbytes())});
  }
  write_safetensors(file, bytes, metadata);
}

std::map<std::string, std::string> load_tensors(const std::filesystem::path& path, const NamedTensors& into) {
  const auto file = read_safetensors(path);
  copy_checked(path, file, into);
  return file.metadata;
}

void save_model(const std::filesystem::path& file, const Network& network, const ModelInfo& info) {
  nlohmann::ordered_json json{{"dataset", info.dataset},
                              {"step", info.step},
                              {"class_names", info.class_names},
                              {"mean", info.normalisation.mean},
                              {"stddev", info.normalisation.stddev}};
  save_tensors(file, named_tensors(network),
               {{"mfi.format", "model-1"}, {"mfi.arch", arch_to_json(network.arch())}, {"mfi.info", json.dump()}});
}

Model load_model(const std::filesystem::path& path) {
  const auto file = read_safetensors(path);
  const auto arch = file.metadata.find("mfi.arch"), info = file.metadata.find("mfi.info");
  if (arch == file.metadata.end() || info == file.metadata.end())
    throw CheckpointError(path.string() + ": no description of the network inside; expected a model that mfi saved");
  Model model;
  try {
    model.network = std::make_shared<Network>(arch_from_json(arch->second));
    const auto json = nlohmann::json::parse(info->second);
    model.info = {json.at("class_names"), {json.at("mean"), json.at("stddev")}, json.at("dataset"), json.at("step")};
  } catch (const std::exception& error) {
    throw CheckpointError(path.string() + ": " + error.what());
  }
  copy_checked(path, file, named_tensors(*model.network));
  model.network->eval();
  return model;
}

Model load_model(const std::filesystem::path& path, const Arch& expected) {
  auto model = load_model(path);
  const auto difference = first_difference(model.network->arch(), expected);
  if (!difference.empty())
    throw CheckpointError(path.string() + ": holds another network than this step makes (" + difference +
                          "); remove the file, or run the step again with --force");
  return model;
}

}  // namespace mfi
