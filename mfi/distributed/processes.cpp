#include "mfi/distributed/processes.h"

#include <arpa/inet.h>
#include <c10/util/Logging.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <exception>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "mfi/core/sha256.h"
#include "mfi/core/stop_signal.h"
#include "mfi/core/text.h"
#include "mfi/distributed/gloo_backend.h"

namespace mfi {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Of an exchange. Who is lost is the watch's to say; waiting for a slow process is no failure.
constexpr milliseconds kExchangePatience = std::chrono::hours(24 * 7);
// Between two looks at the watch while waiting.
constexpr milliseconds kLook{500};

std::string host_name() {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) return "an unknown host";
  return host.data();
}

// Socket addresses of a host and port; frees them.
class Addresses {
 public:
  Addresses(const std::string& host, int64_t port, int kind) {
    addrinfo hints{};
    hints.ai_socktype = kind;
    error_ = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list_);
  }
  ~Addresses() {
    if (list_) ::freeaddrinfo(list_);
  }
  Addresses(const Addresses&) = delete;
  Addresses& operator=(const Addresses&) = delete;
  const addrinfo* begin() const { return list_; }
  std::string problem() const { return error_ == 0 ? "" : ::gai_strerror(error_); }

 private:
  addrinfo* list_ = nullptr;
  int error_ = 0;
};

bool answers(const addrinfo& address) {
  const int socket = ::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC, address.ai_protocol);
  if (socket < 0) return false;
  const timeval patience{2, 0};
  ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  const bool connected = ::connect(socket, address.ai_addr, address.ai_addrlen) == 0;
  ::close(socket);
  return connected;
}

// LibTorch would wait too, with a warning for every attempt.
void await_store(const ProcessPlace& place, milliseconds patience) {
  const auto end = Clock::now() + patience;
  for (;;) {
    const Addresses addresses(place.address, place.port, SOCK_STREAM);
    for (const auto* address = addresses.begin(); address; address = address->ai_next)
      if (answers(*address)) return;
    throw_if_stopped();
    if (Clock::now() > end)
      throw PeerError(ExitCode::lost,
                      format("process 0 does not answer at %s, port %lld, after %.0f s%s; check that it was started, "
                             "that MASTER_ADDR and MASTER_PORT are its, and that no firewall is in between",
                             place.address.c_str(), static_cast<long long>(place.port),
                             std::chrono::duration<double>(patience).count(),
                             addresses.problem().empty() ? "" : (" (" + addresses.problem() + ")").c_str()));
    std::this_thread::sleep_for(milliseconds(100));
  }
}

// The address of this host on the way to another: what a connection to there would come from.
std::string address_towards(const std::string& host) {
  const Addresses addresses(host, 9, SOCK_DGRAM);
  for (const auto* address = addresses.begin(); address; address = address->ai_next) {
    const int socket = ::socket(address->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket < 0) continue;
    sockaddr_storage own{};
    socklen_t length = sizeof own;
    // Connecting a datagram socket sends nothing.
    const bool found = ::connect(socket, address->ai_addr, address->ai_addrlen) == 0 &&
                       ::getsockname(socket, reinterpret_cast<sockaddr*>(&own), &length) == 0;
    ::close(socket);
    std::array<char, NI_MAXHOST> text{};
    if (found && ::getnameinfo(reinterpret_cast<sockaddr*>(&own), length, text.data(), text.size(), nullptr, 0,
                               NI_NUMERICHOST) == 0)
      return text.data();
  }
  return "127.0.0.1";
}

bool is_loopback(const std::string& address) { return address.starts_with("127.") || address == "::1"; }

std::string key_of(const std::string& prefix, int64_t rank) { return prefix + "/" + std::to_string(rank); }

// The sum over all processes as an operation of mfi/ops wants it.
class SumsOfProcesses : public BatchSums {
 public:
  explicit SumsOfProcesses(Processes& processes) : processes_(processes) {}
  void add_up(std::vector<double>& values) override { processes_.sum(values); }

 private:
  Processes& processes_;
};

}  // namespace

