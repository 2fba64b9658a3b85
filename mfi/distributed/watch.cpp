#include "mfi/distributed/watch.h"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "mfi/core/text.h"

namespace mfi {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr const char* kFarewell = "farewell";     // "CODE MESSAGE" of the first process to fail
constexpr const char* kNone = "-";                // its value until then
constexpr const char* kHeard = "farewell/heard";  // by how many
constexpr const char* kGoOn =
    "the same command goes on from the last saved state, also with another number of processes";
constexpr milliseconds kFarewellTime{3000};

std::string pulse_key(int64_t rank) { return "pulse/" + std::to_string(rank); }

}  // namespace

struct Watch::State {
  c10::intrusive_ptr<c10d::Store> store;  // used by the pulse thread alone
  int64_t rank = 0;
  std::vector<std::string> names;
  std::string holder;
  WatchSettings settings;
  std::function<void(const PeerError&)> last_resort;

  mutable std::mutex mutex;  // guards the rest
  mutable std::condition_variable changed;
  bool stopping = false, failed = false;
  int threads = 2;  // still running
  Clock::time_point last_exchange;
  std::vector<Clock::time_point> last_change;
  std::optional<PeerError> verdict;
  Clock::time_point verdict_time;
  std::optional<std::string> farewell;  // to be told
  bool farewell_told = false;
  bool heard = false;  // of a farewell; the pulse thread's, as the store

  // Whether the pulse thread is stuck in the network, with the lock held: then it is not worth waiting for.
  bool is_stuck() const { return Clock::now() - last_exchange > settings.limit_after_failure; }

  void judge(ExitCode code, const std::string& message) {  // with the lock held
    if (verdict || stopping) return;
    verdict.emplace(code, message);
    verdict_time = Clock::now();
    changed.notify_all();
  }

  void beat();        // the pulse thread
  void look_after();  // the thread that watches the clock
  void exchange(const std::vector<std::string>& keys, std::vector<std::vector<uint8_t>>& last_values);
  void tell(const std::string& text);
  int64_t count_as_heard() { return store->add(kHeard, std::exchange(heard, true) ? 0 : 1); }
};

// One sign of life, and a look at those of the others. The store may block for ever.
void Watch::State::exchange(const std::vector<std::string>& keys, std::vector<std::vector<uint8_t>>& last_values) {
  store->add(pulse_key(rank), 1);
  const auto values = store->multiGet(keys);
  const std::string farewell_text(values.back().begin(), values.back().end());
  if (farewell_text != kNone) count_as_heard();

  const std::lock_guard lock(mutex);
  last_exchange = Clock::now();
  for (size_t i = 0; i < last_change.size(); ++i)
    if (last_values.empty() || values[i] != last_values[i]) last_change[i] = last_exchange;
  last_values = values;
  if (farewell_text == kNone) return;
  const auto blank = farewell_text.find(' ');
  judge(static_cast<ExitCode>(std::stoi(farewell_text)), farewell_text.substr(blank + 1));
}

void Watch::State::tell(const std::string& text) {
  store->compareSet(kFarewell, std::string(kNone), text);
  // Whoever holds the store stays until the others have read it.
  const auto end = Clock::now() + kFarewellTime;
  auto expected = static_cast<int64_t>(names.size());
  if (std::stoi(text) == static_cast<int>(ExitCode::lost)) --expected;
  while (count_as_heard() < expected && rank == 0 && Clock::now() < end) std::this_thread::sleep_for(milliseconds(50));
}

void Watch::State::beat() {
  std::vector<std::string> keys;
  for (size_t i = 0; i < names.size(); ++i) keys.push_back(pulse_key(static_cast<int64_t>(i)));
  keys.emplace_back(kFarewell);
  std::vector<std::vector<uint8_t>> last_values;
  std::unique_lock lock(mutex);
  while (!stopping) {
    const auto text = farewell;
    lock.unlock();
    std::string problem;
    try {
      if (text)
        tell(*text);
      else
        exchange(keys, last_values);
    } catch (const std::exception& error) {
      problem = error.what();
    }
    lock.lock();
    if (text) {
      farewell_told = true;
      break;
    }
    if (!problem.empty()) {
      judge(ExitCode::lost, holder + " is lost: its connection has ended; " + kGoOn);
      break;
    }
    // Once there is a verdict nothing more is to be learnt, but a farewell may still be wanted.
    if (verdict)
      changed.wait(lock, [&] { return stopping || farewell; });
    else
      changed.wait_for(lock, settings.beat, [&] { return stopping || farewell; });
  }
  farewell_told = true;  // or never will be
  --threads;
  changed.notify_all();
}

