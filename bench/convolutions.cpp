// Convolutions over packed weights with bias and ReLU, each against this core's peak:
//   convolution_bench [--parallel] [--lanes N] [--target NAME] [PART OF A NAME…]
// GFLOP/s count taps outside of the image too, so they may exceed the peak.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "ir/builder.h"
#include "ir/convolution.h"
#include "test/codegen/kernel_library.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

#if defined(__x86_64__)
// Independent multiply-adds, without memory.
__attribute__((target("avx512f"))) double peak512() {
  __m512 sum[16];
  for (auto& s : sum) s = _mm512_set1_ps(1e-3f);
  const __m512 a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(1e-4f);
  constexpr int n = 100000;
  const double start = seconds();
  for (int i = 0; i < n; ++i) {
#pragma GCC unroll 16
    for (int j = 0; j < 16; ++j) sum[j] = _mm512_fmadd_ps(sum[j], a, b);
  }
  const double t = seconds() - start;
  float total = 0;
  for (const auto& s : sum) total += s[0];
  return total > 1e30f ? 0 : 16.0 * 32 * n / t * 1e-9;
}
double peak() {
  if (!__builtin_cpu_supports("avx512f")) return 0;
  double best = 0;
  for (int i = 0; i < 10; ++i) best = std::max(best, peak512());
  return best;
}
#else
double peak() { return 0; }
#endif

struct ConvolutionShape {
  const char* name;
  int n, in, out, image, window, stride, padding;
  bool by_data = false;  // in, image: of the gradient that is computed
};

constexpr ConvolutionShape kShapes[] = {
    {"3x3 64@56 N1", 1, 64, 64, 56, 3, 1, 1},
    {"3x3 64@56 N8", 8, 64, 64, 56, 3, 1, 1},
    {"3x3 128@28 N1", 1, 128, 128, 28, 3, 1, 1},
    {"3x3 128@28 N8", 8, 128, 128, 28, 3, 1, 1},
    {"3x3 256@14 N1", 1, 256, 256, 14, 3, 1, 1},
    {"3x3 256@14 N8", 8, 256, 256, 14, 3, 1, 1},
    {"3x3 512@7 N1", 1, 512, 512, 7, 3, 1, 1},
    {"3x3 512@7 N8", 8, 512, 512, 7, 3, 1, 1},
    {"3x3 s2 64->128@56 N1", 1, 64, 128, 56, 3, 2, 1},
    {"3x3 s2 64->128@56 N8", 8, 64, 128, 56, 3, 2, 1},
    {"7x7 s2 3->64@224 N1", 1, 3, 64, 224, 7, 2, 3},
    {"7x7 s2 3->64@224 N8", 8, 3, 64, 224, 7, 2, 3},
    {"1x1 s2 64->128@56 N8", 8, 64, 128, 56, 1, 2, 0},
    {"4x4 s2 64->128@32 N8", 8, 64, 128, 32, 4, 2, 1},
    {"3x3 16->32@32 N4", 4, 16, 32, 32, 3, 1, 1},
    {"3x3 192->384@13 N4", 4, 192, 384, 13, 3, 1, 1},
    {"5x5 64->192@27 N4", 4, 64, 192, 27, 5, 1, 2},
    {"3x3 48->80@23 N4", 4, 48, 80, 23, 3, 1, 1},
    {"3x3 24->48@17 N4", 4, 24, 48, 17, 3, 1, 1},
    {"3x3 20->36@19 N4", 4, 20, 36, 19, 3, 1, 1},
    {"11x11 s4 3->64@224 N4", 4, 3, 64, 224, 11, 4, 2},
    {"3x3 64@8 N8", 8, 64, 64, 8, 3, 1, 1},
    {"3x3 512@4 N8", 8, 512, 512, 4, 3, 1, 1},
    {"5x5 1->6@28 N64", 64, 1, 6, 28, 5, 1, 2},
    {"5x5 6->16@14 N64", 64, 6, 16, 14, 5, 1, 0},
    {"3x3 64->3@64 N4", 4, 64, 3, 64, 3, 1, 1},
    {"3x3 64->1@64 N4", 4, 64, 1, 64, 3, 1, 1},
    {"dx 3x3 s2 64->128@56 N1", 1, 64, 128, 56, 3, 2, 1, true},
    {"dx 3x3 s2 64->128@56 N8", 8, 64, 128, 56, 3, 2, 1, true},
    {"dx 1x1 s2 64->128@56 N8", 8, 64, 128, 56, 1, 2, 0, true},
    {"dx 4x4 s2 64->128@14 N8", 8, 64, 128, 14, 4, 2, 1, true},
    {"dx 4x4 s2 1->64@28 N64", 64, 1, 64, 28, 4, 2, 1, true},
    {"dx 2x2 s2 64->128@56 N4", 4, 64, 128, 56, 2, 2, 0, true},
    {"dx 3x3 s2 3->32@64 N8", 8, 3, 32, 64, 3, 2, 1, true},
    {"dx 5x5 s3 32->32@32 N4", 4, 32, 32, 32, 5, 3, 2, true},
};

