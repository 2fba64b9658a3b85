// mfi import, export and verify. What Python makes of exports is looked at where there is one with the packages:
// MFI_TEST_PYTHON, else python3.
#include <gmock/gmock.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <regex>

#include "mfi/cli/program.h"
#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/exchange/test_networks.h"
#include "mfi/formats/onnx_file.h"
#include "mfi/formats/picture.h"
#include "mfi/train/checkpoint.h"

namespace mfi {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string testdata(const std::string& name) {
  return (fs::path(MFI_SOURCE_DIR) / "mfi/exchange/testdata" / name).string();
}

class Exchange : public testing::Test {
 protected:
  std::string file(const std::string& name) const { return (folder_.path() / name).string(); }

  // A network for the sample's images.
  std::string model(size_t kind = 4) const {
    auto arch = every_kind_of_network()[kind].second;
    arch.image_size = 32;
    arch.classes = 10;
    ModelInfo info;
    for (int i = 0; i < 10; ++i) info.class_names.push_back(std::to_string(i));
    info.normalisation = {{0.5f, 0.5f, 0.5f}, {0.25f, 0.25f, 0.25f}};
    info.dataset = "sample";
    save_model(file("model.safetensors"), *lively_network(arch), info);
    return file("model.safetensors");
  }

  static std::string python() {
    const char* given = std::getenv("MFI_TEST_PYTHON");
    return given ? given : "python3";
  }

  // Runs verify; skips the test where Python lacks what it needs.
  Ended verify(const std::string& exported, const std::vector<std::string>& more = {}) {
    std::vector<std::string> words{"verify",   exported, "--against", file("model.safetensors"),
                                   "--images", "100",    "--python",  python()};
    words.insert(words.end(), more.begin(), more.end());
    return run_program(words);
  }
  static bool lacks_packages(const Ended& ended) {
    return ended.exit_code == static_cast<int>(ExitCode::not_found) &&
           (ended.error.find("No module named") != std::string::npos ||
            ended.error.find("cannot be run") != std::string::npos);
  }