std::shared_ptr<Processes> Processes::join(const ProcessPlace& place, std::function<void(const PeerError&)> last_resort,
                                           const JoinSettings& settings) {
  std::shared_ptr<Processes> processes(new Processes(place));
  processes->meet(settings, std::move(last_resort));
  return processes;
}

void Processes::meet(const JoinSettings& settings, std::function<void(const PeerError&)> last_resort) {
  // What goes wrong is ours to tell, in one message.
  FLAGS_caffe2_log_level = std::max(FLAGS_caffe2_log_level, static_cast<int>(c10::GLOG_FATAL));
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(place_.port);
  options.isServer = place_.rank == 0 && !place_.store_is_served;
  options.waitWorkers = false;
  options.timeout = settings.patience;
  if (!options.isServer) await_store(place_, settings.patience);
  try {
    store_ = c10::make_intrusive<c10d::PrefixStore>(place_.prefix,
                                                    c10::make_intrusive<c10d::TCPStore>(place_.address, options));
  } catch (const std::exception& error) {
    const auto where = place_.address + ", port " + std::to_string(place_.port);
    if (options.isServer)
      throw UsageError("process 0 cannot serve the store at " + where +
                       "; is the port taken (set MASTER_PORT to a free one), or MASTER_ADDR another host's? " +
                       std::string(error.what()).substr(0, 200));
    throw PeerError(ExitCode::lost, "the store at " + where + " cannot be used: " + error.what());
  }

  store_->set(key_of("host", place_.rank), host_name());
  store_->set(key_of("way", place_.rank), address_towards(place_.address));
  await_keys("host", settings.patience);
  for (int64_t r = 0; r < place_.size; ++r)
    names_.push_back(
        format("process %lld on %s", static_cast<long long>(r), store_->get_to_str(key_of("host", r)).c_str()));
  Watch::prepare(*store_, place_.rank);
  await_keys("pulse", settings.patience);
  const auto where = place_.address + ", port " + std::to_string(place_.port);
  watch_ = std::make_unique<Watch>(
      store_->clone(), place_.rank, names_,
      place_.store_is_served ? place_.launcher + ", which serves the store at " + where + "," : names_[0],
      settings.watch, std::move(last_resort));

  const auto address = own_address();
  const auto connect = [&](const std::string& name) {
    return connect_gloo(c10::make_intrusive<c10d::PrefixStore>(name, store_), static_cast<int>(place_.rank),
                        static_cast<int>(place_.size), address, settings.patience);
  };
  try {
    sums_ = connect("sums");
    gradients_ = connect("gradients");
    for (auto* backend : {&sums_, &gradients_}) (*backend)->setTimeout(kExchangePatience);
  } catch (const std::exception& error) {
    watch_->throw_verdict(error.what());
  }
}

void Processes::await_keys(const std::string& prefix, milliseconds patience) {
  const auto end = Clock::now() + patience;
  for (int64_t rank = 0; rank < place_.size;) {
    bool there = false;
    try {
      there = store_->check({key_of(prefix, rank)});
    } catch (const std::exception& error) {
      throw PeerError(ExitCode::lost, std::string("process 0 has ended before all others had come: ") + error.what());
    }
    if (there) {
      ++rank;
      continue;
    }
    throw_if_stopped();
    if (Clock::now() > end) {
      std::vector<std::string> missing;
      for (int64_t r = rank; r < place_.size; ++r)
        if (!store_->check({key_of(prefix, r)})) missing.push_back(std::to_string(r));
      throw PeerError(
          ExitCode::lost,
          format("of %lld processes these have not come within %.0f s: %s; check that all were started with "
                 "the same address and port (%s, %lld)",
                 static_cast<long long>(place_.size), std::chrono::duration<double>(patience).count(),
                 mfi::join(missing, ", ").c_str(), place_.address.c_str(), static_cast<long long>(place_.port)));
    }
    std::this_thread::sleep_for(milliseconds(50));
  }
}

// A host may know its own name as a loopback address, which says nothing to the others; then what counts is
// the way to one of those.
std::string Processes::own_address() {
  auto own = store_->get_to_str(key_of("way", place_.rank));
  for (int64_t r = 0; r < place_.size && is_loopback(own); ++r) {
    const auto other = store_->get_to_str(key_of("way", r));
    if (!is_loopback(other)) own = address_towards(other);
  }
  return own;
}