nncc::Function convolution_kernel(const ConvolutionShape& s, int lanes, int vector_bytes) {
  using namespace nncc;
  Function function;
  function.name = "convolution";
  function.kind = FunctionKind::Kernel;
  GraphBuilder builder(function.body);
  const int64_t o = (s.image + 2 * s.padding - s.window) / s.stride + 1;
  const int64_t panel_channels = s.by_data ? s.in : s.out;
  if (lanes == 0)
    lanes = convolution_lanes(panel_channels, s.by_data ? (s.image + s.stride - 1) / s.stride : o, 4,
                              vector_bytes);
  const Shape image{s.n, s.image, s.image, s.in}, result{s.n, o, o, s.out},
      panels{(panel_channels + lanes - 1) / lanes, s.window, s.by_data ? s.out : s.in, s.window, lanes};
  const TensorType type{DType::F32, s.by_data ? image : result};
  const Value x = function.body.add_argument("x", {DType::F32, s.by_data ? result : image}),
              w = function.body.add_argument("w", {DType::F32, panels}),
              b = function.body.add_argument("b", {DType::F32, {panel_channels}});
  const std::vector<int64_t> stride(2, s.stride), low(2, s.padding), dilation(2, 1);
  const Value y = builder.add_typed(
      s.by_data ? Op::ConvInputGradientPacked : Op::ConvPacked, {x, w}, type,
      {{Attr::Strides, stride}, {Attr::Low, low}, {Attr::Dilation, dilation}, {Attr::Groups, int64_t{1}}});
  const Value sum = builder.add(y, builder.broadcast(b, type.shape, {3}));
  function.body.results.push_back({"y", builder.add(Op::Max, {sum, builder.splat(type, 0)})});
  return function;
}

}  // namespace

int main(int argc, char** argv) {
  bool parallel = false;
  int lanes = 0;
  std::string target;
  std::vector<std::string> names;
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]) == "--parallel")
      parallel = true;
    else if (std::string(argv[i]) == "--lanes" && i + 1 < argc)
      lanes = std::atoi(argv[++i]);
    else if (std::string(argv[i]) == "--target" && i + 1 < argc)
      target = argv[++i];
    else
      names.emplace_back(argv[i]);
  }
  nncc::Diagnostics diags;
  const auto other = target.empty() ? nullptr : nncc::find_target(target, diags);
  nncc::CodegenOptions options;
  options.target = other ? other.get() : &nncc::testing::host_target();
  options.threads = parallel ? 2 : 1;
  for (const ConvolutionShape& s : kShapes) {
    const auto matches = [&](const std::string& part) {
      return std::string(s.name).find(part) != std::string::npos;
    };
    if (!names.empty() && std::none_of(names.begin(), names.end(), matches)) continue;
    const nncc::Function kernel = convolution_kernel(s, lanes, options.target->vector_lanes * 4);
    const std::clock_t start = std::clock();
    const nncc::testing::KernelLibrary library({&kernel, 1}, options);
    const double compile = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    std::vector<void*> hosts;
    const auto allocate = [&](nncc::Value v) {
      const auto n = static_cast<size_t>(kernel.body.type(v).num_elements());
      auto* p = static_cast<float*>(std::aligned_alloc(64, (n * sizeof(float) + 127) / 64 * 64));
      for (size_t i = 0; i < n; ++i)
        p[i] = static_cast<float>(std::rand()) / static_cast<float>(RAND_MAX) - 0.5f;
      hosts.push_back(p);
    };
    for (const auto& a : kernel.body.arguments) allocate(a.value);
    for (const auto& r : kernel.body.results) allocate(r.value);
    const auto run = [&](int calls) {
      const double begin = seconds();
      for (int c = 0; c < calls; ++c) library.call_raw(0, hosts);
      return (seconds() - begin) / calls;
    };
    run(1);
    const int calls = std::max(1, static_cast<int>(0.001 / run(1)));
    double best = 1e9;
    // In turn with the peak: what else the machine does disturbs both.
    double top = 0;
    for (int round = 0; round < 100; ++round) {
      best = std::min(best, run(calls));
      if (round % 25 == 0) top = std::max(top, peak());
    }
    const int64_t o = (s.image + 2 * s.padding - s.window) / s.stride + 1;
    const double flops = 2.0 * s.n * s.in * s.out * s.window * s.window * static_cast<double>(o * o);
    std::printf("%-26s lanes %2d  %9.1f us  %6.1f GFLOP/s  peak %6.1f  ratio %.2f  compiled in %4.0f ms\n",
                s.name, static_cast<int>(kernel.body.type(kernel.body.arguments[1].value).shape[4]),
                best * 1e6, flops / best * 1e-9, top, top > 0 ? flops / best * 1e-9 / top : 0, compile * 1e3);
    std::fflush(stdout);
    for (void* host : hosts) std::free(host);
  }
  return 0;
}
