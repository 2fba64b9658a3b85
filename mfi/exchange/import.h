// Networks that other programs trained.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "mfi/exchange/recognise.h"
#include "mfi/nn/network.h"

namespace mfi {

struct ImportSettings {
  std::string key;                  // of the dict of tensors in the file; "": chosen
  std::vector<std::string> ignore;  // tensors whose names begin with one of these are left out
  RecogniseSettings recognise;
};

/// What was made of a file.
struct ImportReport {
  std::string key;                      // of the dict that was taken; "": the outermost
  std::vector<std::string> other_keys;  // of dicts that hold as much of a network
  std::vector<std::string> notes;       // numbers and words beside it: "epoch 12"
  int64_t matched = 0;                  // tensors that became the network's
  int64_t bookkeeping = 0;              // that no network needs: num_batches_tracked
  std::vector<std::string> ignored;     // left out as settings.ignore asks
  std::vector<std::string> biases;      // of convolutions, moved into the batch norm's mean behind them
  std::string first_key;                // the stem's convolution, as the file calls it
};

struct Imported {
  std::shared_ptr<Network> network;  // in eval mode, float32
  ImportReport report;
};

/// Reads a network from a safetensors file or one that torch.save wrote (formats/torch_file.h), by what is in it and
/// not by its ending.
///
/// The dict: settings.key, else the one that holds most of a ResNet; among equals state_dict, model, net and the like
/// come before moving averages (ema). Tensors of any floating type are converted to float32. A convolution's bias
/// before a batch norm is subtracted from its running mean, which is the same function. Throws NotFoundError, IoError,
/// or CheckpointError naming the file and what is missing, left over or unusual.
Imported import_network(const std::filesystem::path& file, const ImportSettings& settings);

}  // namespace mfi
