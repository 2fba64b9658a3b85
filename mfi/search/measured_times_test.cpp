#include "mfi/search/measured_times.h"

#include <gmock/gmock.h>

#include "mfi/core/atomic_file.h"
#include "mfi/core/test_folder.h"
#include "mfi/nn/arch.h"

namespace mfi {
namespace {

using testing::ElementsAreArray;
using testing::SizeIs;

class Times : public testing::Test {
 protected:
  Times() {
    for (const int64_t width : {4, 8}) {
      archs_.push_back(resnet_arch("resnet20", width, 10));
      networks_.push_back(std::make_shared<Network>(archs_.back()));
    }
  }
  std::vector<PartTimes> compare(MeasuredTimes& times, const std::vector<size_t>& which) {
    std::vector<Arch> archs;
    for (const auto i : which) archs.push_back(archs_[i]);
    return times.of(archs, [&](size_t i) {
      ++made_;
      return networks_[which[i]];
    });
  }

  TestFolder folder_;
  std::filesystem::path file_ = folder_.path() / "times.json";
  std::vector<Arch> archs_;
  std::vector<std::shared_ptr<Network>> networks_;
  int made_ = 0;
};

TEST_F(Times, OfNetworksThatAreComparedAreMeasuredTogetherAndOnce) {
  MeasuredTimes times(file_);
  const auto both = compare(times, {0, 1});
  ASSERT_THAT(both, SizeIs(2));
  EXPECT_GT(both[0].whole, 0);
  EXPECT_THAT(both[1].milliseconds, SizeIs(5));
  EXPECT_GE(made_, 10);
  if (!times.calm()) GTEST_SKIP() << "the machine is too busy for times that are kept";
  made_ = 0;
  MeasuredTimes again(file_);
  const auto same = compare(again, {0, 1});
  EXPECT_EQ(made_, 0);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(same[i].whole, both[i].whole);
    EXPECT_THAT(same[i].milliseconds, ElementsAreArray(both[i].milliseconds));
  }
  compare(again, {1});
  EXPECT_GT(made_, 0) << "beside others its time may be another one";
}

TEST_F(Times, OfAnotherVersionAreMeasuredAnew) {
  for (const auto* text : {"{", "[]"}) {
    replace_file(file_, text);
    MeasuredTimes times(file_);
    made_ = 0;
    EXPECT_THAT(compare(times, {0}), SizeIs(1)) << text;
    EXPECT_GT(made_, 0);
  }
}

TEST_F(Times, OfAnotherMachineAreMeasuredAnew) {
  MeasuredTimes times(file_);
  compare(times, {0});
  if (!times.calm()) GTEST_SKIP() << "the machine is too busy for times that are kept";
  auto json = nlohmann::json::parse(read_file(file_));
  json["machine"] = "another";
  replace_file(file_, json.dump());
  MeasuredTimes elsewhere(file_);
  made_ = 0;
  compare(elsewhere, {0});
  EXPECT_GT(made_, 0);
}

}  // namespace
}  // namespace mfi
