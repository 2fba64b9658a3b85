#include "mfi/train/metrics_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"

namespace mfi {
namespace {

TEST(MetricsFile, ComesBackWithTheCellsThatEachRowHas) {
  const TestFolder folder;
  const std::vector<Metrics> rows{{{"epoch", 1}, {"loss", 2.5}}, {{"epoch", 2}, {"loss", 1.25}, {"percent", 40}}};
  write_metrics_csv(folder / "metrics.csv", rows);
  EXPECT_EQ(read_metrics_csv(folder / "metrics.csv"), rows);
}

TEST(MetricsFile, KeepsWhatIsNoNumber) {
  const TestFolder folder;
  write_metrics_csv(folder / "metrics.csv", {{{"epoch", 1}, {"loss", std::nan("")}}});
  EXPECT_TRUE(std::isnan(read_metrics_csv(folder / "metrics.csv").at(0).at(1).second));
}

TEST(MetricsFile, MayHaveNoRows) {
  const TestFolder folder;
  write_metrics_csv(folder / "metrics.csv", {});
  EXPECT_TRUE(read_metrics_csv(folder / "metrics.csv").empty());
}

TEST(MetricsFile, NamesTheLineThatIsNone) {
  const TestFolder folder;
  std::ofstream(folder / "metrics.csv") << "epoch,loss\n1,2\n2,many\n";
  EXPECT_NE(message_of<DataError>([&] { read_metrics_csv(folder / "metrics.csv"); }).find("metrics.csv:3:"),
            std::string::npos);
}

}  // namespace
}  // namespace mfi