Processes::~Processes() {
  if (finished_) return;
  // An error: exchanges may be under way with processes that are gone, and whoever tears them down waits.
  sums_.release();
  gradients_.release();
  store_.release();
}

torch::Device Processes::device(const std::string& device) const {
  if (device != "cuda") return torch::Device(device);
  return torch::Device(torch::kCUDA, static_cast<c10::DeviceIndex>(place_.local_rank));
}

Processes::Pending Processes::sum_later(const torch::Tensor& tensor) {
  std::vector<torch::Tensor> tensors{tensor};
  try {
    return gradients_->allreduce(tensors);
  } catch (const c10::Error& error) {
    watch_->throw_verdict(error.what_without_backtrace());
  }
}

void Processes::wait(const Pending& pending) {
  for (;;) {
    try {
      pending->wait(kLook);
      return;
    } catch (const std::exception& error) {
      watch_->throw_if_lost();
      if (pending->isCompleted()) watch_->throw_verdict(error.what());  // else only the look was over
    }
  }
}

void Processes::sum(std::vector<double>& values) {
  auto tensor = torch::from_blob(values.data(), {static_cast<int64_t>(values.size())}, torch::kFloat64);
  std::vector<torch::Tensor> tensors{tensor};
  wait(sums_->allreduce(tensors));
}

void Processes::broadcast(const std::vector<torch::Tensor>& tensors) {
  torch::NoGradGuard no_grad;
  // All of them as the bytes of one message.
  std::vector<torch::Tensor> parts;
  for (const auto& tensor : tensors)
    parts.push_back(tensor.detach().to(torch::kCPU).contiguous().flatten().view(torch::kUInt8));
  if (parts.empty()) return;
  const auto message = torch::cat(parts);
  std::vector<torch::Tensor> messages{message};
  wait(sums_->broadcast(messages));
  if (is_first()) return;
  int64_t begin = 0;
  for (const auto& tensor : tensors) {
    const auto bytes = static_cast<int64_t>(tensor.nbytes());
    const auto part = message.narrow(0, begin, bytes).clone().view(tensor.scalar_type()).view(tensor.sizes());
    tensor.detach().copy_(part);
    begin += bytes;
  }
}

std::string Processes::broadcast(const std::string& text) {
  const auto length = torch::full({1}, static_cast<int64_t>(text.size()), torch::kInt64);
  broadcast({length});
  auto bytes = torch::empty({length.item<int64_t>()}, torch::kUInt8);
  if (bytes.numel() == 0) return "";
  if (is_first()) std::memcpy(bytes.data_ptr(), text.data(), text.size());
  broadcast({bytes});
  return {static_cast<const char*>(bytes.data_ptr()), static_cast<size_t>(bytes.numel())};
}

void Processes::require_same(const std::string& what, const std::string& text) {
  const auto own = sha256_text(text);
  std::vector<double> different{broadcast(own) == own ? 0.0 : 1.0};
  sum(different);
  if (different[0] > 0)
    throw UsageError(
        format("%s: %s is not the same in all %lld processes; start every one with the same command and the "
               "same files",
               names_[static_cast<size_t>(place_.rank)].c_str(), what.c_str(), static_cast<long long>(place_.size)));
}

BatchSumsPtr Processes::batch_sums() { return c10::make_intrusive<SumsOfProcesses>(*this); }

void Processes::say_farewell(const Error& error) {
  // What came from another process says already which.
  const bool own = !dynamic_cast<const PeerError*>(&error);
  watch_->say_farewell(error.exit_code(),
                       (own ? names_[static_cast<size_t>(place_.rank)] + ": " : std::string()) + error.what());
}

void Processes::finish() {
  std::vector<double> here{1};
  sum(here);
  watch_->stop();
  // Whoever holds the store leaves last.
  const auto gone = store_->add("gone", 1);
  const auto end = Clock::now() + milliseconds(5000);
  while (is_first() && !place_.store_is_served && gone < place_.size && Clock::now() < end &&
         store_->add("gone", 0) < place_.size)
    std::this_thread::sleep_for(milliseconds(10));
  finished_ = true;
}

}  // namespace mfi