  TemporaryFolder folder_;
};

TEST_F(Exchange, ImportsANetworkAndReportsOnIt) {
  const auto ended = run_program({"import", testdata("checkpoint-resnet50.tar"), "--out", file("teacher.safetensors")});
  EXPECT_EQ(ended.exit_code, 0) << ended.error;
  for (const char* part : {"tensors at the key 'state_dict'", "epoch 90", "resnet50-w2, 5 classes",
                           "267 tensors, the first module._orig_mod.conv1.weight", "53 counters",
                           "missing:        none", "0.4850 0.4560 0.4060", "7x7 convolution, pooling", "saved "})
    EXPECT_THAT(ended.out, HasSubstr(part));
  const auto model = load_model(file("teacher.safetensors"));
  EXPECT_EQ(model.network->arch().image_size, 224);
  EXPECT_EQ(model.info.class_names.size(), 5u);
}

TEST_F(Exchange, ImportsWithWhatItIsTold) {
  std::ofstream(file("names.txt")) << "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n";
  const auto ended = run_program({"import", testdata("cifar-option-a-end.pt"), "--out", file("t.safetensors"),
                                  "--shortcut", "padded-end", "--mean", "0.1,0.2,0.3", "--stddev", "0.4,0.5,0.6",
                                  "--classes", file("names.txt"), "--dataset", "sample"});
  EXPECT_EQ(ended.exit_code, 0) << ended.error;
  const auto model = load_model(file("t.safetensors"));
  EXPECT_EQ(model.info.class_names[9], "j");
  EXPECT_EQ(model.info.dataset, "sample");
  EXPECT_FLOAT_EQ(model.info.normalisation.stddev[2], 0.6f);
  EXPECT_EQ(std::get<BlocksArch>(model.network->arch().stages[1].body).shortcut, ShortcutKind::padded_end);
}

TEST_F(Exchange, ShowsWhatWasLearnedOfStepsBeforeAndAfterAnExport) {
  const auto whole = model(/*far-sighted*/ 6);
  ASSERT_EQ(run_program({"export", whole, "--out", file("folded.safetensors")}).exit_code, 0);
  std::vector<std::string> shown;
  for (const auto& each : {whole, file("folded.safetensors")}) {
    const auto ended = run_program({"inspect", each});
    EXPECT_EQ(ended.exit_code, 0) << ended.error;
    const std::regex line("stage 4 takes steps of (0\\.\\d{3}), (0\\.\\d{3}), (0\\.\\d{3}), (0\\.\\d{3}) of its path");
    std::smatch found;
    ASSERT_TRUE(std::regex_search(ended.out, found, line)) << ended.out;
    shown.push_back(found[0]);
    EXPECT_NEAR(std::stod(found[1]) + std::stod(found[2]) + std::stod(found[3]) + std::stod(found[4]), 1, 0.003);
    EXPECT_NE(found[1], "0.250");
  }
  EXPECT_EQ(shown[0], shown[1]);
}

TEST_F(Exchange, RefusesAnImportThatItCannotMake) {
  const auto fails = [&](const std::vector<std::string>& words, ExitCode code, const std::string& text) {
    const auto ended = run_program(words);
    EXPECT_EQ(ended.exit_code, static_cast<int>(code));
    EXPECT_THAT(ended.error, HasSubstr(text));
    EXPECT_FALSE(fs::exists(file("t.safetensors")));
  };
  const auto out = file("t.safetensors"), good = testdata("torchvision-resnet18.pth");
  fails({"import", file("none.pth"), "--out", out}, ExitCode::not_found, "none.pth");
  fails({"import", good, "--out", out, "--arch", "resnet50"}, ExitCode::checkpoint, "but resnet50 has");
  fails({"import", good, "--out", out, "--mean", "1,2,3"}, ExitCode::usage, "--mean and --stddev go together");
  fails({"import", good, "--out", out, "--mean", "1,2,3", "--stddev", "1,0,1"}, ExitCode::usage, "above 0");
  fails({"import", good, "--out", out, "--mean", "1,2,3", "--stddev", "1,inf,1"}, ExitCode::usage, "finite");
  fails({"import", good, "--out", out, "--mean", "nan,2,3", "--stddev", "1,1,1"}, ExitCode::usage, "finite");
  std::ofstream(file("names.txt")) << "a\nb\n";
  fails({"import", good, "--out", out, "--classes", file("names.txt")}, ExitCode::bad_data,
        "has 2 names, the network has 7 classes");
  std::ofstream(file("names.txt")) << "\xEF\xBB\xBF"
                                   << "a\nM\xFCller\n";
  fails({"import", good, "--out", out, "--classes", file("names.txt")}, ExitCode::bad_data, "line 2 is not UTF-8");
}

TEST_F(Exchange, ExportsByTheNamesEnding) {
  const auto source = model();
  for (const char* name : {"net.onnx", "net.py", "net2.safetensors"}) {
    const auto ended = run_program({"export", source, "--out", file(name)});
    EXPECT_EQ(ended.exit_code, 0) << ended.error;
    EXPECT_THAT(ended.out, HasSubstr("mfi verify"));
  }
  EXPECT_EQ(onnx_problem(parse_onnx(file_text(file("net.onnx")), "net.onnx")), "");
  EXPECT_TRUE(fs::exists(file("net.safetensors")));  // net.py's weights
  EXPECT_TRUE(load_model(file("net2.safetensors")).network->arch().folded);
  for (const char* name : {"net.py", "net2.safetensors"})
    EXPECT_EQ(run_program({"export", source, "--out", file(name)}).exit_code, 0) << "an export may be made again";
}

TEST_F(Exchange, WritesNothingButTheModelIntoStandardOutput) {
  const auto ended = run_program({"export", model(), "--format", "onnx", "--out", "/dev/stdout"});
  ASSERT_EQ(ended.exit_code, 0) << ended.error;
  EXPECT_EQ(onnx_problem(parse_onnx(ended.out, "stdout")), "");
  EXPECT_THAT(ended.error, HasSubstr("/dev/stdout: "));
}

TEST_F(Exchange, KnowsFilesByWhatTheyAre) {
  fs::copy_file(model(), file("net.pth"));
  EXPECT_THAT(run_program({"inspect", file("net.pth")}).out, HasSubstr("parameters"));
  ASSERT_EQ(run_program({"export", file("net.pth"), "--format", "onnx", "--out", file("net.bin")}).exit_code, 0);
  EXPECT_THAT(run_program({"verify", file("net.bin"), "--against", file("net.pth"), "--python", "no-python"}).error,
              HasSubstr("no-python: cannot be run"));
  ASSERT_EQ(run_program({"export", file("net.pth"), "--format", "safetensors", "--out", file("net.bin")}).exit_code, 0);
  EXPECT_EQ(run_program({"verify", file("net.bin"), "--against", file("net.pth")}).exit_code, 0);
}

TEST_F(Exchange, LeavesModelsAloneThatAnEvaluationIsWrittenOver) {
  const auto before = file_text(model());
  for (const char* flag : {"--logits", "--confusion"}) {
    const auto ended = run_program({"eval", file("model.safetensors"), flag, file("model.safetensors")});
    EXPECT_EQ(ended.exit_code, static_cast<int>(ExitCode::usage)) << ended.error;
    EXPECT_THAT(ended.error, HasSubstr("is a model of mfi, which is not replaced"));
    EXPECT_EQ(file_text(file("model.safetensors")), before) << flag;
  }
  ASSERT_EQ(run_program({"export", file("model.safetensors"), "--out", file("folded.safetensors")}).exit_code, 0);
  const auto ended = run_program({"eval", file("folded.safetensors"), "--logits", file("folded.safetensors")});
  EXPECT_EQ(ended.exit_code, static_cast<int>(ExitCode::usage)) << "nor one that is folded";
}

TEST_F(Exchange, InspectsAModelBesideSomethingThatCannotBeCompared) {
  fs::create_directories(file("run/teacher"));
  fs::create_directories(file("run/hybrid"));
  std::ofstream(file("run/teacher/model.safetensors")) << "damaged";
  fs::copy_file(model(), file("run/hybrid/model.safetensors"));
  const auto ended = run_program({"inspect", file("run/hybrid/model.safetensors")});
  EXPECT_EQ(ended.exit_code, 0) << ended.error;
  EXPECT_THAT(ended.out, HasSubstr("not compared with " + file("run/teacher/model.safetensors")));
  const auto asked = run_program(
      {"inspect", file("run/hybrid/model.safetensors"), "--against", file("run/teacher/model.safetensors")});
  EXPECT_EQ(asked.exit_code, static_cast<int>(ExitCode::checkpoint)) << "where it was asked for";
}

TEST_F(Exchange, RefusesFlagsOfInspectThatDoNotApply) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{model(), "--sheet", file("sheet.png")},
                                             {"sample", "--sheet", file("sheet.png")},
                                             {"sample", "--against", model()}}) {
    auto command = words;
    command.insert(command.begin(), "inspect");
    const auto ended = run_program(command);
    EXPECT_EQ(ended.exit_code, static_cast<int>(ExitCode::usage)) << words[0];
    EXPECT_THAT(ended.error, HasSubstr(words[1]));
  }
  EXPECT_FALSE(fs::exists(file("sheet.png")));
}

