#include "mfi/train/checkpoint.h"

#include <cstring>
#include <nlohmann/json.hpp>

#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/formats/safetensors.h"
#include "mfi/nn/cost.h"
#include "mfi/train/tensor_types.h"

namespace mfi {
namespace {

// Checks every tensor before copying any, so that a failure leaves the target as it was.
void copy_checked(const std::filesystem::path& path, const SafetensorsFile& file, const NamedTensors& into) {
  torch::NoGradGuard no_grad;
  std::vector<const TensorBytes*> sources;
  for (const auto& [name, target] : into) {
    const auto* source = file.find(name);
    const auto type = file_type(target.scalar_type());
    if (!source)
      throw CheckpointError(path.string() + ": tensor '" + name + "' is missing; the file is of another network");
    if (source->shape != target.sizes().vec() || source->type != type)
      throw CheckpointError(path.string() + ": tensor '" + name + "' is " + type_name(source->type) + " " +
                            shape_text(source->shape) + ", expected " + type_name(type) + " " +
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

// Files of "model-1" had no hashes.
constexpr const char* kModelFormat = "model-2";

// Beyond what JSON itself requires, all that other code relies on.
void check(const ModelDescription& model) {
  const auto& info = model.info;
  const auto require = [](bool holds, const std::string& what) {
    if (!holds) throw CheckpointError("mfi.info: " + what);
  };
  const auto classes = static_cast<size_t>(model.arch.classes);
  require(info.class_names.size() == classes,
          format("has %zu class_names for %zu classes", info.class_names.size(), classes));
  for (size_t c = 0; c < 3; ++c)
    require(std::isfinite(info.normalisation.mean[c]) && std::isfinite(info.normalisation.stddev[c]) &&
                info.normalisation.stddev[c] > 0,
            "mean and stddev are to be finite, and stddev above 0");
  require(info.resize == "bicubic" || info.resize == "bilinear", "resize is neither bicubic nor bilinear");
  require(info.crop >= 0.01 && info.crop <= 1, "crop is not 0.01 to 1");
  require(info.test >= 0 && info.test < 1, "test is not 0 to 1");
  constexpr int64_t kLargest = 4096;  // as in recipes
  require(model.arch.image_size <= kLargest,
          format("pictures of %lld pixels along a side, at most %lld are taken",
                 static_cast<long long>(model.arch.image_size), static_cast<long long>(kLargest)));
}

ModelDescription description_in(const std::map<std::string, std::string>& metadata, const std::filesystem::path& path) {
  const auto arch = metadata.find("mfi.arch"), info = metadata.find("mfi.info"), written = metadata.find("mfi.format");
  if (arch == metadata.end() || info == metadata.end())
    throw CheckpointError(path.string() +
                          ": no description of the network inside; expected a model that mfi saved "
                          "('mfi import' makes one from another program's)");
  if (written == metadata.end() || written->second != "model-1") require_hashes(metadata, path);
  try {
    ModelDescription out;
    out.arch = arch_from_json(arch->second);
    const auto json = nlohmann::json::parse(info->second);
    out.info = {json.at("class_names"),
                {json.at("mean"), json.at("stddev")},
                json.at("dataset"),
                json.at("step"),
                json.value("resize", out.info.resize),
                json.value("crop", out.info.crop),
                json.value("test", out.info.test),
                json.value("seed", out.info.seed)};
    check(out);
    return out;
  } catch (const std::exception& error) {
    throw CheckpointError(path.string() + ": " + error.what());
  }
}

}  // namespace

void save_tensors(const std::filesystem::path& file, const NamedTensors& tensors,
                  const std::map<std::string, std::string>& metadata) {
  std::vector<torch::Tensor> keep_alive;
  std::vector<TensorBytes> bytes;
  for (const auto& [name, tensor] : tensors) {
    keep_alive.push_back(tensor.detach().to(torch::kCPU).contiguous());
    const auto& t = keep_alive.back();
    bytes.push_back({name, file_type(t.scalar_type()), t.sizes().vec(), static_cast<const std::byte*>(t.data_ptr()),
                     static_cast<size_t>(t.nbytes())});
  }
  write_safetensors(file, bytes, with_hashes(metadata, bytes));
}

void require_hashes(const std::map<std::string, std::string>& metadata, const std::filesystem::path& file) {
  for (const char* key : {kTensorHashes, kHeaderHash})
    if (!metadata.contains(key))
      throw CheckpointError(file.string() + ": its checksums (" + key + ") are missing; the file is damaged");
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
                              {"stddev", info.normalisation.stddev},
                              {"resize", info.resize},
                              {"crop", info.crop},
                              {"test", info.test},
                              {"seed", info.seed}};
  // So that a file without names is still whole.
  if (info.class_names.empty())
    for (int64_t i = 0; i < network.arch().classes; ++i) json["class_names"].push_back(std::to_string(i));
  save_tensors(file, named_tensors(network),
               {{"mfi.format", kModelFormat}, {"mfi.arch", arch_to_json(network.arch())}, {"mfi.info", json.dump()}});
}

bool ModelInfo::may_have_classes(const std::vector<std::string>& names) const {
  if (class_names == names) return true;
  for (size_t i = 0; i < class_names.size(); ++i)
    if (class_names[i] != std::to_string(i)) return false;
  return class_names.size() == names.size();
}

ModelDescription describe_model(const std::filesystem::path& path) {
  return description_in(read_safetensors_metadata(path), path);
}

Model load_model(const std::filesystem::path& path) {
  const auto file = read_safetensors(path);
  auto description = description_in(file.metadata, path);
  // Before memory is taken for what may be a lie.
  const auto parameters = total_cost(description.arch).parameters;
  if (static_cast<uint64_t>(parameters) > file.storage.size() / sizeof(float))
    throw CheckpointError(path.string() + ": describes a network of " + count_text(static_cast<double>(parameters)) +
                          " parameters, but holds only " + bytes_text(static_cast<double>(file.storage.size())) +
                          "; the file is damaged or of another network");
  Model model;
  model.network = std::make_shared<Network>(description.arch);
  model.info = std::move(description.info);
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
