// Models and training states as safetensors files.
#pragma once

#include "mfi/core/torch.h"

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mfi/data/dataset.h"
#include "mfi/nn/network.h"

namespace mfi {

using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

/// Writes tensors (any device, any strides) and text by replace-on-success, with their hashes.
void save_tensors(const std::filesystem::path& file, const NamedTensors& tensors,
                  const std::map<std::string, std::string>& metadata);

/// Copies a file's tensors into `into`, by name. Every name must be there, with the same shape and
/// type, and none may be left over. Throws CheckpointError naming file, tensor and the difference;
/// `into` is then unchanged. Returns the metadata.
std::map<std::string, std::string> load_tensors(const std::filesystem::path& file, const NamedTensors& into);

/// Throws CheckpointError unless a file's metadata hold the hashes that save_tensors writes. Where they are there,
/// reading has checked them.
void require_hashes(const std::map<std::string, std::string>& metadata, const std::filesystem::path& file);

/// What a model file holds beside its weights.
struct ModelInfo {
  std::vector<std::string> class_names;
  Normalisation normalisation;
  std::string dataset;  // what it was trained on
  std::string step;     // the pipeline step that made it
  // How pictures of other sizes are brought to the network's: the shorter side resized, its middle cut out.
  std::string resize = "bicubic";  // or bilinear
  double crop = 1;                 // share of the shorter side that is kept
  // Which pictures were held out for the test, where their folder has no part for it (DataSettings).
  double test = 0.2;
  uint64_t seed = 0;

  /// Whether `names` may be those of the model's classes: they are the same, or the model has only numbers.
  bool may_have_classes(const std::vector<std::string>& names) const;
};

/// Saves a network with its Arch, so that the file alone rebuilds it.
void save_model(const std::filesystem::path& file, const Network& network, const ModelInfo& info);

/// What a model file says of itself, without its weights.
struct ModelDescription {
  Arch arch;
  ModelInfo info;
};

/// Reads no further than the file's header. Errors as load_model.
ModelDescription describe_model(const std::filesystem::path& file);

struct Model {
  std::shared_ptr<Network> network;  // in eval mode, float32, on the CPU
  ModelInfo info;
};

/// Throws NotFoundError, or CheckpointError naming file and what is wrong.
Model load_model(const std::filesystem::path& file);

/// Throws CheckpointError when the network in `file` is not of this Arch, naming the first difference.
Model load_model(const std::filesystem::path& file, const Arch& expected);

}  // namespace mfi
