// Gloo, which moves tensors between processes over TCP.
#pragma once

#include "mfi/core/torch.h"

#include <chrono>
#include <string>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace mfi {

/// Connects this process with the size - 1 others that call this with the same store. Blocks until all
/// have, or throws after `timeout`, which also holds for every operation later.
/// address: the IP address of this host by which the others reach it; or, where the environment has
/// GLOO_SOCKET_IFNAME, that network interface instead.
c10::intrusive_ptr<c10d::Backend> connect_gloo(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size,
                                               const std::string& address, std::chrono::milliseconds timeout);

}  // namespace mfi
