#include "mfi/report/network_table.h"

#include "mfi/core/text.h"
#include "mfi/nn/cost.h"
#include "mfi/report/text_table.h"

namespace mfi {

std::string stage_text(const StageArch& stage) {
  const auto number = [](int64_t n) { return static_cast<long long>(n); };
  if (const auto* flow = std::get_if<FlowArch>(&stage.body)) {
    auto text = format("flow: %lld module%s, hidden %lld", number(flow->modules), flow->modules == 1 ? "" : "s",
                       number(flow->hidden));
    if (flow->steps != flow->modules) text += format(", %lld steps", number(flow->steps));
    if (flow->learns_steps()) text += ", learned lengths";
    if (flow->depth != 1) text += format(", depth %lld", number(flow->depth));
    if (flow->kind == VelocityKind::pointwise) text += ", pointwise";
    if (flow->kind == VelocityKind::depthwise)
      text += format(", depthwise %lldx%lld", number(flow->kernel), number(flow->kernel));
    if (flow->kind == VelocityKind::bottleneck && flow->kernel != 3)
      text += format(", kernel %lldx%lld", number(flow->kernel), number(flow->kernel));
    if (flow->kind != VelocityKind::pointwise && flow->dilation != 1)
      text += format(", dilation %lld", number(flow->dilation));
    if (flow->alignment != 1) text += format(", alignment %lldx%lld", number(flow->alignment), number(flow->alignment));
    if (flow->downsampling == Downsampling::average && stage.stride != 1) text += ", averaged pixels";
    return text;
  }
  const auto& blocks = std::get<BlocksArch>(stage.body);
  auto text = format("%lld %s block%s, width %lld", number(blocks.count),
                     blocks.kind == BlockKind::basic ? "basic" : "bottleneck", blocks.count == 1 ? "" : "s",
                     number(blocks.width));
  if (blocks.shortcut != ShortcutKind::projection) text += ", padded shortcut";
  return text;
}

std::string part_text(const Arch& arch, size_t part) {
  if (part == 0) return arch.stem == StemKind::imagenet ? "7x7 convolution, pooling" : "3x3 convolution";
  return part > arch.stages.size() ? "average and linear layer" : stage_text(arch.stages[part - 1]);
}

std::string network_table(const Arch& arch) {
  using Align = TextTable::Align;
  TextTable table(
      {{"part"}, {"what it is"}, {"output", Align::right}, {"parameters", Align::right}, {"MACs", Align::right}});
  const auto parts = part_costs(arch);
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto what = part_text(arch, i);
    const auto& cost = parts[i];
    table.add_row({cost.part, what,
                   i + 1 == parts.size()
                       ? std::to_string(arch.classes)
                       : format("%lld x %lld x %lld", static_cast<long long>(cost.out_channels),
                                static_cast<long long>(cost.out_size), static_cast<long long>(cost.out_size)),
                   count_text(static_cast<double>(cost.parameters)), count_text(static_cast<double>(cost.macs))});
  }
  const auto total = total_cost(arch);
  table.add_rule();
  table.add_row(
      {"all", "", "", count_text(static_cast<double>(total.parameters)), count_text(static_cast<double>(total.macs))});
  return table.text();
}

std::string comparison_table(const Arch& arch, const std::vector<double>& milliseconds, const Arch& other,
                             const std::vector<double>& other_milliseconds) {
  using Align = TextTable::Align;
  TextTable table({{"part"},
                   {"parameters", Align::right},
                   {"share", Align::right},
                   {"MACs", Align::right},
                   {"share", Align::right},
                   {"activations", Align::right},
                   {"share", Align::right},
                   {"ms", Align::right},
                   {"share", Align::right}});
  const auto share = [](double here, double there) {
    return there > 0 ? format("%.1f %%", 100 * here / there) : std::string("-");
  };
  const auto add = [&](const std::string& name, const Cost& here, double ms, const Cost& there, double other_ms) {
    const auto pair = [&](int64_t a, int64_t b) {
      return std::pair(count_text(static_cast<double>(a)), share(static_cast<double>(a), static_cast<double>(b)));
    };
    const auto [p, p_share] = pair(here.parameters, there.parameters);
    const auto [m, m_share] = pair(here.macs, there.macs);
    const auto [a, a_share] = pair(here.activations, there.activations);
    table.add_row({name, p, p_share, m, m_share, a, a_share, format("%.3g", ms), share(ms, other_ms)});
  };
  const auto parts = part_costs(arch), other_parts = part_costs(other);
  double sum = 0, other_sum = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    add(parts[i].part, parts[i], milliseconds[i], other_parts[i], other_milliseconds[i]);
    sum += milliseconds[i];
    other_sum += other_milliseconds[i];
  }
  table.add_rule();
  add("all", total_cost(arch), sum, total_cost(other), other_sum);
  return table.text();
}

}  // namespace mfi
