#include "mfi/formats/pickle.h"

#include <gtest/gtest.h>

#include "mfi/core/error.h"
#include "mfi/formats/pickle_words.h"

namespace mfi {
namespace {

using namespace std::string_literals;
using Kind = PickleValue::Kind;

std::string message_of(const std::string& bytes) {
  try {
    const Pickle pickle(bytes, "weights.pkl");
  } catch (const CheckpointError& error) {
    return error.what();
  }
  return "";
}

TEST(Pickle, ReadsNumbersInEveryForm) {
  const auto number = [](const std::string& bytes) {
    const Pickle pickle(bytes + ".", "x");
    EXPECT_TRUE(pickle.root().is(Kind::integer)) << bytes;
    return pickle.root().integer;
  };
  EXPECT_EQ(number("J\xfe\xff\xff\xff"s), -2);
  EXPECT_EQ(number("K\xff"), 255);
  EXPECT_EQ(number("M\x01\x02"), 513);
  EXPECT_EQ(number("I-17\n"), -17);
  EXPECT_EQ(number("L99L\n"), 99);
  EXPECT_EQ(number("\x8a\x00"s), 0);
  EXPECT_EQ(number("\x8a\x01\xff"s), -1);
  EXPECT_EQ(number("\x8a\x02\x00\x80"s), -32768);
  EXPECT_EQ(number("\x8b\x02\x00\x00\x00\x00\x01"s), 256);
  const Pickle half("G\x3f\xe0\x00\x00\x00\x00\x00\x00."s, "x"), line("F0.25\n.", "x"), yes("I01\n.", "x"),
      no("\x89.", "x");
  EXPECT_EQ(half.root().number, 0.5);
  EXPECT_EQ(line.root().number, 0.25);
  EXPECT_TRUE(yes.root().is(Kind::boolean) && yes.root().integer == 1);
  EXPECT_TRUE(no.root().is(Kind::boolean) && no.root().integer == 0);
  const Pickle large(
      "\x8a\x0al\xfc\x9c"
      "F\xf9 j\xa8P\x19."s,
      "x");
  EXPECT_TRUE(large.root().is(Kind::big_integer));
  EXPECT_EQ(large.root().text.size(), 10u);
}

TEST(Pickle, ReadsTextsInEveryForm) {
  for (const auto& bytes : {"X\x02\0\0\0hi."s, "\x8c\x02hi."s, "\x8d\x02\0\0\0\0\0\0\0hi."s, "T\x02\0\0\0hi."s,
                            "U\x02hi."s, "Vhi\n."s, "S'hi'\n."s}) {
    const Pickle pickle(bytes, "x");
    EXPECT_TRUE(pickle.root().is(Kind::text));
    EXPECT_EQ(pickle.root().text, "hi");
    EXPECT_EQ(pickle.size(), bytes.size());
  }
  for (const auto& bytes : {"B\x02\0\0\0hi."s, "C\x02hi."s, "\x8e\x02\0\0\0\0\0\0\0hi."s, "\x96\x02\0\0\0\0\0\0\0hi."s})
    EXPECT_TRUE(Pickle(bytes, "x").root().is(Kind::bytes));
}

TEST(Pickle, ReadsContainersAndWhatTheyHold) {
  using namespace pickled;
  const Pickle pickle("\x80\x02" + dict(text("a") + list(integer(1) + integer(2)) + text("b") + tuple(none())) + stop(),
                      "x");
  const auto* a = pickle.root().at("a");
  ASSERT_TRUE(a && a->is(Kind::list));
  EXPECT_EQ(a->items.size(), 2u);
  EXPECT_EQ(a->items[1]->integer, 2);
  EXPECT_TRUE(pickle.root().at("b")->is(Kind::tuple));
  EXPECT_EQ(pickle.root().at("c"), nullptr);
  const Pickle set("\x8f(K\x01K\x02\x90."s, "x"), frozen("(K\x01\x91."s, "x"), short_tuple("K\x01K\x02\x86."s, "x");
  EXPECT_EQ(set.root().items.size(), 2u);
  EXPECT_EQ(frozen.root().items.size(), 1u);
  EXPECT_EQ(short_tuple.root().items[0]->integer, 1);
}

TEST(Pickle, TakesTheLastOfEqualKeysAsPythonDoes) {
  using namespace pickled;
  const Pickle pickle(dict(text("a") + integer(1) + text("a") + integer(2)) + stop(), "x");
  EXPECT_EQ(pickle.root().at("a")->integer, 2);
}

TEST(Pickle, KeepsCallsAsValuesAndRunsNone) {
  using namespace pickled;
  const Pickle pickle(
      call(global("os", "system"), text("touch /tmp/mfi-was-here")) + dict(text("k") + integer(3)) + "b" + stop(), "x");
  ASSERT_TRUE(pickle.root().is_made_by("os.system"));
  EXPECT_EQ(pickle.root().arguments().items[0]->text, "touch /tmp/mfi-was-here");
  EXPECT_EQ(pickle.root().state()->at("k")->integer, 3);
  const Pickle filled(call(global("collections", "OrderedDict"), "") + "(" + text("w") + integer(7) + "u" + stop(),
                      "x");
  EXPECT_EQ(filled.root().at("w")->integer, 7);
  const Pickle by_stack(text("torch") + text("Size") + "\x93)\x81."s, "x"), old("(K\x01" + "itorch\nSize\n."s, "x"),
      object("(ctorch\nSize\nK\x01o."s, "x");
  EXPECT_TRUE(by_stack.root().is_made_by("torch.Size"));
  EXPECT_TRUE(old.root().is_made_by("torch.Size"));
  EXPECT_EQ(object.root().arguments().items[0]->integer, 1);
}

TEST(Pickle, RemembersValuesAndMayHoldItself) {
  const Pickle numbered(
      "]q\x05h\x05"
      "a."s,
      "x"),
      counted("]\x94h\x00"s + "a."s, "x"), lines("(lp0\ng0\na."s, "x");
  for (const auto* pickle : {&numbered, &counted, &lines}) EXPECT_EQ(pickle->root().items[0], &pickle->root());
}

TEST(Pickle, StopsAtItsEndWithMoreBehindIt) {
  const Pickle pickle("K\x01.rest"s, "x");
  EXPECT_EQ(pickle.size(), 3u);
}

TEST(Pickle, SaysWhereItIsCutOff) {
  using namespace pickled;
  const auto whole =
      "\x80\x02" + dict(text("key") + tensor(storage("Float", "0", 4), 0, integer(4), integer(1))) + stop();
  EXPECT_EQ(message_of(whole), "");
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto message = message_of(whole.substr(0, size));
    EXPECT_NE(message.find("weights.pkl: not a sound pickle: "), std::string::npos) << size << ": " << message;
  }
}

TEST(Pickle, RefusesWhatIsNotSound) {
  const std::pair<std::string, const char*> cases[] = {{"\xff.", "unknown operation 0xff"},
                                                       {".", "takes a value where there is none"},
                                                       {"K\x01"
                                                        "a.",
                                                        "takes a value"},
                                                       {"t.", "a row of values that never began"},
                                                       {"K\x01K\x01"
                                                        "a.",
                                                        "holds no others"},
                                                       {"}(K\x01u.", "a key without a value"},
                                                       {"h\x09.", "recalls a value"},
                                                       {"K\x01r\xff\xff\xff\xff.", "keeps a value under the number"},
                                                       {"Iseven\n.", "'seven' is not a number"},
                                                       {"Shi\n.", "without quotes"},
                                                       {"K\x01K\x02"
                                                        "b.",
                                                        "sets the state"},
                                                       {"K\x01K\x02\x93.", "whose name is not text"},
                                                       {"\x8a\x41", "cut off"},
                                                       {"(o.", "an object of no class"},
                                                       {"ca\nb\nK\x01R.", "calls something with what are no"},
                                                       {"X\xff\xff\xff\xffhi.", "more bytes than follow"}};
  for (const auto& [bytes, part] : cases)
    EXPECT_NE(message_of(bytes).find(part), std::string::npos) << part << ": " << message_of(bytes);
  EXPECT_NE(message_of("\x8a\x41" + std::string(65, 'x') + ".").find("65 bytes"), std::string::npos);
}

TEST(Pickle, BoundsWhatAFileCanMakeItHold) {
  EXPECT_NE(message_of(std::string(400'000, ']') + ".").find("300000 values"), std::string::npos);
  EXPECT_NE(message_of("]" + std::string(2'000'000, '2') + ".").find("1500000 operations"), std::string::npos);
}

}  // namespace
}  // namespace mfi
