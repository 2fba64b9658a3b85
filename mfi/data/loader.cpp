#include "mfi/data/loader.h"

#include <ATen/Parallel.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <limits>
#include <mutex>
#include <numeric>
#include <thread>
#include <utility>
#include <vector>

#include "mfi/core/all_cores.h"
#include "mfi/core/error.h"
#include "mfi/core/random.h"
#include "mfi/core/text.h"
#include "mfi/data/augment.h"
#include "mfi/data/pictures.h"

namespace mfi {

namespace {

// Enough to ride out one late batch; each costs 1.5 MB at 128 images of CIFAR, 77 MB at 224 pixels.
constexpr size_t kBatchesAhead = 3;

// The stream of an epoch's order; no sample has this index.
constexpr uint64_t kOrderStream = std::numeric_limits<uint64_t>::max();

// Keeps the stream of a sample's random part apart from that of its shift and flip.
constexpr uint64_t kPartStream = uint64_t{1} << 63;

}  // namespace

struct Loader::State {
  State(const Dataset& data, const LoaderSettings& settings)
      : data(data), settings(settings), writer(settings.normalisation, settings.dtype) {}

  const Dataset data;
  const LoaderSettings settings;
  const PixelWriter writer;
  int64_t batches = 0;
  size_t threads = 1;

  std::mutex mutex;
  std::condition_variable_any changed;
  std::deque<Batch> ready;  // guarded by mutex, as are the next three
  bool finished = true;     // the worker will add nothing more
  bool started = false;
  std::exception_ptr failure;
  std::jthread worker;  // last: stopped and joined before what it uses goes away

  std::vector<int64_t> order_of(int64_t epoch) const {
    std::vector<int64_t> order(static_cast<size_t>(data.size()));
    std::iota(order.begin(), order.end(), int64_t{0});
    if (settings.shuffle) {
      RandomStream stream(settings.seed, static_cast<uint64_t>(epoch), kOrderStream);
      for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[stream.below(i)]);
    }
    return order;
  }

  // The bytes of one sample, and how they are to be looked at. `room`: of a decoded picture.
  std::pair<const uint8_t*, View> sample(int64_t index, int64_t epoch, std::vector<uint8_t>& room) const {
    const View view = settings.augment ? random_view(settings.seed, epoch, index, settings.flip) : View{};
    if (!data.pictures) return {data.images.const_data_ptr<uint8_t>() + index * 3 * data.height() * data.width(), view};
    room.resize(static_cast<size_t>(3 * data.height() * data.width()));
    if (settings.augment && data.pictures->view().random_parts) {
      RandomStream stream(settings.seed, static_cast<uint64_t>(epoch) ^ kPartStream, static_cast<uint64_t>(index));
      data.pictures->write_random_part(index, stream, room.data());
      return {room.data(), View{.flip = view.flip}};
    }
    data.pictures->write(index, room.data());
    return {room.data(), view};
  }

  // This share of the batch of `whole` samples at `first_index`; in vain when a stop is asked for meanwhile.
  Batch make_batch(const std::stop_token& stop, const int64_t* first_index, int64_t whole, int64_t epoch) const {
    const BatchShare share = settings.share;
    const int64_t count = share.of(whole), height = data.height(), width = data.width();
    Batch batch;
    batch.whole = whole;
    batch.images =
        torch::empty({count, 3, height, width},
                     torch::TensorOptions().dtype(settings.dtype).memory_format(torch::MemoryFormat::ChannelsLast));
    batch.labels = torch::empty({count}, torch::kInt64);
    batch.indices.resize(static_cast<size_t>(count));
    const int64_t* labels = data.labels.const_data_ptr<int64_t>();
    char* const out = static_cast<char*>(batch.images.data_ptr());
    int64_t* const out_labels = batch.labels.data_ptr<int64_t>();
    const int64_t bytes_each = 3 * height * width * static_cast<int64_t>(batch.images.element_size());
    on_threads(threads, static_cast<size_t>(count), [&](size_t sample_in_batch) {
      if (stop.stop_requested()) return;
      const auto i = static_cast<int64_t>(sample_in_batch);
      const int64_t index = first_index[share.index + i * share.count];
      batch.indices[sample_in_batch] = index;
      thread_local std::vector<uint8_t> room;
      const auto [bytes, view] = sample(index, epoch, room);
      writer.write(bytes, height, width, view, out + i * bytes_each);
      out_labels[i] = labels[index];
    });
    return batch;
  }

