#include "mfi/report/search_table.h"

#include <gmock/gmock.h>

namespace mfi {
namespace {

using testing::HasSubstr;
using testing::Not;

SearchResults small_search() {
  SearchResults out;
  out.held_out_images = 5000;
  out.scored_images = 2000;
  out.tuned_epochs = 1;
  out.tuned_images = 11250;
  out.teacher_held_out_percent = 92;
  out.mapping_seconds = 300;
  out.scoring_seconds = 54;
  out.teacher = {.name = "teacher",
                 .stages = {"all", "all"},
                 .parameters = 1000,
                 .macs = 2000,
                 .milliseconds = 4,
                 .measured = 0,
                 .held_out_percent = 91.5,
                 .seconds = 10};
  out.points = {{.name = "point-1",
                 .stages = {"flow-h8", "all"},
                 .parameters = 200,
                 .macs = 600,
                 .milliseconds = 2,
                 .divergence = 0.5,
                 .measured = 0.625,
                 .held_out_percent = 80.25,
                 .seconds = 20,
                 .on_front = true,
                 .chosen = true}};
  return out;
}

TEST(SearchTable, HasWhatWasExpectedBesideWhatWasMeasured) {
  const auto table = search_table(small_search());
  EXPECT_THAT(table, HasSubstr("expected  measured"));
  EXPECT_THAT(table,
              testing::ContainsRegex("point-1 +flow-h8 . all +20.0 % +30.0 % +50.0 % +0.5000 +0.6250 +80.25 % +11.25"));
  EXPECT_THAT(table, HasSubstr("on 2000 of the held-out images"));
  EXPECT_THAT(table, HasSubstr("Mapping took 5 min 00 s, scores 54.0 s, fine-tuning 30.0 s"));
  EXPECT_THAT(table, HasSubstr("Chosen: point-1."));
}

TEST(SearchTable, LeavesOutWhatWasNotMeasured) {
  auto search = small_search();
  search.points[0].measured = search.mapping_seconds = -1;
  const auto table = search_table(search);
  EXPECT_THAT(table, testing::ContainsRegex("0.5000 +- +80.25 %"));
  EXPECT_THAT(table, Not(HasSubstr("Mapping took")));
}

}  // namespace
}  // namespace mfi
