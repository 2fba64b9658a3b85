// safetensors: what is read is written and read again.
#include <algorithm>
#include <cstring>

#include "fuzz/target.h"
#include "mfi/formats/safetensors.h"

namespace mfi::fuzz {

void parse(std::string_view bytes) {
  const auto file = parse_safetensors(bytes, "input");
  const auto round_trip = [&](const std::map<std::string, std::string>& metadata) {
    std::string written;
    write_safetensors([&](const void* data, size_t count) { written.append(static_cast<const char*>(data), count); },
                      file.tensors, metadata, "output");
    const auto again = parse_safetensors(written, "output");
    require(std::equal(file.tensors.begin(), file.tensors.end(), again.tensors.begin(), again.tensors.end(),
                       [](const TensorBytes& a, const TensorBytes& b) {
                         return a.name == b.name && a.type == b.type && a.shape == b.shape && a.bytes == b.bytes &&
                                (a.bytes == 0 || std::memcmp(a.data, b.data, a.bytes) == 0);
                       }),
            "tensors are written as they were read");
    return again.metadata;
  };
  auto metadata = file.metadata;
  metadata.erase(kTensorHashes);
  metadata.erase(kHeaderHash);
  require(round_trip(metadata) == metadata, "the metadata are written as they were read");
  round_trip(with_hashes(metadata, file.tensors));
  for (const auto& tensor : file.tensors) require(file.find(tensor.name) == &tensor, "a tensor is found by its name");
}

}  // namespace mfi::fuzz
