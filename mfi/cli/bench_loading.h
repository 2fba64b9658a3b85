// How fast a folder of pictures becomes batches.
#pragma once

#include <cstdint>
#include <string>

namespace mfi {

struct LoadingArguments {
  std::string folder;
  int64_t batch = 128, threads = 2, image_size = 0;  // image_size 0: as a run chooses it
  bool augment = false;                              // as in training; else as evaluation sees them
  std::string precision = "bf16";
  double seconds = 10;
};

/// Decodes and prepares the training pictures of a folder for so long, epoch after epoch, with nothing kept from one
/// to the next, and prints a line of JSON. Errors as open_data.
void bench_loading(const LoadingArguments& arguments);

}  // namespace mfi
