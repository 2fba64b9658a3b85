#include "mfi/report/html.h"

#include <gmock/gmock.h>

#include "mfi/report/well_formed.h"

namespace mfi {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(EscapeHtml, LeavesNoMarkupOfAStrangersText) {
  EXPECT_EQ(escape_html("<script>alert('a & \"b\"')</script>"),
            "&lt;script&gt;alert(&#39;a &amp; &quot;b&quot;&#39;)&lt;/script&gt;");
}

TEST(EscapeHtml, KeepsUnicode) { EXPECT_EQ(escape_html("Bär 猫 🐈"), "Bär 猫 🐈"); }

// Latin-1, a sequence that is cut off, an overlong slash, a surrogate, beyond Unicode, U+FFFF.
TEST(EscapeHtml, ReplacesWhatIsNoUtf8) {
  EXPECT_EQ(escape_html("B\xE4r"), "B\uFFFDr");
  EXPECT_EQ(escape_html("\xE7\x8C"), "\uFFFD\uFFFD");
  EXPECT_EQ(escape_html("\xC0\xAF"), "\uFFFD\uFFFD");
  EXPECT_EQ(escape_html("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(escape_html("\xF4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(escape_html("\xEF\xBF\xBF"), "\uFFFD\uFFFD\uFFFD");
}

TEST(EscapeHtml, ReplacesControlCharactersThatXmlDoesNotAllow) {
  EXPECT_EQ(escape_html(std::string("a\0b\x1B[31m\tc\n", 11)), "a\uFFFDb\uFFFD[31m\tc\n");
}

// RFC 4648, section 10.
TEST(Base64, MatchesTheStandardsExamples) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64("\xFF\xFE\xFD"), "//79");
}

TEST(Html, ClosesWhatItOpened) {
  Html html;
  html.open("b", {{"title", "\"quoted\""}}).text("1 < 2").empty("br").close();
  EXPECT_EQ(html.str(), "<b title=\"&quot;quoted&quot;\">1 &lt; 2<br/></b>");
}

TEST(Html, DoesNotGiveAwayWhatIsStillOpen) {
  Html html;
  html.open("b");
  EXPECT_THROW(html.str(), std::logic_error);
  html.close();
  EXPECT_THROW(html.close(), std::logic_error);
}

TEST(HtmlTable, HasACaptionAndHeadersWithTheirScope) {
  HtmlTable table("Things & <more>", {{"Name"}, number_cell("count")});
  table.add_row({{"one"}, number_cell("1")});
  table.add_group("Others");
  table.add_row({{"two"}, number_cell("2")});
  table.add_total({{"all"}, number_cell("3")});
  const auto markup = table.markup();
  EXPECT_EQ(markup_problem(markup), "");
  EXPECT_THAT(markup, HasSubstr("<caption>Things &amp; &lt;more&gt;</caption>"));
  EXPECT_THAT(markup, HasSubstr("<th scope=\"col\" class=\"number\">count</th>"));
  EXPECT_THAT(markup, HasSubstr("<th scope=\"row\">two</th>"));
  EXPECT_THAT(markup, HasSubstr("<th scope=\"rowgroup\" colspan=\"2\" class=\"group\">Others</th>"));
  EXPECT_THAT(markup, HasSubstr("<tr class=\"total\">"));
}

// The other tests lean on it.
TEST(MarkupProblem, FindsWhatIsNotWellFormed) {
  EXPECT_EQ(markup_problem("<a b=\"c\">d &amp; e<f/></a>"), "");
  for (const char* broken :
       {"<a>", "<a></b>", "</a>", "<a b=c></a>", "<a b=\"1\" b=\"2\"></a>", "<a>&nbsp;</a>", "<a>1 < 2</a>",
        "<a b=\"<\"></a>", "<a/><b/>", "text", "", "<a><b id=\"x\"/><c id=\"x\"/></a>", "<a b></a>", "<a"})
    EXPECT_NE(markup_problem(broken), "") << broken;
}

}  // namespace
}  // namespace mfi