void Watch::State::look_after() {
  std::unique_lock lock(mutex);
  constexpr milliseconds kLook{100}, kOwnSleep{3000};
  while (!stopping) {
    const auto before = Clock::now();
    changed.wait_for(lock, kLook, [&] { return stopping; });
    const auto now = Clock::now();
    if (stopping) break;
    // It was we who were frozen, or the whole machine asleep: nobody else is to blame for that time.
    if (now - before > kOwnSleep) {
      last_exchange += now - before;
      for (auto& time : last_change) time += now - before;
    }
    if (verdict) {
      if (now - verdict_time < settings.patience) continue;
      const auto error = *verdict;
      lock.unlock();
      last_resort(error);
      lock.lock();
      break;
    }
    const auto limit = failed ? settings.limit_after_failure : settings.limit;
    const auto silent = [&](const std::string& who) {
      judge(ExitCode::lost,
            format("%s is lost: not heard of for %.0f s (killed, frozen or cut off from the network); %s", who.c_str(),
                   std::chrono::duration<double>(limit).count(), kGoOn));
    };
    if (now - last_exchange > limit) silent(holder);
    // Seen from the last look at the store: while that does not answer, the others are not to blame.
    for (size_t i = 0; i < last_change.size() && !verdict; ++i)
      if (last_exchange - last_change[i] > limit) silent(names[i]);
  }
  --threads;
  changed.notify_all();
}

void Watch::prepare(c10d::Store& store, int64_t rank) {
  if (rank == 0) store.set(kFarewell, std::string(kNone));
  store.add(pulse_key(rank), 1);
  store.wait({kFarewell});
}

Watch::Watch(c10::intrusive_ptr<c10d::Store> store, int64_t rank, std::vector<std::string> names, std::string holder,
             const WatchSettings& settings, std::function<void(const PeerError&)> last_resort)
    : state_(std::make_shared<State>()) {
  state_->store = std::move(store);
  state_->rank = rank;
  state_->names = std::move(names);
  state_->holder = std::move(holder);
  state_->settings = settings;
  state_->last_resort = std::move(last_resort);
  state_->last_exchange = Clock::now();
  state_->last_change.assign(state_->names.size(), state_->last_exchange);
  // Detached: one that is stuck in the network cannot be joined.
  std::thread([state = state_] { state->beat(); }).detach();
  std::thread([state = state_] { state->look_after(); }).detach();
}

Watch::~Watch() { stop(); }

void Watch::throw_if_lost() const {
  const std::lock_guard lock(state_->mutex);
  if (state_->verdict) throw PeerError(*state_->verdict);
}

void Watch::throw_verdict(const std::string& what) {
  std::unique_lock lock(state_->mutex);
  state_->failed = true;
  state_->changed.wait_for(lock, state_->settings.limit, [&] { return state_->verdict.has_value(); });
  if (state_->verdict) throw PeerError(*state_->verdict);
  throw PeerError(ExitCode::lost, "the connection to another process has failed, though all are there: " + what);
}

void Watch::say_farewell(ExitCode code, const std::string& message) {
  std::unique_lock lock(state_->mutex);
  if (state_->farewell) return;
  state_->farewell = std::to_string(static_cast<int>(code)) + " " + message;
  state_->changed.notify_all();
  if (state_->is_stuck()) return;
  state_->changed.wait_for(lock, kFarewellTime + state_->settings.beat, [&] { return state_->farewell_told; });
}

void Watch::stop() {
  std::unique_lock lock(state_->mutex);
  state_->stopping = true;
  state_->changed.notify_all();
  if (state_->is_stuck()) return;
  state_->changed.wait_for(lock, kFarewellTime, [&] { return state_->threads == 0; });
}

}  // namespace mfi
