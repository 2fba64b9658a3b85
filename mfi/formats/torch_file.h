// Files that torch.save wrote: zip archives (PyTorch 1.6 and later) and the row of pickles before them. No LibTorch
// here, and nothing in a file is ever run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mfi/formats/safetensors.h"

namespace mfi {

/// A tensor as a view of a storage, which other tensors may share.
struct StoredTensor {
  TensorType type = TensorType::f32;
  std::vector<int64_t> shape, strides;  // strides and offset in elements
  int64_t offset = 0;
  const std::byte* storage = nullptr;  // little-endian; the view lies within it

  /// What is wrong with it, where it cannot be read: a type that mfi does not know, a function that it would have to
  /// call. The rest is then empty.
  std::string problem;
};

/// Tensors by their names in one dict of a file, or in one module that was saved whole.
struct StateDict {
  std::string key;                                            // where in the file: "", "state_dict", "ema.module"
  std::vector<std::pair<std::string, StoredTensor>> tensors;  // as the file orders them
};

/// A file in memory. `state_dicts` point into `storage`. Moving keeps the pointers valid, copying would not.
struct TorchFile {
  TorchFile() = default;
  TorchFile(TorchFile&&) = default;
  TorchFile& operator=(TorchFile&&) = default;

  std::vector<StateDict> state_dicts;           // in the file's order, outer before inner ones
  std::vector<std::string> notes;               // numbers and words at the outermost level: "epoch 12", "arch resnet56"
  std::vector<std::vector<std::byte>> storage;  // what their tensors view
};

/// Reads a file. Dicts whose values are tensors are found at any depth, and modules that were saved whole are taken
/// apart as their state_dict() would. What else the file holds (optimisers, arguments, classes) is passed over.
///
/// Throws NotFoundError, IoError, or CheckpointError naming file, place and what is wrong: cut off, damaged, no file
/// of PyTorch, tensors that lie outside their storage.
TorchFile read_torch_file(const std::filesystem::path& path);

/// The same for bytes at hand.
TorchFile parse_torch_file(std::string_view bytes, const std::string& name);

}  // namespace mfi
