#include "mfi/report/answer_comparison.h"

#include <algorithm>
#include <array>

namespace mfi {

std::vector<std::vector<int64_t>> confusion_counts(const Answers& answers, int64_t classes) {
  const auto size = static_cast<size_t>(std::max<int64_t>(classes, 0));
  std::vector<std::vector<int64_t>> out(size, std::vector<int64_t>(size));
  const auto known = [&](int64_t c) { return c >= 0 && c < classes; };
  for (size_t i = 0; i < answers.labels.size(); ++i)
    if (known(answers.labels[i]) && known(answers.classes[i]))
      ++out[static_cast<size_t>(answers.labels[i])][static_cast<size_t>(answers.classes[i])];
  return out;
}

std::vector<Confusion> frequent_confusions(const std::vector<std::vector<int64_t>>& counts, size_t most) {
  std::vector<Confusion> out;
  for (size_t row = 0; row < counts.size(); ++row)
    for (size_t column = 0; column < counts[row].size(); ++column)
      if (row != column && counts[row][column] > 0)
        out.push_back({static_cast<int64_t>(row), static_cast<int64_t>(column), counts[row][column]});
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.count > b.count; });
  if (out.size() > most) out.resize(most);
  return out;
}

std::vector<ClassChange> class_changes(const Answers& teacher, const Answers& hybrid, int64_t classes) {
  std::vector<ClassChange> all(static_cast<size_t>(std::max<int64_t>(classes, 0)));
  for (size_t c = 0; c < all.size(); ++c) all[c].label = static_cast<int64_t>(c);
  for (size_t i = 0; i < teacher.labels.size(); ++i) {
    const int64_t label = teacher.labels[i];
    if (label < 0 || label >= classes) continue;
    auto& change = all[static_cast<size_t>(label)];
    ++change.images;
    change.teacher_right += teacher.classes[i] == label;
    change.hybrid_right += hybrid.classes[i] == label;
  }
  std::erase_if(all, [](const ClassChange& change) { return change.images == 0; });
  // Compared as fractions, without rounding.
  std::stable_sort(all.begin(), all.end(), [](const ClassChange& a, const ClassChange& b) {
    return (a.teacher_right - a.hybrid_right) * b.images > (b.teacher_right - b.hybrid_right) * a.images;
  });
  return all;
}

Agreement agreement(const Answers& teacher, const Answers& hybrid) {
  Agreement out;
  for (size_t i = 0; i < teacher.labels.size(); ++i) {
    const bool t = teacher.classes[i] == teacher.labels[i], h = hybrid.classes[i] == teacher.labels[i];
    ++(t && h ? out.both : t ? out.only_teacher : h ? out.only_hybrid : out.neither);
    out.different += teacher.classes[i] != hybrid.classes[i];
  }
  return out;
}

std::vector<int64_t> telling_images(const Answers& teacher, const Answers& hybrid, size_t most) {
  std::array<std::vector<int64_t>, 3> kinds;
  for (size_t i = 0; i < teacher.labels.size(); ++i) {
    if (teacher.classes[i] == hybrid.classes[i]) continue;
    const size_t kind = teacher.classes[i] == teacher.labels[i] ? 0 : hybrid.classes[i] == teacher.labels[i] ? 1 : 2;
    kinds[kind].push_back(static_cast<int64_t>(i));
  }
  const auto sureness = [&](int64_t image) {
    const auto i = static_cast<size_t>(image);
    return static_cast<double>(teacher.probabilities[i]) * static_cast<double>(hybrid.probabilities[i]);
  };
  for (auto& images : kinds)
    std::stable_sort(images.begin(), images.end(), [&](int64_t a, int64_t b) { return sureness(a) > sureness(b); });

  const size_t each = 2 * most / 5;
  std::array<size_t, 3> take{each, each, most - 2 * each};
  for (size_t k = 0; k < 3; ++k) take[k] = std::min(take[k], kinds[k].size());
  for (size_t k = 0; k < 3; ++k) {
    const size_t left = most - (take[0] + take[1] + take[2]);
    take[k] += std::min(left, kinds[k].size() - take[k]);
  }
  std::vector<int64_t> out;
  for (size_t k = 0; k < 3; ++k)
    out.insert(out.end(), kinds[k].begin(), kinds[k].begin() + static_cast<std::ptrdiff_t>(take[k]));
  return out;
}

}  // namespace mfi
