// A network as a Python program that needs torch alone.
#pragma once

#include <string>

#include "mfi/nn/network.h"
#include "mfi/train/checkpoint.h"

namespace mfi {

/// The source of a module with the network's classes, a function that loads its weights, and a small command line.
/// weights_file: the name of the safetensors file that lies beside it.
std::string pytorch_source(const Arch& folded, const ModelInfo& info, const std::string& weights_file);

/// The folded network's tensors by the names that the module has for them.
NamedTensors pytorch_tensors(const Network& folded);

}  // namespace mfi
