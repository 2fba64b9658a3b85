// Where the time of a step goes, operation by operation.
#pragma once

#include <cstdint>
#include <string>

namespace mfi {

/// Records how long LibTorch's operations and those named by MFI_OPERATION (mfi/ops/operation_scope.h) take on the
/// thread that made it, while it exists; one at a time. An operation's time is without that of recorded ones within it;
/// one named by mfi is a whole and nothing is recorded within it. Costs about a microsecond an operation.
class OperationProfile {
 public:
  OperationProfile();
  ~OperationProfile();
  OperationProfile(const OperationProfile&) = delete;
  OperationProfile& operator=(const OperationProfile&) = delete;

  /// A row an operation, those with the most time first: calls a step, milliseconds a step and share of `seconds`,
  /// the time of all `steps`; those that take less than 0.5 % together in one row, and so is what no operation took.
  std::string table(int64_t steps, double seconds) const;

 private:
  uint64_t handle_;
};

}  // namespace mfi
