#include "mfi/train/metrics_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"
#include "mfi/formats/tensorboard_file.h"

namespace mfi {
namespace {

TEST(MetricsCsv, HasWholeNumbersInFullAndOthersInSixDigits) {
  const TestFolder folder;
  write_metrics_csv(folder / "a.csv", {{{"epoch", 1}, {"wall_time", 1795901033}, {"loss", 1.0 / 3}}});
  EXPECT_EQ(read_file(folder / "a.csv"), "epoch,wall_time,loss\n1,1795901033,0.333333\n");
}

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

const std::vector<Metrics> kRows{
    {{"epoch", 1}, {"learning_rate", 0.001}, {"loss", 2.30258509299}, {"train_percent", 12.5}, {"seconds", 1234.5}},
    {{"epoch", 2}, {"learning_rate", 1e-05}, {"loss", 1.0 / 3}, {"train_percent", 50}, {"validation_top1_percent", 48}},
    {{"epoch", 3}, {"learning_rate", 0}, {"loss", 1e-30}, {"train_percent", 100}}};
const std::vector<double> kTimes{1.75e9, 1.75e9 + 1.25, 1.75e9 + 2.5};

ino_t inode(const std::filesystem::path& file) {
  struct stat status {};
  EXPECT_EQ(::stat(file.c_str(), &status), 0);
  return status.st_ino;
}

TEST(MetricsJsonl, HasAnObjectARowInTheRowsOrder) {
  const TestFolder folder;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  write_metrics_jsonl(folder / "m.jsonl", {{{"epoch", 1}, {"b", 0.1}, {"a", nan}}, {{"epoch", 2}, {"b", -1e300}}});
  EXPECT_EQ(read_file(folder / "m.jsonl"), "{\"epoch\":1,\"b\":0.1,\"a\":null}\n{\"epoch\":2,\"b\":-1e+300}\n");
}

TEST(WriteTensorboard, AppendsWhatIsNew) {
  const TestFolder folder;
  const auto file = folder / "tfevents";
  write_tensorboard(file, {kRows[0]}, {kTimes[0]});
  const auto before = inode(file);
  write_tensorboard(file, kRows, kTimes);
  EXPECT_EQ(read_file(file), tensorboard_events(kRows, kTimes));
  EXPECT_EQ(inode(file), before);
}

TEST(WriteTensorboard, GoesOnAfterAnAppendThatWasCutOff) {
  const TestFolder folder;
  const auto file = folder / "tfevents";
  const auto whole = tensorboard_events(kRows, kTimes);
  std::ofstream(file) << whole.substr(0, whole.size() - 7);
  const auto before = inode(file);
  write_tensorboard(file, kRows, kTimes);
  EXPECT_EQ(read_file(file), whole);
  EXPECT_EQ(inode(file), before);
}

TEST(WriteTensorboard, ReplacesWhatAnotherTrainingLeft) {
  const TestFolder folder;
  const auto file = folder / "tfevents";
  write_tensorboard(file, kRows, kTimes);
  write_tensorboard(file, {kRows[0]}, {kTimes[0]});  // it began anew: fewer rows than there were
  EXPECT_EQ(read_file(file), tensorboard_events({kRows[0]}, {kTimes[0]}));
  write_tensorboard(file, kRows, {1, 2, 3});
  EXPECT_EQ(read_file(file), tensorboard_events(kRows, {1, 2, 3}));
}

TEST(WriteTensorboard, SaysWhereItCannotWrite) {
  const TestFolder folder;
  const auto file = folder / "none/tfevents";
  EXPECT_NE(message_of<CannotWriteError>([&] { write_tensorboard(file, kRows, kTimes); }).find(file.string()),
            std::string::npos);
}

// TensorBoard's own reader, by a Python that has it.
TEST(WriteTensorboard, IsReadByTensorboardWithTheNumbersOfTheCsv) {
  const char* python = std::getenv("MFI_TENSORBOARD_PYTHON");
  if (!python || !*python) GTEST_SKIP() << "MFI_TENSORBOARD_PYTHON names no Python that has the package tensorboard";
  const TestFolder folder;
  auto rows = kRows;
  rows[2].emplace_back("broken", std::numeric_limits<double>::quiet_NaN());
  rows[2].emplace_back("endless", -std::numeric_limits<double>::infinity());
  write_metrics_csv(folder / "metrics.csv", rows);
  write_tensorboard(folder / "events.out.tfevents.1", {rows[0]}, {kTimes[0]});
  write_tensorboard(folder / "events.out.tfevents.1", rows, kTimes);
  const auto command = std::string(python) + " " MFI_SOURCE_DIR "/scripts/compare_tensorboard.py " +
                       folder.path().string() + " > " + (folder / "said").string() + " 2>&1";
  EXPECT_EQ(std::system(command.c_str()), 0) << read_file(folder / "said");
  EXPECT_NE(read_file(folder / "said").find("13 numbers of 3 epochs"), std::string::npos) << read_file(folder / "said");
}

}  // namespace
}  // namespace mfi
