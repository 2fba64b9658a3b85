#include "mfi/cli/bench_loading.h"

#include <chrono>
#include <iostream>

#include "mfi/core/stop_signal.h"
#include "mfi/core/text.h"
#include "mfi/data/loader.h"

namespace mfi {

void bench_loading(const LoadingArguments& arguments) {
  using Clock = std::chrono::steady_clock;
  DataSettings data_settings;
  data_settings.dataset = "pictures";
  data_settings.image_size = arguments.image_size;
  data_settings.cache = "none";
  data_settings.normalisation = Normalisation{};  // measuring it would decode pictures before the clock starts
  const auto data = open_data(data_settings, arguments.folder);

  LoaderSettings settings;
  settings.batch_size = arguments.batch;
  settings.shuffle = settings.augment = arguments.augment;
  settings.drop_last = false;
  settings.threads = arguments.threads;
  settings.dtype = arguments.precision == "bf16" ? torch::kBFloat16 : torch::kFloat32;
  Loader loader(data.train, settings);

  install_stop_handlers();
  int64_t images = 0;
  const auto start = Clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  for (int64_t epoch = 0; seconds() < arguments.seconds; ++epoch) {
    loader.start_epoch(epoch);
    while (const auto batch = loader.next()) {
      throw_if_stopped();
      images += batch->labels.size(0);
      if (seconds() >= arguments.seconds) break;
    }
  }
  std::cout << format(
      R"({"work":"load","batch":%lld,"precision":"%s","threads":%lld,"image_size":%lld,"augment":%s,"images":%lld,)"
      R"("images_per_s":%.1f})"
      "\n",
      static_cast<long long>(arguments.batch), arguments.precision.c_str(), static_cast<long long>(arguments.threads),
      static_cast<long long>(data.train.width()), arguments.augment ? "true" : "false", static_cast<long long>(images),
      static_cast<double>(images) / seconds());
}

}  // namespace mfi
