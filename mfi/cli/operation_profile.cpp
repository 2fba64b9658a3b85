#include "mfi/cli/operation_profile.h"

#include <ATen/record_function.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <regex>
#include <vector>

#include "mfi/core/text.h"
#include "mfi/report/text_table.h"

namespace mfi {
namespace {

using Clock = std::chrono::steady_clock;

struct Entry {
  int64_t calls = 0;
  double seconds = 0;  // without those of recorded operations within
};

struct Running : at::ObserverContext {
  explicit Running(bool named) : named(named) {}
  bool named;  // by mfi
  Clock::time_point start = Clock::now();
  double within = 0;  // seconds of recorded operations within this one
};

// LibTorch's callbacks are plain functions.
std::map<std::string, Entry> entries;
std::vector<Running*> stack;

std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction& function) {
  if (!stack.empty() && stack.back()->named) return nullptr;
  auto running = std::make_unique<Running>(function.scope() == at::RecordScope::USER_SCOPE);
  stack.push_back(running.get());
  return running;
}

void end(const at::RecordFunction& function, at::ObserverContext* context) {
  if (!context) return;
  const auto* running = static_cast<Running*>(context);
  const double seconds = std::chrono::duration<double>(Clock::now() - running->start).count();
  stack.pop_back();
  if (!stack.empty()) stack.back()->within += seconds;
  auto& entry = entries[function.name()];
  ++entry.calls;
  entry.seconds += seconds - running->within;
}

// LibTorch's name without what says nothing here.
std::string short_name(const std::string& name) {
  static const std::regex noise("autograd::engine::evaluate_function: |torch::autograd::"), node("CppNode<.*::(\\w+)>");
  return std::regex_replace(std::regex_replace(name, noise, ""), node, "around the backward of $1");
}

}  // namespace

OperationProfile::OperationProfile() {
  entries.clear();
  handle_ = at::addThreadLocalCallback(at::RecordFunctionCallback(begin, end));
}

OperationProfile::~OperationProfile() { at::removeCallback(handle_); }

std::string OperationProfile::table(int64_t steps, double seconds) const {
  constexpr double kLeastShare = 0.005;
  std::vector<std::pair<std::string, Entry>> rows;
  std::pair<std::string, Entry> small{"operations below 0.5 %", {}}, rest{"between operations", {0, seconds}};
  std::map<std::string, Entry> merged;
  for (const auto& [name, entry] : entries) {
    auto& into = merged[short_name(name)];
    into.calls += entry.calls;
    into.seconds += entry.seconds;
  }
  for (const auto& [name, entry] : merged) {
    rest.second.seconds -= entry.seconds;
    if (entry.seconds >= kLeastShare * seconds) {
      rows.emplace_back(name, entry);
    } else {
      small.second.calls += entry.calls;
      small.second.seconds += entry.seconds;
    }
  }
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.second.seconds > b.second.seconds; });
  rows.push_back(small);
  rows.push_back(rest);

  using Align = TextTable::Align;
  TextTable table(
      {{"operation"}, {"calls a step", Align::right}, {"ms a step", Align::right}, {"share", Align::right}});
  const auto n = static_cast<double>(steps);
  for (const auto& [name, entry] : rows)
    table.add_row({name, entry.calls == 0 ? "" : format("%.4g", static_cast<double>(entry.calls) / n),
                   format("%.2f", 1e3 * entry.seconds / n), format("%.1f %%", 100 * entry.seconds / seconds)});
  table.add_rule();
  table.add_row({"all", "", format("%.2f", 1e3 * seconds / n), "100.0 %"});
  return table.text();
}

}  // namespace mfi
