// Pictures decoded once, and kept for all epochs: in memory, or in a file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>

#include "mfi/data/pictures.h"

namespace mfi {

/// Decoded pictures of any size, in order.
class PictureStore {
 public:
  virtual ~PictureStore() = default;
  virtual int64_t size() const = 0;

  struct Size {
    uint32_t width = 0, height = 0;
  };
  virtual Size size_of(int64_t index) const = 0;

  /// A copy of the picture. Called from all cores. Throws IoError when its file cannot be read any more.
  virtual RgbImage read(int64_t index) const = 0;
};

/// Makes picture `index`; called from all cores.
using MakePicture = std::function<RgbImage(int64_t index)>;

/// Makes `count` pictures on all cores and holds them in memory. What `make` throws is thrown, as is a wish to stop.
std::shared_ptr<const PictureStore> store_in_memory(int64_t count, const MakePicture& make);

/// The same in `file`, which is taken as it is where it is a whole store of `count` pictures, and else made, in one
/// move (replace_file), unless `check` throws once all are made. Of several processes that want it at once, one makes
/// it. The file may be deleted while it is used. Throws IoError or CannotWriteError with the reason, full disks among
/// them.
std::shared_ptr<const PictureStore> store_in_file(const std::filesystem::path& file, int64_t count,
                                                  const MakePicture& make, const std::function<void()>& check);

/// Pictures [first, first + count) of a store.
std::shared_ptr<const Pictures> pictures_in_store(std::shared_ptr<const PictureStore> store, int64_t first,
                                                  int64_t count, const PictureView& view);

}  // namespace mfi
