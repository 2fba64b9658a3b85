#include "mfi/data/picture_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
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
  Size size_of(int64_t index) const override {
    const auto& image = images_.at(static_cast<size_t>(index));
    return {static_cast<uint32_t>(image.width), static_cast<uint32_t>(image.height)};
  }
  RgbImage read(int64_t index) const override { return images_.at(static_cast<size_t>(index)); }

 private:
  std::vector<RgbImage> images_;
};

// A store's file: the pixels of all pictures, then their sizes, then a Tail. Only of use on the machine that wrote it.
struct Tail {
  uint64_t count;
  char magic[8];
};
constexpr char kMagic[9] = "MFIPICS1";

// Read and not mapped: a file that is cut off or cannot be read in the midst of a training is then an error with a
// message, where a mapping would end the process.
class OpenFile {
 public:
  explicit OpenFile(fs::path path) : path_(std::move(path)), descriptor_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {
    struct stat status {};
    if (descriptor_ >= 0 && ::fstat(descriptor_, &status) == 0) size_ = static_cast<uint64_t>(status.st_size);
  }
  ~OpenFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  uint64_t size() const { return size_; }  // 0 when it is not there

  void read(uint64_t offset, void* to, size_t bytes) const {
    auto* const out = static_cast<char*>(to);
    for (size_t done = 0; done < bytes;) {
      const auto got = ::pread(descriptor_, out + done, bytes - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw IoError(path_.string() + ": cannot be read: " + std::strerror(errno));
      if (got == 0)
        throw IoError(path_.string() +
                      ": ends where pictures were; it was cut off while it was in use. Remove it, and " +
                      "the same command makes it anew and goes on");
      done += static_cast<size_t>(got);
    }
  }

 private:
  fs::path path_;
  int descriptor_;
  uint64_t size_ = 0;
};

class FileStore : public PictureStore {
 public:
  // Nothing where the file is not a whole store of `count` pictures.
  static std::shared_ptr<const PictureStore> open(const fs::path& file, int64_t count) {
    std::shared_ptr<FileStore> store(new FileStore(file));
    return store->read_index(static_cast<uint64_t>(count)) ? store : nullptr;
  }

  int64_t size() const override { return static_cast<int64_t>(sizes_.size()); }
  Size size_of(int64_t index) const override { return sizes_.at(static_cast<size_t>(index)); }
  RgbImage read(int64_t index) const override {
    const auto size = size_of(index);
    RgbImage image{size.width, size.height, {}};
    image.pixels.resize(bytes_of(size));
    file_.read(offsets_[static_cast<size_t>(index)], image.pixels.data(), image.pixels.size());
    return image;
  }

 private:
  explicit FileStore(const fs::path& file) : file_(file) {}

  static uint64_t bytes_of(const Size& size) { return 3 * uint64_t{size.width} * size.height; }

  bool read_index(uint64_t count) {
    Tail tail{};
    if (file_.size() < sizeof tail) return false;
    const uint64_t end = file_.size() - sizeof tail;
    file_.read(end, &tail, sizeof tail);
    if (std::memcmp(tail.magic, kMagic, sizeof tail.magic) != 0 || tail.count != count || count > end / sizeof(Size))
      return false;
    const uint64_t pixels_end = end - count * sizeof(Size);
    sizes_.resize(count);
    file_.read(pixels_end, sizes_.data(), count * sizeof(Size));
    uint64_t offset = 0;
    for (const auto& size : sizes_) {
      offsets_.push_back(offset);
      if (bytes_of(size) / 3 > (pixels_end - offset) / 3) return false;
      offset += bytes_of(size);
    }
    return offset == pixels_end;
  }

  OpenFile file_;
  std::vector<Size> sizes_;
  std::vector<uint64_t> offsets_;
};

void write_store(const fs::path& file, int64_t count, const MakePicture& make, const std::function<void()>& check) {
  // Enough to keep all cores busy; 40 MB of photographs.
  constexpr int64_t kAtOnce = 256;
  replace_file(file, [&](const ByteSink& sink) {
    std::vector<PictureStore::Size> sizes;
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
    sink(sizes.data(), sizes.size() * sizeof(PictureStore::Size));
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
    const auto size = store_->size_of(first_ + index);
    return {size.width, size.height, [store = store_, i = first_ + index](int64_t) { return store->read(i); }};
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
