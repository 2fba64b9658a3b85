#include "mfi/formats/tensorboard_file.h"

#include <gtest/gtest.h>

#include <protozero/pbf_reader.hpp>

#include <cmath>
#include <limits>
#include <stdexcept>

namespace mfi {
namespace {

using Row = std::vector<std::pair<std::string, double>>;

std::string bytes_of(std::initializer_list<int> values) {
  std::string out;
  for (const int value : values) out.push_back(static_cast<char>(value));
  return out;
}

// The examples of RFC 3720, B.4, and the check value of the catalogues.
TEST(Crc32c, MatchesKnownVectors) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43U);
  std::string ascending;
  for (int i = 0; i < 32; ++i) ascending.push_back(static_cast<char>(i));
  EXPECT_EQ(crc32c(ascending), 0x46dd794eU);
  EXPECT_EQ(crc32c(""), 0U);
}

// The CRCs below were computed by TensorBoard 2.21's own masked_crc32c.
TEST(TensorboardRecord, HasLengthAndBothMaskedSums) {
  EXPECT_EQ(tensorboard_record("abc"),
            bytes_of({3, 0, 0, 0, 0, 0, 0, 0, 0xb0, 0x99, 0x49, 0x0e}) + "abc" + bytes_of({0x6e, 0x57, 0xf1, 0x21}));
}

/// What a record file holds; fails where its framing does not hold.
std::vector<std::string> records(const std::string& file) {
  std::vector<std::string> out;
  for (size_t at = 0; at < file.size();) {
    uint64_t length = 0;
    for (size_t i = 0; i < 8; ++i) length |= static_cast<uint64_t>(static_cast<uint8_t>(file.at(at + i))) << (8 * i);
    out.push_back(file.substr(at + 12, length));
    EXPECT_EQ(file.substr(at, 16 + length), tensorboard_record(out.back()));
    at += 16 + length;
  }
  return out;
}

struct Event {
  double wall_time = 0;
  int64_t step = 0;
  std::string version;
  std::vector<std::pair<std::string, float>> scalars;
};

Event parse(const std::string& record) {
  Event out;
  protozero::pbf_reader event(record);
  while (event.next()) {
    switch (event.tag()) {
      case 1:
        out.wall_time = event.get_double();
        break;
      case 2:
        out.step = event.get_int64();
        break;
      case 3:
        out.version = event.get_string();
        break;
      case 5: {
        auto summary = event.get_message();
        while (summary.next(1)) {
          auto value = summary.get_message();
          auto& scalar = out.scalars.emplace_back();
          while (value.next()) {
            if (value.tag() == 1)
              scalar.first = value.get_string();
            else
              scalar.second = value.get_float();
          }
        }
        break;
      }
      default:
        event.skip();
        ADD_FAILURE() << "another field";
    }
  }
  return out;
}

const std::vector<Row> kRows{{{"epoch", 4}, {"loss", 1.5}, {"train_percent", 42}}, {{"epoch", 5}, {"loss", 1.25}}};
const std::vector<double> kTimes{1.75e9, 1.75e9 + 0.5};

TEST(TensorboardEvents, BeginWithTheVersionAndHaveAScalarForEveryNumber) {
  const auto events = records(tensorboard_events(kRows, kTimes));
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(parse(events[0]).version, "brain.Event:2");
  const auto first = parse(events[1]), second = parse(events[2]);
  EXPECT_EQ(first.step, 4);
  EXPECT_EQ(first.wall_time, 1.75e9);
  const std::vector<std::pair<std::string, float>> numbers{{"loss", 1.5F}, {"train_percent", 42.0F}};
  EXPECT_EQ(first.scalars, numbers);
  EXPECT_EQ(second.step, 5);
  EXPECT_EQ(second.wall_time, 1.75e9 + 0.5);
  EXPECT_EQ(second.scalars.size(), 1U);
}

TEST(TensorboardEvents, OnlyGrowAtTheEnd) {
  const auto whole = tensorboard_events(kRows, kTimes);
  EXPECT_TRUE(whole.starts_with(tensorboard_events({kRows[0]}, {kTimes[0]})));
  EXPECT_EQ(tensorboard_events({}, {}), "");
  EXPECT_EQ(tensorboard_events(kRows, kTimes), whole);
}

TEST(TensorboardEvents, CountRowsThatHaveNoEpoch) {
  const auto events = records(tensorboard_events({{{"loss", 1}}, {{"loss", 2}}}, kTimes));
  EXPECT_EQ(parse(events[1]).step, 1);
  EXPECT_EQ(parse(events[2]).step, 2);
}

TEST(TensorboardEvents, KeepNumbersThatAreNotFinite) {
  const double infinity = std::numeric_limits<double>::infinity();
  const auto event = parse(records(tensorboard_events(
      {{{"nan", std::nan("")}, {"up", infinity}, {"down", -infinity}, {"large", 1e300}, {"low", -1e300}}}, {0.0}))[1]);
  EXPECT_TRUE(std::isnan(event.scalars[0].second));
  for (const size_t up : {1, 3}) EXPECT_EQ(event.scalars[up].second, std::numeric_limits<float>::infinity());
  for (const size_t down : {2, 4}) EXPECT_EQ(event.scalars[down].second, -std::numeric_limits<float>::infinity());
}

TEST(TensorboardEvents, NeedATimeForEveryRow) { EXPECT_THROW(tensorboard_events(kRows, {1.0}), std::invalid_argument); }

}  // namespace
}  // namespace mfi
