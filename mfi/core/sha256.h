// SHA-256, to tell whether bytes are the ones that they should be.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace mfi {

/// A running SHA-256 (FIPS 180-4).
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(const void* data, size_t bytes);

  /// 64 lower-case hex digits over everything so far; the object is used up.
  std::string hex_digest();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Digest of bytes at hand.
std::string sha256_text(std::string_view bytes);

/// Digest of a file's content. Throws NotFoundError when it cannot be opened, IoError when reading fails.
std::string sha256_file(const std::filesystem::path& path);

}  // namespace mfi
