// The tables behind parse_pipeline().
#pragma once
#include <span>
#include <string_view>

namespace nncc {

struct NamedPipeline {
  std::string_view name;    // "O2"
  std::string_view passes;  // as --passes takes it; other named pipelines may stand in it
};
std::span<const NamedPipeline> named_pipelines();

// Where both stand in one pipeline, the last `before` comes ahead of the first `after`.
struct PassOrder {
  std::string_view before;
  std::string_view after;
  std::string_view reason;  // completes "… must come before …: "
};
std::span<const PassOrder> pass_orders();

}  // namespace nncc