  void work(const std::stop_token& stop, int64_t epoch, int64_t first_batch) {
    try {
      const std::vector<int64_t> order = order_of(epoch);
      for (int64_t b = first_batch; b < batches && !stop.stop_requested(); ++b) {
        const int64_t first = b * settings.batch_size;
        const int64_t whole = std::min(settings.batch_size, data.size() - first);
        if (settings.share.of(whole) == 0) continue;
        Batch batch = make_batch(stop, order.data() + first, whole, epoch);
        std::unique_lock lock(mutex);
        if (!changed.wait(lock, stop, [&] { return ready.size() < kBatchesAhead; }) || stop.stop_requested()) return;
        ready.push_back(std::move(batch));
        changed.notify_all();
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
    const std::lock_guard lock(mutex);
    finished = true;
    changed.notify_all();
  }
};

Loader::Loader(const Dataset& data, const LoaderSettings& settings) : state_(std::make_unique<State>(data, settings)) {
  if (settings.batch_size < 1)
    throw RecipeError("batch_size is " + std::to_string(settings.batch_size) + ", expected 1 or more");
  if (data.size() == 0) throw DataError("no images to load: this part of the dataset is empty");
  const torch::Tensor& images = data.images;
  if (data.pictures && data.pictures->size() != data.size())
    throw ShapeError(format("Loader: %lld pictures with %lld labels", static_cast<long long>(data.pictures->size()),
                            static_cast<long long>(data.size())));
  if (!data.pictures &&
      (images.dim() != 4 || images.size(1) != 3 || images.scalar_type() != torch::kUInt8 || !images.is_contiguous() ||
       images.size(0) != data.size() || data.labels.scalar_type() != torch::kInt64 || !data.labels.is_contiguous()))
    throw ShapeError("Loader: images are " + c10::str(images.sizes()) + ", labels " + c10::str(data.labels.sizes()) +
                     "; expected contiguous bytes [N, 3, H, W] and int64 [N]");
  const int64_t usual_threads = data.pictures ? at::get_num_threads() : 1;
  state_->threads = static_cast<size_t>(settings.threads > 0 ? settings.threads : usual_threads);
  if (settings.drop_last && data.size() < settings.batch_size)
    throw DataError("only " + std::to_string(data.size()) + " images for batches of " +
                    std::to_string(settings.batch_size) + ": choose a smaller batch_size or a larger limit");
  const int64_t rest = data.size() % settings.batch_size;
  state_->batches = data.size() / settings.batch_size + (rest > 0 && !settings.drop_last ? 1 : 0);
}

Loader::~Loader() = default;

int64_t Loader::batches_per_epoch() const { return state_->batches; }

const LoaderSettings& Loader::settings() const { return state_->settings; }

void Loader::start_epoch(int64_t epoch, int64_t first_batch) {
  // Assigning to the thread asks the old one to stop and joins it.
  state_->worker = std::jthread();
  {
    const std::lock_guard lock(state_->mutex);
    state_->ready.clear();
    state_->failure = nullptr;
    state_->finished = false;
    state_->started = true;
  }
  state_->worker = std::jthread([state = state_.get(), epoch, first_batch](const std::stop_token& stop) {
    state->work(stop, epoch, first_batch);
  });
}

std::optional<Batch> Loader::next() {
  std::unique_lock lock(state_->mutex);
  if (!state_->started) throw Error(ExitCode::internal, "Loader::next was called before start_epoch");
  state_->changed.wait(lock, [&] { return !state_->ready.empty() || state_->finished; });
  if (state_->ready.empty()) {
    // The batches made before a failure have been handed out by now.
    if (state_->failure) std::rethrow_exception(state_->failure);
    return std::nullopt;
  }
  Batch batch = std::move(state_->ready.front());
  state_->ready.pop_front();
  state_->changed.notify_all();
  return batch;
}

}  // namespace mfi