TEST_F(Exchange, SaysWhatCannotBeLookedAt) {
  fs::create_symlink("loop", file("loop"));
  std::ofstream(file("old.onnx")) << "an export";
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"inspect", file("loop")},
                                             {"verify", file("loop"), "--against", file("loop")},
                                             {"export", file("none.safetensors"), "--out", file("old.onnx")}}) {
    const auto ended = run_program(words);
    EXPECT_EQ(ended.exit_code, static_cast<int>(ExitCode::not_found)) << words[0] << ": " << ended.error;
  }
  // Beside others it would be a row with the reason, and no end.
  const auto predicted = run_program({"predict", model(), file("loop")});
  EXPECT_EQ(predicted.exit_code, static_cast<int>(ExitCode::bad_data));
  EXPECT_THAT(predicted.error, HasSubstr("loop: cannot be read"));
}

TEST_F(Exchange, RefusesAnExportThatItCannotMake) {
  const auto source = model();
  const auto fails = [&](std::vector<std::string> words, const std::string& text) {
    words.insert(words.begin(), {"export", source});
    const auto ended = run_program(words);
    EXPECT_EQ(ended.exit_code, static_cast<int>(ExitCode::usage));
    EXPECT_THAT(ended.error, HasSubstr(text));
  };
  fails({"--out", file("net.bin")}, "give --format");
  fails({"--out", file("net.txt"), "--format", "pytorch"}, "ends in .py");
  fails({"--out", source}, "is the model itself");
  fails({"--out", fs::path(source).replace_extension(".py").string()}, "is a model of mfi");
  EXPECT_FALSE(load_model(source).network->arch().folded);  // it is still there
  fs::copy_file(source, file("another.safetensors"));
  fails({"--out", file("another.safetensors")}, "is a model of mfi");
  fails({"--out", file("another.safetensors"), "--format", "onnx"}, "is a model of mfi");
  std::ofstream(file("somebodys.safetensors")) << "weights";
  fails({"--out", file("somebodys.py")}, "not known to be weights of such a file");
  fs::copy_file(testdata("hugging-face.safetensors"), file("theirs.safetensors"));  // its metadata say "pt" too
  fails({"--out", file("theirs.py")}, "not known to be weights of such a file");
  ASSERT_EQ(run_program({"export", source, "--out", file("folded.safetensors")}).exit_code, 0);
  fails({"--out", file("folded.py")}, "not known to be weights of such a file");
  fails({"--out", file("net.onnx"), "--calibration", "5"}, "are for --precision int8");
  fails({"--out", file("net.py"), "--precision", "int8"}, "are for --format onnx");
}

