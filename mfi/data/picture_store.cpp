#include "mfi/data/picture_store.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "mfi/core/all_cores.h"
#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/run_lock.h"
#include "mfi/core/stop_signal.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;

class MemoryStore : public PictureStore {
 public:
  explicit MemoryStore(std::vector<RgbImage> images) : images_(std::move(images)) {}
  int64_t size() const override { return static_cast<int64_t>(images_.size()); }
  Pixels at(int64_t index) const override {
    const auto& image = images_.at(static_cast<size_t>(index));
    return {image.width, image.height, image.pixels.data()};
  }

 private:
  std::vector<RgbImage> images_;
};

// A store's file: the pixels of all pictures, then their sizes, then a Tail. Only of use on the machine that wrote it.
struct Size {
  uint32_t width, height;
};
struct Tail {
  uint64_t count;
  char magic[8];
};
constexpr char kMagic[9] = "MFIPICS1";

// The file's bytes as memory; the kernel keeps what is in use, and drops what it must.
class Mapping {
 public:
  explicit Mapping(const fs::path& file) {
    const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return;
    struct stat status {};
    if (::fstat(descriptor, &status) == 0 && status.st_size > 0) {
      size_ = static_cast<size_t>(status.st_size);
      void* const bytes = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, descriptor, 0);
      if (bytes != MAP_FAILED) bytes_ = static_cast<const uint8_t*>(bytes);
    }
    ::close(descriptor);
  }
  ~Mapping() {
    if (bytes_) ::munmap(const_cast<uint8_t*>(bytes_), size_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  const uint8_t* bytes() const { return bytes_; }
  size_t size() const { return bytes_ ? size_ : 0; }

 private:
  const uint8_t* bytes_ = nullptr;
  size_t size_ = 0;
};

class FileStore : public PictureStore {
 public:
  // Nothing where the file is not a whole store of `count` pictures.
  static std::shared_ptr<const PictureStore> open(const fs::path& file, int64_t count) {
    std::shared_ptr<FileStore> store(new FileStore(file));
    return store->read_index(static_cast<uint64_t>(count)) ? store : nullptr;
  }

  int64_t size() const override { return static_cast<int64_t>(sizes_.size()); }
  Pixels at(int64_t index) const override {
    const auto i = static_cast<size_t>(index);
    return {sizes_.at(i).width, sizes_[i].height, mapping_.bytes() + offsets_[i]};
  }

 private:
  explicit FileStore(const fs::path& file) : mapping_(file) {}

  bool read_index(uint64_t count) {
    Tail tail{};
    if (mapping_.size() < sizeof tail) return false;
    const size_t end = mapping_.size() - sizeof tail;
    std::memcpy(&tail, mapping_.bytes() + end, sizeof tail);
    if (std::memcmp(tail.magic, kMagic, sizeof tail.magic) != 0 || tail.count != count || count > end / sizeof(Size))
      return false;
    const size_t pixels_end = end - count * sizeof(Size);
    sizes_.resize(count);
    std::memcpy(sizes_.data(), mapping_.bytes() + pixels_end, count * sizeof(Size));
    size_t offset = 0;
    for (const auto& size : sizes_) {
      offsets_.push_back(offset);
      const uint64_t bytes = uint64_t{size.width} * size.height;
      if (bytes > (pixels_end - offset) / 3) return false;
      offset += 3 * bytes;
    }
    return offset == pixels_end;
  }

  Mapping mapping_;
  std::vector<Size> sizes_;
  std::vector<size_t> offsets_;
};

void write_store(const fs::path& file, int64_t count, const MakePicture& make, const std::function<void()>& check) {
  // Enough to keep all cores busy; 40 MB of photographs.
  constexpr int64_t kAtOnce = 256;
  replace_file(file, [&](const ByteSink& sink) {
    std::vector<Size> sizes;
    for (int64_t first = 0; first < count; first += kAtOnce) {
      std::vector<RgbImage> images(static_cast<size_t>(std::min(kAtOnce, count - first)));
      on_all_cores(images.size(), [&](size_t i) {
        throw_if_stopped();
        images[i] = make(first + static_cast<int64_t>(i));
      });
      for (const auto& image : images) {
        sizes.push_back({static_cast<uint32_t>(image.width), static_cast<uint32_t>(image.height)});
        sink(image.pixels.data(), image.pixels.size());
      }
    }
    check();
    sink(sizes.data(), sizes.size() * sizeof(Size));
    Tail tail{static_cast<uint64_t>(count), {}};
    std::memcpy(tail.magic, kMagic, sizeof tail.magic);
    sink(&tail, sizeof tail);
  });
}

// Held while a store is looked for and made, so that of several processes one makes it.
std::unique_ptr<RunLock> lock_of(const fs::path& file) {
  for (;;) {
    throw_if_stopped();
    try {
      return std::make_unique<RunLock>(
          file.parent_path(), LockOptions{.patience_seconds = 0.2, .name = file.filename().string() + ".lock"});
    } catch (const BusyError&) {
      continue;  // another one is making it
    }
  }
}

class StoredPictures : public Pictures {
 public:
  StoredPictures(std::shared_ptr<const PictureStore> store, int64_t first, int64_t count, const PictureView& view)
      : Pictures(view), store_(std::move(store)), first_(first), count_(count) {}

  int64_t size() const override { return count_; }

 protected:
  Opened open(int64_t index) const override {
    const auto stored = store_->at(first_ + index);
    return {stored.width, stored.height, [stored](int64_t) {
              RgbImage image;
              image.width = stored.width;
              image.height = stored.height;
              image.pixels.assign(stored.pixels, stored.pixels + 3 * stored.width * stored.height);
              return image;
            }};
  }

 private:
  std::shared_ptr<const PictureStore> store_;
  int64_t first_, count_;
};

}  // namespace

std::shared_ptr<const PictureStore> store_in_memory(int64_t count, const MakePicture& make) {
  std::vector<RgbImage> images(static_cast<size_t>(count));
  on_all_cores(images.size(), [&](size_t i) {
    throw_if_stopped();
    images[i] = make(static_cast<int64_t>(i));
  });
  return std::make_shared<MemoryStore>(std::move(images));
}

std::shared_ptr<const PictureStore> store_in_file(const fs::path& file, int64_t count, const MakePicture& make,
                                                  const std::function<void()>& check) {
  make_folder(file.parent_path());
  const auto lock = lock_of(file);
  if (auto store = FileStore::open(file, count)) return store;
  write_store(file, count, make, check);
  if (auto store = FileStore::open(file, count)) return store;
  throw IoError(file.string() + ": cannot be read back");
}

std::shared_ptr<const Pictures> pictures_in_store(std::shared_ptr<const PictureStore> store, int64_t first,
                                                  int64_t count, const PictureView& view) {
  return std::make_shared<StoredPictures>(std::move(store), first, count, view);
}

}  // namespace mfi