TEST_F(Exchange, OnnxRuntimeGivesTheModelsLogits) {
  for (size_t kind = 0; kind < every_kind_of_network().size(); ++kind) {
    run_program({"export", model(kind), "--out", file("net.onnx")});
    const auto ended = verify(file("net.onnx"));
    if (lacks_packages(ended)) GTEST_SKIP() << "no onnxruntime: " << ended.error;
    EXPECT_EQ(ended.exit_code, 0) << ended.error;
    EXPECT_THAT(ended.out, HasSubstr("same class:  100.00 %"));
  }
}

TEST_F(Exchange, OnnxRuntimeNormalisesAndGivesProbabilities) {
  run_program({"export", model(), "--out", file("net.onnx"), "--normalise", "--softmax"});
  const auto ended = verify(file("net.onnx"));
  if (lacks_packages(ended)) GTEST_SKIP() << "no onnxruntime: " << ended.error;
  EXPECT_EQ(ended.exit_code, 0) << ended.error;
  EXPECT_THAT(ended.out, HasSubstr("of probabilities"));
}

TEST_F(Exchange, OnnxRuntimeIsNearInFewerBits) {
  for (const char* precision : {"fp16", "int8"}) {
    std::vector<std::string> words{"export", model(), "--out", file("net.onnx"), "--precision", precision};
    if (precision == std::string("int8")) words.insert(words.end(), {"--calibration", "100"});
    const auto made = run_program(words);
    EXPECT_EQ(made.exit_code, 0) << made.error;
    const auto strict = verify(file("net.onnx"));
    if (lacks_packages(strict)) GTEST_SKIP() << "no onnxruntime: " << strict.error;
    EXPECT_EQ(strict.exit_code, static_cast<int>(ExitCode::checkpoint)) << precision;
    EXPECT_THAT(strict.error, HasSubstr("--tolerance"));
    const auto ended = verify(file("net.onnx"), {"--tolerance", "1"});
    EXPECT_EQ(ended.exit_code, 0) << ended.error;
  }
}

TEST_F(Exchange, PythonGivesTheModelsLogits) {
  for (size_t kind = 0; kind < every_kind_of_network().size(); ++kind) {
    run_program({"export", model(kind), "--out", file("net.py")});
    const auto ended = verify(file("net.py"));
    if (lacks_packages(ended)) GTEST_SKIP() << "no torch for Python: " << ended.error;
    EXPECT_EQ(ended.exit_code, 0) << ended.error;
    EXPECT_THAT(ended.out, HasSubstr("same class:  100.00 %"));
  }
}

// What is most often lost in an export is how pictures are to be prepared.
TEST_F(Exchange, PythonPreparesAPictureAsPredictDoes) {
  const auto source = model();
  auto changed = load_model(source);
  changed.info.crop = 0.6;
  changed.info.resize = "bilinear";
  save_model(source, *changed.network, changed.info);
  RgbImage image{90, 60, {}};
  for (int64_t i = 0; i < 90 * 60 * 3; ++i) image.pixels.push_back(static_cast<uint8_t>(i * i / 97));
  std::ofstream(file("wide.png"), std::ios::binary) << encode_png(image);
  run_program({"export", source, "--out", file("net.py")});
  const auto command = python() + " " + file("net.py") + " " + file("wide.png") + " > " + file("said") + " 2>&1";
  const int status = std::system(command.c_str());
  const auto said = file_text(file("said"));
  if (status != 0 && said.find("No module named") != std::string::npos) GTEST_SKIP() << said;
  ASSERT_EQ(status, 0) << said;
  const auto own = run_program({"predict", source, file("wide.png"), "--format", "json"});
  const auto prediction = nlohmann::json::parse(own.out)["predictions"][0];
  EXPECT_EQ(said, format("%s\t%s\t%.4f\n", file("wide.png").c_str(), prediction["class"].get<std::string>().c_str(),
                         prediction["probability"].get<double>()));
}

TEST_F(Exchange, VerifySaysWhatItCannotDo) {
  run_program({"export", model(), "--out", file("net.onnx")});
  const auto no_python =
      run_program({"verify", file("net.onnx"), "--against", file("model.safetensors"), "--python", "/no/python"});
  EXPECT_EQ(no_python.exit_code, static_cast<int>(ExitCode::not_found));
  EXPECT_THAT(no_python.error, HasSubstr("give a Python with --python"));
  std::ofstream(file("broken.onnx")) << file_text(file("net.onnx")).substr(0, 1000);
  const auto broken = run_program({"verify", file("broken.onnx"), "--against", file("model.safetensors")});
  EXPECT_EQ(broken.exit_code, static_cast<int>(ExitCode::checkpoint));
  EXPECT_THAT(broken.error, HasSubstr("broken.onnx: not an ONNX file, or cut off"));
}

}  // namespace
}  // namespace mfi
